"""The command line as a person uses it: a real Kafka, a projector and a worker as processes, from init to delete."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.support.eventually import eventually
from tests.support.kafka import Topics, read_to_end
from tests.support.processes import HeadgateProcess, Processes

WAIT_S = 90.0
RECORDS = 300


@pytest.fixture
def headgate(processes: Processes) -> Callable[..., Any]:
    """Runs a command to its end and asserts its exit code."""

    def run(*arguments: str, code: int = 0, given: str | None = None) -> Any:
        ran = processes.run(*arguments, given=given, timeout_s=WAIT_S)
        assert ran.returncode == code, f"{arguments}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        assert "Traceback" not in ran.stderr
        return ran

    return run


@pytest.fixture
def parts(processes: Processes, headgate: Callable[..., Any]) -> tuple[HeadgateProcess, HeadgateProcess]:
    """A namespace with its topics, a projector and a worker, which are still starting."""
    headgate("init", "--partitions", "4")
    return processes.start("projector"), processes.start("worker", "--name", "w1")


def definition(source: str, destination: str, **more: Any) -> str:
    return json.dumps(
        {
            "stream": "departures",
            "source": {"kind": "kafka", "topic": source},
            "destination": {"kind": "kafka", "topic": destination},
            **more,
        }
    )


def produce(broker: Any, topic: str, first: int, count: int) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers})
    for number in range(first, first + count):
        producer.produce(topic, str(number).encode(), str(number).encode())
    assert producer.flush(30) == 0


def written(broker: Any, topic: str) -> list[int]:
    return sorted(int(record.value or b"-1") for record in read_to_end(broker.bootstrap_servers, topic))


def wait_until_written(broker: Any, topic: str, count: int) -> None:
    eventually(lambda: len(written(broker, topic)) >= count, WAIT_S, f"{count} records in {topic}")


def completing(words: str) -> dict[str, str]:
    """What a shell sets when somebody presses the tab key."""
    last = str(len(words.split(" ")) - 1)
    return {"_HEADGATE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": last}


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_a_stream_s_whole_life(
    broker: Any,
    topics: Topics,
    headgate: Callable[..., Any],
    parts: tuple[HeadgateProcess, HeadgateProcess],
    processes: Processes,
    namespace: str,
) -> None:
    source, destination = topics.create("source", partitions=3), topics.create("destination", partitions=3)
    produce(broker, source, 0, RECORDS)

    made = headgate("create", "-f", "-", "--reason", "first", given=definition(source, destination))
    assert made.stdout == "departures: create accepted, now NOT_STARTED (version 1)\n"

    started = headgate("start", "departures", "--wait", "--timeout", "60s", "-o", "json")
    assert json.loads(started.stdout)["goal"]["reached"]
    wait_until_written(broker, destination, RECORDS)

    paused = headgate("pause", "departures", "--wait", "--timeout", "60s", "--reason", "new valve", "--actor", "bob")
    assert paused.stdout.startswith("departures: PAUSED after ")
    row = headgate("get").stdout.splitlines()[1].split()
    assert row[:2] == ["departures", "PAUSED"]
    assert row[-4:] == ["new", "valve", "(by", "bob)"]
    described = headgate("describe", "departures").stdout
    assert described.count(" read, ") == 3
    assert "Drain: 3 of 3 partitions drained" in described

    completed = processes.run("pause", environment=completing("headgate pause dep"), timeout_s=WAIT_S)
    assert completed.stdout == "departures\n"

    produce(broker, source, RECORDS, 10)
    refused = headgate("start", "departures", code=2)
    assert refused.stdout == ""
    assert "(stream." in refused.stderr

    changed = headgate("apply", "-f", "-", "--wait", given=definition(source, destination, commit_interval_ms=50))
    assert "  ~ commit_interval_ms: 100 → 50\n" in changed.stdout

    assert len(written(broker, destination)) == RECORDS
    headgate("resume", "departures", "--wait", "--timeout", "60s")
    wait_until_written(broker, destination, RECORDS + 10)
    assert written(broker, destination) == list(range(RECORDS + 10))

    history = json.loads(headgate("history", "departures", "-o", "json").stdout)["items"]
    assert [item["version"] for item in history] == list(range(1, len(history) + 1))
    pause = next(item for item in history if item["kind"] == "stream-draining")
    assert (pause["actor"], pause["reason"]) == ("bob", "new valve")

    deleted = headgate("delete", "departures", "--drain", "--wait", "--timeout", "60s")
    assert deleted.stdout.startswith("departures: deleted after ")
    assert headgate("get").stderr == f"No stream in {namespace}.\n"
    assert headgate("verify").stdout.endswith(
        "Refolding the history gives exactly the states that are stored; every input has one outcome.\n"
    )
    for part in parts:
        assert part.stop(60) == 0


@pytest.mark.timeout(240)
def test_a_stream_that_cannot_run_is_not_started_and_the_checks_say_why(
    topics: Topics, headgate: Callable[..., Any], parts: tuple[HeadgateProcess, HeadgateProcess]
) -> None:
    destination = topics.create("destination")
    headgate("create", "-f", "-", given=definition("no-such-topic", destination))
    ran = headgate("start", "departures", "--wait", "--timeout", "60s", code=1)
    assert "departures: start was accepted, but the stream did not pass its validation" in ran.stderr
    assert "\n  FAILED: " in ran.stderr
    assert "no-such-topic" in ran.stderr


def test_a_namespace_without_topics_or_projector_is_said_so(headgate: Callable[..., Any], processes: Processes) -> None:
    for command in (["get"], ["pause", "a"], ["history"], ["verify"], ["watch", "--timeout", "1s"]):
        ran = headgate(*command, code=3)
        assert "headgate init" in ran.stderr or "does not exist" in ran.stderr
    assert headgate("init", "--check", code=3).stderr.count("Run `headgate init`.") == 7
    headgate("init")
    headgate("init")
    silent = headgate("pause", "a", "--timeout", "2s", code=1)
    assert "See that a projector runs" in silent.stderr


def test_init_that_finds_another_number_of_partitions_says_so(headgate: Callable[..., Any]) -> None:
    headgate("init", "--partitions", "2")
    ran = headgate("init", "--partitions", "3", "-o", "json", code=3)
    verdicts = [item["verdict"] for item in json.loads(ran.stdout)["items"]]
    assert set(verdicts) == {"wrong", "ok"}
    assert "It has 2 partitions, and needs 3" in ran.stderr


@pytest.mark.timeout(240)
def test_several_worker_processes_stop_together_and_fall_together(
    headgate: Callable[..., Any], processes: Processes
) -> None:
    headgate("init")
    first = processes.start("worker", "--name", "a", "--processes", "2")
    first.wait_for_output('"a-1"', WAIT_S)
    first.wait_for_output('"a-2"', WAIT_S)
    assert first.stop(60) == 0

    second = processes.start("worker", "--name", "b", "--processes", "2")
    second.wait_for_output('"b-1"', WAIT_S)
    second.wait_for_output('"b-2"', WAIT_S)
    child = children_of(second.pid)[0]
    os.kill(child, signal.SIGKILL)
    assert second.wait(60) == 1
    assert f"the worker process {child} ended by itself; the others are stopped." in second.output()


@pytest.mark.timeout(240)
def test_worker_processes_do_not_outlive_their_parent(headgate: Callable[..., Any], processes: Processes) -> None:
    headgate("init")
    parent = processes.start("worker", "--name", "c", "--processes", "2")
    parent.wait_for_output('"c-1"', WAIT_S)
    parent.wait_for_output('"c-2"', WAIT_S)
    children = children_of(parent.pid)
    assert len(children) == 2
    parent.signal(signal.SIGKILL)
    eventually(lambda: not any(alive(child) for child in children), 60, "the children have ended")


def children_of(pid: int) -> list[int]:
    """The processes that a process started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
