"""The command line as a person uses it: real Kafka, a projector and a worker as processes, one story from init to delete."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer

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
    from tests.support.eventually import eventually

    eventually(lambda: len(written(broker, topic)) >= count, WAIT_S, f"{count} records in {topic}")


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_a_stream_s_whole_life(
    broker: Any,
    topics: Topics,
    headgate: Callable[..., Any],
    parts: tuple[HeadgateProcess, HeadgateProcess],
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
