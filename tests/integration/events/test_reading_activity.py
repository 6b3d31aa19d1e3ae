"""`ActivityReader` on a real topic of markers: what the first reading takes, how it is made shorter, what follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Producer

from headgate_events.client.activity import ActivityReader
from headgate_events.errors import TopicsMissing
from headgate_events.markers import marker_record
from headgate_events.partitioner import partition_of
from headgate_events.topics import Topics as Names
from tests.support.kafka import Topics

PARTITIONS = 3
EARLY_MS, LATE_MS = 1_700_000_000_000, 1_700_000_600_000
Say = Callable[..., None]


@pytest.fixture
def marked(topics: Topics, namespace: str) -> Names:
    names = Names(namespace)
    for topic in (names.markers, names.edges):
        topics.create(topic.removeprefix(f"{namespace}."), PARTITIONS, {"cleanup.policy": "compact"})
    return names


@pytest.fixture
def say(broker: Any, marked: Names) -> Say:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})

    def said(stream: str, status: str, partition: int = 0, at_ms: int = EARLY_MS, topic: str = marked.markers) -> None:
        payload = {
            "kind": "marker", "marker": "STATUS", "stream": stream, "status": status, "watermark": None,
            "channel": {"topic": "flights", "partition": partition}, "reason": None, "incarnation": 4, "epoch": 5,
            "claim": 6, "seq": 1, "worker": "w1", "evidence": None, "emitted_at_ms": at_ms, "since_ms": at_ms,
        }  # fmt: skip
        made = marker_record(topic, PARTITIONS, payload)
        place = made.partition
        producer.produce(
            made.topic, made.value, made.key, place, headers=list(made.headers), timestamp=made.timestamp_ms
        )
        assert producer.flush(30) == 0

    return said


@pytest.fixture
def reader(broker: Any, marked: Names) -> Iterator[ActivityReader]:
    with ActivityReader(broker.bootstrap_servers, marked.namespace) as found:
        yield found


def elsewhere(stream: str) -> str:
    """Return a stream that stands in another partition."""
    taken = partition_of(stream, PARTITIONS)
    return next(name for name in ("a", "b", "c", "d", "e", "f") if partition_of(name, PARTITIONS) != taken)


def test_the_first_reading_knows_how_each_channel_is_and_edges_follow(say: Say, reader: ActivityReader) -> None:
    for status in ("ACTIVE", "IDLE", "ACTIVE"):
        say("orders", status, 0)
    say("orders", "IDLE", 1)
    assert reader.refresh(30) == []
    assert [each.status.value for each in reader.table.channels("orders")] == ["ACTIVE", "IDLE"]
    say("orders", "IDLE", 0, LATE_MS)
    edges = reader.refresh(30)
    assert [(edge.channel and edge.channel.partition, edge.status.value) for edge in edges] == [
        (0, "IDLE"), (None, "IDLE"),
    ]  # fmt: skip
    say("orders", "ACTIVE", 1, LATE_MS)
    assert next(reader.follow(30)).status.value == "ACTIVE"


def test_a_reading_of_some_streams_takes_their_partitions_alone(say: Say, reader: ActivityReader) -> None:
    other = elsewhere("orders")
    say("orders", "IDLE")
    say(other, "IDLE")
    reader.refresh(30, streams=["orders"])
    assert reader.table.streams() == ["orders"]


def test_a_reading_since_a_time_takes_what_was_said_from_then_on(say: Say, reader: ActivityReader) -> None:
    say("orders", "ACTIVE", 0)
    say("orders", "IDLE", 1, LATE_MS)
    reader.refresh(30, since_ms=LATE_MS)
    assert [each.channel.partition for each in reader.table.channels("orders")] == [1]


def test_a_reading_since_a_time_at_which_nothing_was_said_knows_nothing(say: Say, reader: ActivityReader) -> None:
    say("orders", "IDLE")
    assert reader.refresh(30, since_ms=LATE_MS) == []
    assert reader.table.streams() == []


def test_the_past_is_read_from_the_edges(say: Say, reader: ActivityReader, marked: Names) -> None:
    for status, at_ms in (("IDLE", EARLY_MS), ("ACTIVE", LATE_MS)):
        say("orders", status, 0, at_ms, marked.edges)
    assert [each.status for each in reader.past("orders", timeout_s=30)] == ["IDLE", "ACTIVE"]
    assert [each.status for each in reader.past("orders", since_ms=LATE_MS, timeout_s=30)] == ["ACTIVE"]


def test_a_namespace_without_markers_is_said_to_have_none(broker: Any, namespace: str) -> None:
    with ActivityReader(broker.bootstrap_servers, f"{namespace}-none") as nowhere, pytest.raises(TopicsMissing):
        nowhere.refresh(30)
