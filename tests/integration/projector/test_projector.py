"""The projector on a real Kafka: what it writes, what it refuses, and how it goes on after another."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from typing import Any

import orjson
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from headgate_events.partitioner import partition_of
from tests.chaos import projector as chaos
from tests.conftest import Broker
from tests.integration.projector.conftest import CONFIG, PARTITIONS, House
from tests.support.eventually import eventually
from tests.support.kafka import read_to_end
from tests.support.processes import Processes

COMMAND = ("ce_type", b"headgate.command.pause.v1")


def test_a_stream_goes_from_created_to_paused_and_the_history_refolds_to_its_state(house: House) -> None:
    house.start().ready()
    created = house.outcome(house.command("create", "orders", config=CONFIG, reason="first"))
    assert (created["outcome"], created["version"], created["actor"]) == ("accepted", 1, "anna")
    state = house.run_stream("shipments")
    house.command("pause", "shipments", reason="maintenance")
    state = house.status("shipments", "DRAINING")
    at = (state["incarnation"], state["epoch"])
    receipt = {"topic": "source", "partition": 0, "start": 0, "end": 7, "read": 7, "written": 7, "worker": "w1"}
    house.report("source-listed", "shipments", *at, partitions={"source": 1})
    house.report("partition-drained", "shipments", *at, receipt=receipt)
    state = house.status("shipments", "PAUSED")
    assert state["drain"]["receipts"]["source"]["0"]["end"] == 7
    assert state["last"]["reason"] in {"maintenance", None}

    found = house.verify()
    assert found.ok, found.differences
    assert found.streams == 2
    assert found.inputs == found.outcomes


UNREADABLE: dict[str, tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]] = {
    "command.malformed_json": (b"{", b"orders", [COMMAND, ("ce_id", b"id-json")]),
    "command.unknown_type": (b"{}", b"orders", [("ce_type", b"headgate.command.explode.v1"), ("ce_id", b"id-type")]),
    "command.invalid_key": (b"{}", b"Not A Name", [COMMAND, ("ce_id", b"id-key")]),
    "command.too_large": (b'{"reason":"' + b"x" * 300_000 + b'"}', b"orders", [COMMAND, ("ce_id", b"id-large")]),
    "command.missing_header": (b"{}", b"orders", [("ce_id", b"id-header")]),
    "command.invalid": (
        b'{"config":' + b'{"source":' * 200 + b"1" + b"}" * 200 + b"}",
        b"orders",
        [("ce_type", b"headgate.command.create.v1"), ("ce_id", b"id-nested")],
    ),
}


def test_unreadable_commands_are_refused_by_their_offset_and_wedge_nothing(house: House) -> None:
    house.start().ready()
    for value, key, headers in UNREADABLE.values():
        house.raw(house.topics.commands, value, key, headers)
    house.raw(house.topics.commands, b"{}", None, [COMMAND, ("ce_id", b"id-none")], partition=2)
    house.raw(house.topics.commands, b"[" * 100_000, b"orders", [COMMAND, ("ce_id", b"id-hostile")])
    house.raw(house.topics.reports, b"null", b"orders", [("ce_type", b"headgate.report.fenced.v1"), ("ce_id", b"id-r")])
    assert house.outcome(house.command("create", "orders", config=CONFIG))["outcome"] == "accepted"

    expected = {headers[-1][1].decode(): code for code, (_, _, headers) in UNREADABLE.items()} | {
        "id-none": "command.invalid_key",
        "id-hostile": "command.malformed_json",
        "id-r": "report.malformed_json",
    }
    for input_id, code in expected.items():
        outcome = house.outcome(input_id)
        assert (outcome["outcome"], outcome["code"]) == ("refused", code)
        assert f"offset {outcome['input']['offset']}" in outcome["message"]
    assert house.verify().ok


def test_a_command_in_the_wrong_partition_is_forwarded_once_and_takes_effect(house: House) -> None:
    house.start().ready()
    stream = next(
        name for name in (f"stream-{number}" for number in range(100)) if partition_of(name, PARTITIONS) not in {0, 1}
    )
    headers: list[tuple[str, Any]] = [("ce_type", b"headgate.command.create.v1"), ("ce_id", b"sent-astray")]
    value = b'{"config":{"source":{"kind":"kafka","topic":"a"},"destination":{"kind":"discard"}}}'
    house.raw(house.topics.commands, value, stream.encode(), headers, partition=0)
    outcome = house.outcome("sent-astray")
    assert outcome["outcome"] == "accepted"
    assert outcome["input"]["partition"] == partition_of(stream, PARTITIONS)
    (forwarded,) = [each for each in house.history() if each["kind"] == "forwarded"]
    assert forwarded["input"] == {"topic": house.topics.commands, "partition": 0, "offset": 0}

    marked = [*headers[:1], ("ce_id", b"astray-twice"), ("headgate_forwarded", b"1")]
    house.raw(house.topics.commands, value, stream.encode(), marked, partition=1)
    assert house.outcome("astray-twice")["code"] == "command.misplaced"
    assert house.verify().ok


def test_commands_of_kcat_with_its_default_partitioner_take_effect(house: House) -> None:
    house.start().ready()
    value = b'{"config":{"source":{"kind":"kafka","topic":"a"},"destination":{"kind":"discard"}}}'
    names = [f"by-kcat-{number}" for number in range(6)]
    kcat = shutil.which("kcat")
    if kcat is None:
        # kcat is librdkafka's own tool: the same client with the same defaults sends the same bytes to the same place.
        producer = Producer({"bootstrap.servers": house.bootstrap_servers})
        for name in names:
            headers = [("ce_type", b"headgate.command.create.v1"), ("ce_id", name.encode())]
            producer.produce(house.topics.commands, value, name.encode(), headers=headers)
        assert producer.flush(30) == 0
    else:
        for name in names:
            sent = [kcat, "-P", "-b", house.bootstrap_servers, "-t", house.topics.commands, "-k", name]
            headers_given = ["-H", "ce_type=headgate.command.create.v1", "-H", f"ce_id={name}"]
            subprocess.run([*sent, *headers_given], input=value, check=True, timeout=30)
    assert [house.outcome(name)["outcome"] for name in names] == ["accepted"] * len(names)
    assert any(each["kind"] == "forwarded" for each in house.history()), "none of them lay astray: send more"
    assert house.verify().ok


def test_a_projector_that_starts_again_goes_on_where_the_last_one_ended(house: House) -> None:
    first = house.start().ready()
    house.run_stream("orders")
    first.end()
    waiting = house.command("pause", "orders")
    before = house.states()["orders"]
    house.start().ready()
    # The observers say that nobody beats for w1, the first one's or the second one's: so there may be versions between.
    paused = house.outcome(waiting)["version"]
    versions = [each["version"] for each in house.history() if each.get("version")]
    assert before["version"] < paused
    assert sorted(set(versions)) == list(range(1, max(versions) + 1))
    assert house.status("orders", "DRAINING")["incarnation"] == before["incarnation"]
    assert house.verify().ok


@pytest.mark.timeout(240)
def test_two_processes_share_the_partitions_and_take_over_from_one_another(house: House, processes: Processes) -> None:
    environment = {"HEADGATE_PROJECTOR_SESSION_TIMEOUT_MS": str(house.session_timeout_ms)}
    one = processes.start("projector", "--name", "one", environment=environment)
    one.wait_for_output("projector.ready", 60)
    two = processes.start("projector", "--name", "two", environment=environment)
    two.wait_for_output("projector.ready", 60)
    streams = [f"stream-{number}" for number in range(12)]
    assert {partition_of(stream, PARTITIONS) for stream in streams} == set(range(PARTITIONS))
    house.accepted([house.command("create", stream, config=CONFIG) for stream in streams])

    two.kill()
    house.accepted([house.command("delete", stream) for stream in streams], timeout_s=60)
    three = processes.start("projector", "--name", "three", environment=environment)
    three.wait_for_output("projector.ready", 60)
    began = time.monotonic()
    assert one.stop() == 0
    house.accepted([house.command("create", stream, config=CONFIG) for stream in streams])
    assert time.monotonic() - began < 20
    three.signal(signal.SIGINT)
    assert three.wait(30) == 0
    found = house.verify()
    assert found.ok, found.differences


def test_the_open_transaction_of_a_dead_predecessor_is_ended_at_once(house: House) -> None:
    # A predecessor that died in the middle: its name stands beside the committed positions, its transaction is open.
    dead = f"{house.topics.namespace}.projector.dead.1"
    ghost = Producer(
        {
            "bootstrap.servers": house.bootstrap_servers,
            "transactional.id": f"{dead}-a",
            "transaction.timeout.ms": 120_000,
        }
    )
    ghost.init_transactions(30)
    ghost.begin_transaction()
    for partition in range(PARTITIONS):
        ghost.produce(house.topics.state, b"half-written", b"orders", partition=partition)
    assert ghost.flush(30) == 0
    left = Consumer({"bootstrap.servers": house.bootstrap_servers, "group.id": f"{house.topics.namespace}.projector"})
    positions = [
        TopicPartition(topic, partition, 0, dead)
        for topic in (house.topics.commands, house.topics.reports)
        for partition in range(PARTITIONS)
    ]
    left.commit(offsets=positions, asynchronous=False)
    left.close()

    began = time.monotonic()
    house.start().ready()
    assert house.outcome(house.command("create", "orders", config=CONFIG))["outcome"] == "accepted"
    assert time.monotonic() - began < 90, "it waited for the transaction's own timeout"
    assert house.verify().ok


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ten_kills_at_random_moments_leave_one_outcome_and_one_transition_for_each_input(
    broker: Broker, namespace: str, processes: Processes
) -> None:
    figures = chaos.run(
        broker.bootstrap_servers, namespace, processes, kills=10, commands=1_500, streams=50, seed=20_261_121
    )
    assert figures.problems == []
    assert figures.verification is not None
    assert figures.verification.transitions > 100, "the load must have led somewhere"


def test_topics_that_do_not_exist_end_the_process_with_one_sentence(processes: Processes) -> None:
    projector = processes.start("projector")
    assert projector.wait(60) != 0
    assert "headgate init" in projector.output()
    assert "Traceback" not in projector.output()


def test_the_observer_says_that_a_drain_is_late_and_that_a_worker_fell_silent(house: House) -> None:
    house.beat("w1")
    house.start().ready()
    house.run_stream("orders", drain_timeout_s=0.5)
    house.command("pause", "orders")

    def seen() -> dict[str, Any]:
        state = house.states()["orders"]
        assert state["tasks"] == {}, "the silent worker's task is still listed"
        assert {"stalled", "unassigned"} <= state["conditions"].keys()
        return state

    eventually(seen, 40, "the drain is late and the worker is missed", 0.2)
    house.beat("w2", interval_ms=30_000)
    eventually(lambda: "unassigned" not in house.states()["orders"]["conditions"], 20, "a new worker is seen", 0.2)
    kinds = [each["kind"] for each in house.history()]
    assert (kinds.count("task-started"), kinds.count("task-stopped")) == (1, 1)
    assert house.verify().ok


def test_verify_names_what_was_tampered_with(house: House) -> None:
    running = house.start().ready()
    house.run_stream("orders")
    house.run_stream("bills")
    running.end()
    assert house.verify().ok

    partition = partition_of("orders", PARTITIONS)
    transitions = [
        each
        for each in read_to_end(house.bootstrap_servers, house.topics.history)
        if each.key == b"orders" and b'"kind":"outcome"' not in (each.value or b"")
    ]
    again = transitions[-1]
    house.raw(house.topics.history, again.value, again.key, list(again.headers), partition)
    state = next(
        each for each in reversed(read_to_end(house.bootstrap_servers, house.topics.state)) if each.key == b"bills"
    )
    # RUNNING, or FAILED where it took so long that the observer missed its worker for its whole grace.
    edited = orjson.dumps({**orjson.loads(state.value or b"{}"), "status": "PAUSED"})
    house.raw(house.topics.state, edited, state.key, list(state.headers), state.partition)
    house.raw(house.topics.state, state.value, b"stranger", list(state.headers), state.partition)
    found = house.verify()
    assert {(each.code, each.stream) for each in found.differences} == {
        ("version_repeated", "orders"),
        ("state_differs", "bills"),
        ("state_unexpected", "stranger"),
    }
    assert not found.ok
