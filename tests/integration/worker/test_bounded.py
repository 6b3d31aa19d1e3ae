"""Streams that end: they read up to there, say FINISHED in order with what they wrote, and read no further."""

from __future__ import annotations

from typing import Any

from confluent_kafka import Producer

from headgate_events import ActivityReader
from headgate_events.idleness.signals import MAX, Status
from tests.integration.worker.conftest import WAIT_S, Headgate, numbers
from tests.integration.worker.test_activity import edges, statuses, until_said
from tests.support.eventually import eventually

QUICK = {"idle_after_s": 0.3, "flap_damping": False, "watermark_interval_ms": 50, "event_time": {}}


def a_stream(headgate: Headgate, until: Any, produced: int = 0, **config: Any) -> tuple[str, str]:
    source, destination = headgate.source("source", 2), headgate.source("destination", 2)
    if produced:
        headgate.produce(source, produced, partitions=2)
    headgate.worker("a")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source, "until": _named(until, source)},
        destination={"kind": "kafka", "topic": destination, "partition": "source"},
        idleness=QUICK,
        **config,
    )
    return source, destination


def _named(until: Any, source: str) -> Any:
    return {"offsets": {source: until}} if isinstance(until, dict) else until


def told(headgate: Headgate) -> tuple[Status | None, int | None]:
    with ActivityReader(headgate.servers, namespace=headgate.namespace) as reader:
        reader.refresh(WAIT_S)
        return reader.table.status("orders"), reader.table.watermark("orders")


def test_a_stream_until_the_end_moves_what_was_there_and_is_finished_whatever_comes_later(headgate: Headgate) -> None:
    source, destination = a_stream(headgate, "end", produced=20)
    until_said(headgate, "orders", {0: ["ACTIVE", "FINISHED"], 1: ["ACTIVE", "FINISHED"]})
    last = edges(headgate, "orders")[0][-1]
    assert (last["watermark"], last["evidence"]["position"], last["evidence"]["end"]) == (MAX, 10, 10)
    assert last["channels_total"] == 2
    assert last["dest_offsets"]["0"] >= 10
    eventually(lambda: told(headgate) == (Status.FINISHED, MAX), WAIT_S, "a reader of the markers knows the end")
    headgate.produce(source, 10, start=20, partitions=2)

    headgate.stop_worker("a")  # the heir keeps the end that the start found, and says again that it is reached
    headgate.worker("b")
    again = ["ACTIVE", "FINISHED", "FINISHED"]
    until_said(headgate, "orders", {0: again, 1: again})
    assert edges(headgate, "orders")[1][-1]["worker"] == "b"

    headgate.done(headgate.commands.pause("orders"))
    drained = headgate.until_status("orders", "PAUSED")
    assert drained.drain is not None
    assert sorted(each.end for each in drained.drain.receipts[source].values()) == [10, 10]
    headgate.done(headgate.commands.resume("orders"))
    until_said(headgate, "orders", {0: [*again, "FINISHED"], 1: [*again, "FINISHED"]})
    state = headgate.get("orders")
    assert (state.status, state.conditions) == ("RUNNING", {})
    assert numbers(headgate.read(destination)) == list(range(20))


def test_a_drain_before_the_end_finishes_nothing_and_the_end_is_reached_after_the_resume(headgate: Headgate) -> None:
    source, destination = a_stream(headgate, {"0": 6, "1": 6}, produced=10)
    headgate.until_moved(destination, 10)
    until_said(headgate, "orders", {0: ["ACTIVE", "IDLE"], 1: ["ACTIVE", "IDLE"]})
    headgate.done(headgate.commands.pause("orders"))
    headgate.until_status("orders", "PAUSED")
    headgate.produce(source, 10, start=10, partitions=2)
    assert statuses(headgate, "orders") == {0: ["ACTIVE", "IDLE"], 1: ["ACTIVE", "IDLE"]}
    headgate.done(headgate.commands.resume("orders"))
    whole = ["ACTIVE", "IDLE", "ACTIVE", "FINISHED"]
    until_said(headgate, "orders", {0: whole, 1: whole})
    assert numbers(headgate.read(destination)) == list(range(12))


def test_an_idle_partition_that_comes_to_its_end_without_a_record_says_active_before_the_end_of_event_time(
    headgate: Headgate,
) -> None:
    source, _ = a_stream(headgate, {"0": 5}, produced=6)
    until_said(headgate, "orders", {0: ["ACTIVE", "IDLE"], 1: ["ACTIVE", "IDLE"]})
    producer = Producer({"bootstrap.servers": headgate.servers, "transactional.id": f"{headgate.namespace}.rival"})
    producer.init_transactions(WAIT_S)
    producer.begin_transaction()
    producer.produce(source, b"99", partition=0)
    producer.flush(WAIT_S)
    producer.abort_transaction(WAIT_S)  # offsets 3 and 4, and nothing to read in them
    until_said(headgate, "orders", {0: ["ACTIVE", "IDLE", "ACTIVE", "FINISHED"], 1: ["ACTIVE", "IDLE"]})
    idle, active, finished = edges(headgate, "orders")[0][1:]
    assert idle["watermark"] == active["watermark"] < finished["watermark"] == MAX

    # One finished and the others idle: the stream is idle, and its event time stays where the idle ones are.
    eventually(lambda: told(headgate)[0] is Status.IDLE, WAIT_S, "the stream is idle")
    assert told(headgate)[1] == edges(headgate, "orders")[1][-1]["watermark"] != MAX
    headgate.produce(source, 2, start=6, partitions=2)  # partition 0 is read no further, partition 1 has no end
    until_said(
        headgate,
        "orders",
        {0: ["ACTIVE", "IDLE", "ACTIVE", "FINISHED"], 1: ["ACTIVE", "IDLE", "ACTIVE", "IDLE"]},
    )
    eventually(lambda: told(headgate)[0] is Status.IDLE, WAIT_S, "the stream is idle again")
    assert told(headgate)[1] != MAX


def test_a_time_that_has_not_come_fails_the_validation_with_the_reason(headgate: Headgate) -> None:
    source, destination = headgate.source("source", 1), headgate.source("destination", 1)
    headgate.worker("a")
    config = {
        "source": {"kind": "kafka", "topic": source, "until": {"timestamp_ms": 4_102_444_800_000}},
        "destination": {"kind": "kafka", "topic": destination},
    }
    headgate.done(headgate.commands.create("orders", config))
    headgate.done(headgate.commands.start("orders"))
    state = headgate.until("orders", "is refused", lambda state: state.status == "NOT_STARTED" and state.checks)
    (wrong,) = [each for each in state.checks if each.result == "failed"]
    assert wrong.code == "source.until_in_future"
