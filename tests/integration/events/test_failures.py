"""What the clients say when something is missing, and what they never do: hang, or miss an answer."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer

from headgate.broker import ports
from headgate_events.client.commands import CommandClient
from headgate_events.client.history import HistoryReader
from headgate_events.client.state import StateReader
from headgate_events.errors import (
    ClusterUnreachable,
    EnvironmentProblem,
    HeadgateError,
    InvalidRequest,
    OutcomeTimeout,
    SendFailed,
    TopicsMissing,
)
from headgate_events.topics import Topics as Names
from tests.integration.events.small_projector import SmallProjector
from tests.integration.events.test_clients import CONFIG
from tests.support.eventually import eventually
from tests.support.kafka import Topics, read_to_end

BOUNDED_S = 20.0
"""What is given a bound of a second or less ends by then also on a machine that stalls; unbounded it would not."""


@pytest.fixture
def nobody() -> str:
    """An address where nothing listens."""
    return f"{ports.HOST}:{ports.free_port()}"


def took_s(work: Callable[[], Any], expected: type[HeadgateError]) -> float:
    began = time.monotonic()
    with pytest.raises(expected) as raised:
        work()
    assert raised.value.hint, "an error says what to do"
    return time.monotonic() - began


def test_a_cluster_that_does_not_answer_is_said_within_the_bound(nobody: str) -> None:
    with CommandClient(nobody, send_timeout_s=1.0) as commands:
        assert took_s(lambda: commands.start("departures"), ClusterUnreachable) < BOUNDED_S
        assert took_s(lambda: commands.start("departures"), ClusterUnreachable) < BOUNDED_S
    with StateReader(nobody) as state:
        assert took_s(lambda: state.snapshot(1.0), ClusterUnreachable) < BOUNDED_S
    with HistoryReader(nobody) as history:
        assert took_s(lambda: list(history.read("departures", timeout_s=1.0)), ClusterUnreachable) < BOUNDED_S


def test_missing_topics_are_named_with_the_remedy_and_are_not_made(broker: Any, topics: Topics, namespace: str) -> None:
    where = (broker.bootstrap_servers, namespace)
    with CommandClient(*where) as commands, StateReader(*where) as state, HistoryReader(*where) as history:
        for work in (lambda: commands.start("departures"), state.snapshot, lambda: list(history.read())):
            with pytest.raises(TopicsMissing, match="headgate init"):
                work()
    assert topics.names() == []


def test_topics_that_do_not_match_are_told(broker: Any, topics: Topics, namespace: str) -> None:
    topics.create("commands", 3)
    topics.create("history", 2)
    with (
        CommandClient(broker.bootstrap_servers, namespace) as commands,
        pytest.raises(TopicsMissing, match="number of partitions"),
    ):
        commands.start("departures")


def test_settings_that_kafka_does_not_know_are_the_callers_fault() -> None:
    with (
        StateReader("127.0.0.1:1", kafka={"no.such.setting": 1}) as state,
        pytest.raises(InvalidRequest, match=r"no\.such"),
    ):
        state.snapshot()


def test_an_outcome_that_does_not_come_is_said_and_can_still_be_awaited(
    broker: Any, names: Names, projector: SmallProjector
) -> None:
    projector.go.clear()
    with CommandClient(broker.bootstrap_servers, names.namespace) as commands:
        handle = commands.create("departures", CONFIG)
        handle.position(30)
        assert took_s(lambda: handle.outcome(0.2), OutcomeTimeout) < BOUNDED_S
        assert not handle.done
        projector.go.set()
        assert handle.outcome(30).outcome == "accepted"


def test_closing_tells_whoever_still_waits(broker: Any, names: Names) -> None:
    commands = CommandClient(broker.bootstrap_servers, names.namespace)
    handle = commands.create("departures", CONFIG)
    began = time.monotonic()
    commands.close(15.0)  # what is queued is written first, by a broker that may be busy
    assert time.monotonic() - began < BOUNDED_S
    with pytest.raises(OutcomeTimeout, match="closed"):
        handle.outcome(30)
    assert handle.position(0).topic == names.commands


def test_only_so_many_commands_wait_at_once_and_forgotten_ones_make_room(broker: Any, names: Names) -> None:
    with CommandClient(broker.bootstrap_servers, names.namespace, max_in_flight=3) as commands:
        kept = [commands.create(f"stream-{number}", CONFIG) for number in range(3)]
        commands._send_timeout_s = 0.5  # it bounds the way into the log, too, for which a busy broker gets its time
        assert took_s(lambda: commands.create("one-more", CONFIG), SendFailed) < BOUNDED_S
        for handle in kept:
            handle.position(30)
        kept.clear()
        del handle
        gc.collect()
        commands.create("one-more", CONFIG).position(30)


def test_no_answer_is_missed_by_a_client_that_hears_it_late(
    broker: Any, names: Names, projector: SmallProjector
) -> None:
    """Answers come at once, before the client that asked reads its first record."""
    for number in range(5):
        with CommandClient(broker.bootstrap_servers, names.namespace) as commands:
            assert commands.create(f"stream-{number}", CONFIG).outcome(30).outcome == "accepted"


def test_a_snapshot_waits_for_a_transaction_that_is_still_open(broker: Any, names: Names) -> None:
    """What was written before the snapshot was asked for is in it, or it says why not."""
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "transactional.id": names.namespace})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(names.state, b"{}", key=b"departures")
    producer.flush(30)
    with StateReader(broker.bootstrap_servers, names.namespace) as state:

        def says_why_not() -> bool:
            with pytest.raises(EnvironmentProblem) as raised:
                state.refresh(1.0)
            return "open transaction" in str(raised.value)  # else it was not even answered within the second

        eventually(says_why_not, 30, "the open transaction is named")
        producer.abort_transaction(30)
        assert state.snapshot(30) == {}
        assert state.table.unreadable() == {}


def test_tombstones_and_repeated_writes_leave_the_last_word(
    broker: Any, names: Names, projector: SmallProjector
) -> None:
    with (
        CommandClient(broker.bootstrap_servers, names.namespace) as commands,
        StateReader(broker.bootstrap_servers, names.namespace) as state,
    ):
        for stream in ("a", "b"):
            commands.create(stream, CONFIG).outcome(30)
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "partitioner": "murmur2_random"})
        producer.produce(names.state, None, key=b"a")
        producer.produce(names.state, b'{"kind":"progress","partition":0,"commands":1,"reports":0}', key=b"_progress.0")
        assert producer.flush(30) == 0
        assert list(state.snapshot()) == ["b"]
        progress = state.table.progress(0)
        assert progress is not None
        assert progress.commands == 1


def test_an_answer_that_cannot_be_read_is_said_to_whoever_waits(broker: Any, names: Names) -> None:
    with CommandClient(broker.bootstrap_servers, names.namespace) as commands:
        handle = commands.create("departures", CONFIG)
        headers: Any = [
            ("ce_type", b"headgate.history.outcome.v1"),
            ("ce_id", b"1"),
            ("ce_causationid", handle.command_id.encode()),
        ]
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "partitioner": "murmur2_random"})
        producer.produce(names.history, b'{"kind":"outcome"}', key=b"departures", headers=headers)
        assert producer.flush(30) == 0
        with pytest.raises(HeadgateError, match="cannot be read"):
            handle.outcome(30)


def test_the_command_is_placed_by_its_key_and_carries_its_envelope(broker: Any, names: Names) -> None:
    with CommandClient(broker.bootstrap_servers, names.namespace, actor="mara", source="a program") as commands:
        handle = commands.pause("departures", reason="noise", expected_version=3, correlation_id="shift-7")
        place = handle.position(30)
    (record,) = read_to_end(broker.bootstrap_servers, names.commands)
    assert (record.partition, record.offset) == (place.partition, place.offset)
    assert (record.key, record.value) == (b"departures", b'{"reason":"noise"}')
    expected = {
        "ce_type": b"headgate.command.pause.v1",
        "ce_id": handle.command_id.encode(),
        "ce_actor": b"mara",
        "ce_source": b"a program",
        "ce_expectedversion": b"3",
        "ce_correlationid": b"shift-7",
    }
    assert {name: record.header(name) for name in expected} == expected


def test_the_thread_ends_with_the_client(broker: Any, names: Names) -> None:
    with CommandClient(broker.bootstrap_servers, names.namespace) as commands:
        commands.create("departures", CONFIG).position(30)
        assert any(thread.name == "headgate-outcomes" for thread in threading.enumerate())
    eventually(
        lambda: all(thread.name != "headgate-outcomes" for thread in threading.enumerate()), 30, "the thread has ended"
    )
