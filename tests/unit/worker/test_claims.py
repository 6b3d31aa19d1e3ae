"""A claim gives a token that is higher than any before it, and leaves the channel's status where it is."""

from __future__ import annotations

import orjson
import pytest

from headgate.adapters.clock import ManualClock
from headgate.adapters.memory import MemoryKafka
from headgate.ports.errors import LogError, LogUnavailable
from headgate.ports.log import TopicPartition
from headgate.worker.claims import Claims
from headgate.worker.view import View, view_of
from headgate_events.partitioner import partition_of
from headgate_events.schema.workers import Marker
from headgate_events.topics import Topics
from tests.unit.worker.test_fleet_and_reports import STATE

TOPICS = Topics("ns")
P0, P1 = TopicPartition("source", 0), TopicPartition("source", 1)


def view() -> View:
    return view_of(STATE)


@pytest.fixture
def kafka() -> MemoryKafka:
    cluster = MemoryKafka(ManualClock())
    cluster.create_topics(TOPICS.specs, 4)
    return cluster


def claims(kafka: MemoryKafka, worker: str) -> Claims:
    return Claims(kafka.log(worker), kafka.clock, TOPICS, worker)


def test_each_later_claim_is_higher_whoever_makes_it(kafka: MemoryKafka) -> None:
    owner, heir = claims(kafka, "a"), claims(kafka, "b")
    first = owner.claim(view(), [P0, P1])
    second = heir.claim(view(), [P0])
    third = owner.claim(view(), [P0])
    assert first.keys() == {P0, P1}
    assert first[P0] < second[P0] < third[P0]
    assert first[P1] != first[P0]


def test_a_claim_is_a_marker_in_the_streams_partition_under_a_key_of_its_own(kafka: MemoryKafka) -> None:
    seen: View = view()
    claims(kafka, "a").claim(seen, [P0])
    (record,) = kafka.records(TOPICS.markers)
    assert record.key() == f"{seen.stream}/source/0/claim".encode()
    assert record.partition() == partition_of(seen.stream, 4)
    marker = Marker.model_validate(orjson.loads(record.value() or b""))
    assert (marker.marker, marker.worker, marker.incarnation) == ("CLAIM", "a", seen.incarnation)
    assert (marker.channel.topic, marker.channel.partition, marker.epoch) == ("source", 0, seen.started_epoch)


def test_a_claim_that_cannot_be_written_gives_no_token(kafka: MemoryKafka) -> None:
    kafka.faults.unavailable = True
    with pytest.raises(LogError):
        claims(kafka, "a").claim(view(), [P0])


def test_a_claim_that_found_no_broker_at_first_goes_to_the_streams_partition_all_the_same(kafka: MemoryKafka) -> None:
    log = kafka.log("a")
    answers: list[int | LogError | None] = [LogUnavailable("no broker answers"), None, 4]

    def partitions(_topic: str, _timeout_s: float) -> int | None:
        answer = answers.pop(0)
        if isinstance(answer, LogError):
            raise answer
        return answer

    log.partitions = partitions  # type: ignore[method-assign]
    owner = Claims(log, kafka.clock, TOPICS, "a")
    for _ in range(2):
        with pytest.raises(LogUnavailable):
            owner.claim(view(), [P0])
    assert owner.claim(view(), [P0]).keys() == {P0}
    (record,) = kafka.records(TOPICS.markers)
    assert record.partition() == partition_of(view().stream, 4)
