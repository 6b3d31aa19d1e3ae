"""What a worker says about its channels on a real broker: on evidence, and in order with what it writes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson
from confluent_kafka import Producer

from headgate_events.topics import Topics as Namespace
from tests.integration.worker.conftest import WAIT_S, Headgate
from tests.support.eventually import eventually


def edges(headgate: Headgate, stream: str) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for record in headgate.read(Namespace(headgate.namespace).edges):
        edge = orjson.loads(record.value or b"{}")
        if edge["stream"] == stream:
            found.setdefault(edge["channel"]["partition"], []).append(edge)
    return found


def statuses(headgate: Headgate, stream: str) -> dict[int, list[str]]:
    return {place: [each["status"] for each in said] for place, said in edges(headgate, stream).items()}


def until_said(headgate: Headgate, stream: str, expected: dict[int, list[str]]) -> None:
    def look() -> bool:
        assert statuses(headgate, stream) == expected
        return True

    eventually(look, WAIT_S, f"{stream} says {expected}", every_s=0.2)


def a_stream(headgate: Headgate, **config: Any) -> tuple[str, str]:
    source, destination = headgate.source("source", 2), headgate.source("destination", 2)
    headgate.worker("a")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": destination, "partition": "source"},
        idleness={"idle_after_s": 0.5, "flap_damping": False},
        **config,
    )
    return source, destination


def test_each_partition_is_idle_on_its_own_evidence_and_active_before_its_records_are_written(
    headgate: Headgate,
) -> None:
    source, destination = a_stream(headgate)
    until_said(headgate, "orders", {0: ["IDLE"], 1: ["IDLE"]})  # an empty topic
    headgate.produce(source, 10, partitions=1)
    headgate.until_moved(destination, 10)
    until_said(headgate, "orders", {0: ["IDLE", "ACTIVE", "IDLE"], 1: ["IDLE"]})
    first, active, second = edges(headgate, "orders")[0]
    assert (first["evidence"]["position"], second["evidence"]["position"]) == (0, 10)
    assert second["evidence"]["end"] == second["evidence"]["high"] == 10
    assert active["reason"] == "RESUMED"
    assert active["seq"] < second["seq"]
    assert second["dest_topic"] == destination
    assert second["dest_offsets"]["0"] >= 10


def test_control_records_at_the_tail_are_the_end_and_an_open_transaction_holds_until_it_commits(
    headgate: Headgate,
) -> None:
    source, destination = a_stream(headgate)
    until_said(headgate, "orders", {0: ["IDLE"], 1: ["IDLE"]})
    producer = Producer({"bootstrap.servers": headgate.servers, "transactional.id": f"{headgate.namespace}.rival"})
    producer.init_transactions(WAIT_S)
    producer.begin_transaction()
    producer.produce(source, b"1", partition=0)
    producer.commit_transaction(WAIT_S)  # one record and a control record at the tail
    headgate.until_moved(destination, 1)
    until_said(headgate, "orders", {0: ["IDLE", "ACTIVE", "IDLE"], 1: ["IDLE"]})
    assert edges(headgate, "orders")[0][-1]["evidence"]["end"] == 2

    producer.begin_transaction()
    producer.produce(source, b"2", partition=0)
    producer.abort_transaction(WAIT_S)  # nothing to read: nothing to say
    headgate.produce(source, 1, start=3, partitions=1)
    headgate.until_moved(destination, 2)
    producer.begin_transaction()
    producer.produce(source, b"4", partition=0)
    producer.flush(WAIT_S)
    headgate.plain_producer().produce(source, b"5", partition=1)
    headgate.plain_producer().flush(WAIT_S)
    # Partition 1 goes idle again while the open transaction holds partition 0, which ended before it or is held active.
    eventually(lambda: statuses(headgate, "orders")[1] == ["IDLE", "ACTIVE", "IDLE"], WAIT_S, "partition 1 is idle")
    held = statuses(headgate, "orders")[0]
    producer.commit_transaction(WAIT_S)
    headgate.until_moved(destination, 4)
    eventually(lambda: statuses(headgate, "orders")[0][-1] == "IDLE", WAIT_S, "partition 0 is idle")
    final = statuses(headgate, "orders")[0]
    assert final[: len(held)] == held
    assert all(one != other for one, other in pairwise(final)), "edges alternate"


def test_a_paused_stream_says_nothing_and_wakes_with_what_came_meanwhile(headgate: Headgate) -> None:
    source, destination = a_stream(headgate)
    until_said(headgate, "orders", {0: ["IDLE"], 1: ["IDLE"]})
    headgate.done(headgate.commands.pause("orders"))
    headgate.until_status("orders", "PAUSED")
    headgate.produce(source, 4, partitions=1)
    headgate.done(headgate.commands.resume("orders"))
    headgate.until_moved(destination, 4)
    until_said(headgate, "orders", {0: ["IDLE", "ACTIVE", "IDLE"], 1: ["IDLE", "IDLE"]})


def test_a_command_for_when_it_is_idle_waits_while_a_partition_is_not_and_is_decided_once_all_are(
    headgate: Headgate,
) -> None:
    source, destination = headgate.source("source", 2), headgate.source("destination", 2)
    producer = Producer({"bootstrap.servers": headgate.servers, "transactional.id": f"{headgate.namespace}.rival"})
    producer.init_transactions(WAIT_S)
    producer.begin_transaction()
    producer.produce(source, b"1", partition=0)
    producer.flush(WAIT_S)  # open: partition 0 cannot be said to be empty
    headgate.worker("a")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": destination, "partition": "source"},
        idleness={"idle_after_s": 0.5, "flap_damping": False},
    )
    withdrawn = headgate.commands.delete("orders", when_idle=True)
    waiting = headgate.commands.pause("orders", when_idle=True)
    headgate.until("orders", "has what waits", lambda state: len(state.scheduled) == 2)
    headgate.done(headgate.commands.cancel("orders", withdrawn.command_id))
    until_said(headgate, "orders", {1: ["IDLE"]})
    assert set(headgate.get("orders").scheduled) == {waiting.command_id}
    producer.commit_transaction(WAIT_S)
    paused = headgate.until_status("orders", "PAUSED")
    assert not paused.scheduled
    assert statuses(headgate, "orders") == {0: ["ACTIVE", "IDLE"], 1: ["IDLE"]}
    assert len(headgate.read(destination)) == 1


def test_a_silent_stream_falls_asleep_and_wakes_and_is_deleted_once_it_was_idle_for_as_long_as_was_asked(
    headgate: Headgate,
) -> None:
    source, destination = headgate.source("source", 2), headgate.source("destination", 2)
    headgate.worker("a")
    config: dict[str, Any] = {
        "source": {"kind": "kafka", "topic": source},
        "destination": {"kind": "kafka", "topic": destination, "partition": "source"},
    }
    idleness: dict[str, Any] = {"idle_after_s": 0.3, "flap_damping": False}
    producer = Producer({"bootstrap.servers": headgate.servers, "transactional.id": f"{headgate.namespace}.rival"})
    producer.init_transactions(WAIT_S)
    producer.begin_transaction()
    producer.produce(source, b"1", partition=0)
    producer.commit_transaction(WAIT_S)  # a control record at the tail, which is to wake nobody
    headgate.create_and_start("orders", **config, idleness=idleness | {"auto_pause_after_s": 0.5})
    headgate.until_moved(destination, 1)
    asleep = headgate.until_status("orders", "PAUSED")
    assert (asleep.last.actor, asleep.tasks) == ("auto-pause", {})
    assert asleep.drain is not None
    assert asleep.drain.silence == {source: {"0": 2, "1": 0}}

    waiting = headgate.commands.delete("orders", drain=True, idle_for_s=1.0)
    assert waiting.outcome(WAIT_S).code == "stream.is_paused", "a stream that stands still is not idle"
    headgate.done(headgate.commands.modify("orders", {**config, "idleness": idleness}))  # once awake, it stays so
    headgate.produce(source, 3, start=2, partitions=2)
    awake = headgate.until_status("orders", "RUNNING")
    assert awake.last.actor == "auto-pause"
    headgate.until_moved(destination, 4)
    waiting = headgate.commands.delete("orders", drain=True, idle_for_s=1.0)
    headgate.done(waiting)

    def gone() -> bool:
        headgate.state.refresh(WAIT_S)
        return headgate.state.get("orders") is None

    eventually(gone, WAIT_S, "the stream is deleted")
    assert len(headgate.read(destination)) == 4
