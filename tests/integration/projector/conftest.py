"""A namespace with its topics, a way to send anything to it, and projectors that end with the test."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer

from headgate.bootstrap import make_clock, make_log, make_projector
from headgate.projector.projector import Projector
from headgate.projector.verify import Verification, verify
from headgate.settings import load_settings
from headgate_events.codec import command_headers, encode, report_headers
from headgate_events.topics import Topics
from tests.chaos.projector import create_topics, session_timeout_ms
from tests.conftest import Broker
from tests.support.eventually import eventually
from tests.support.kafka import read_to_end

PARTITIONS = 4
CONFIG: dict[str, Any] = {
    "source": {"kind": "kafka", "topic": "source"},
    "destination": {"kind": "discard"},
}
ANSWERED_S = 30.0


class Running(threading.Thread):
    """A projector on a thread of its own. What ended it, if not `end`, is raised by `end`."""

    def __init__(self, projector: Projector) -> None:
        super().__init__(daemon=True)
        self.projector = projector
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.projector.run()
        except BaseException as error:  # noqa: BLE001 - `end` raises it on the test's thread
            self.error = error

    def ready(self, partitions: int = PARTITIONS) -> Running:
        eventually(lambda: len(self.projector.active) == partitions or self.error, 60, f"{partitions} partitions owned")
        assert self.error is None, self.error
        return self

    def end(self) -> None:
        self.projector.stop()
        self.join(30)
        assert not self.is_alive()
        if self.error is not None:
            raise self.error


class House:
    """One namespace on the test broker."""

    def __init__(self, bootstrap_servers: str, topics: Topics) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.topics = topics
        self.session_timeout_ms = session_timeout_ms(bootstrap_servers)
        self.settings = load_settings(
            bootstrap_servers=bootstrap_servers,
            namespace=topics.namespace,
            projector_session_timeout_ms=self.session_timeout_ms,
        )
        self.running: list[Running] = []
        self.producer = Producer({"bootstrap.servers": bootstrap_servers, "partitioner": "murmur2_random"})

    def start(self, **given: Any) -> Running:
        settings = self.settings.model_copy(update=given)
        thread = Running(make_projector(settings))
        self.running.append(thread)
        thread.start()
        return thread

    def command(self, kind: str, stream: str, **content: Any) -> str:
        command_id = str(uuid.uuid4())
        headers = command_headers(kind, command_id, stream, source="test", at_ms=0, actor="anna")
        self.raw(self.topics.commands, encode({"kind": kind, **content}), stream.encode(), headers)
        return command_id

    def report(self, kind: str, stream: str, incarnation: int, epoch: int, **content: Any) -> str:
        report_id = str(uuid.uuid4())
        headers = report_headers(kind, report_id, stream, source="test", at_ms=0, actor="w1")
        payload = {"kind": kind, "incarnation": incarnation, "epoch": epoch, "worker": "w1", **content}
        self.raw(self.topics.reports, encode(payload), stream.encode(), headers)
        return report_id

    def raw(self, topic: str, value: bytes | None, key: bytes | None, headers: Any, partition: int = -1) -> None:
        self.producer.produce(topic, value, key, headers=headers, partition=partition)
        assert self.producer.flush(30) == 0

    def history(self) -> list[dict[str, Any]]:
        records = read_to_end(self.bootstrap_servers, self.topics.history)
        return [orjson.loads(each.value or b"{}") for each in records]

    def states(self) -> dict[str, dict[str, Any]]:
        """Return the streams' states as the state topic has them; a tombstone takes a stream away."""
        found: dict[str, dict[str, Any]] = {}
        for each in read_to_end(self.bootstrap_servers, self.topics.state):
            key = (each.key or b"").decode()
            if each.value is None:
                found.pop(key, None)
            elif not key.startswith("_"):
                found[key] = orjson.loads(each.value)
        return found

    def outcomes(self, input_id: str) -> list[dict[str, Any]]:
        return [each for each in self.history() if each["kind"] == "outcome" and each["input_id"] == input_id]

    def outcome(self, input_id: str, timeout_s: float = ANSWERED_S) -> dict[str, Any]:
        """Wait for the one final outcome of an input."""
        (found,) = eventually(lambda: self.outcomes(input_id), timeout_s, f"{input_id} is answered", 0.1)
        return found

    def accepted(self, input_ids: Sequence[str], timeout_s: float = ANSWERED_S) -> None:
        """Wait until each of these inputs has its one final outcome, which accepts it. One look is for all of them."""

        def answers() -> list[dict[str, Any]]:
            found = [each for each in self.history() if each["kind"] == "outcome" and each["input_id"] in input_ids]
            assert len(found) >= len(input_ids), f"{len(found)} answers"
            return found

        found = eventually(answers, timeout_s, f"{len(input_ids)} inputs are answered", 0.1)
        assert sorted(each["input_id"] for each in found) == sorted(input_ids)
        assert {each["outcome"] for each in found} == {"accepted"}

    def status(self, stream: str, wanted: str, timeout_s: float = ANSWERED_S) -> dict[str, Any]:
        """Wait until the state topic says that a stream has this status, and return its state."""

        def reached() -> dict[str, Any]:
            state = self.states().get(stream, {"status": "absent"})
            assert state["status"] == wanted, state["status"]
            return state

        return eventually(reached, timeout_s, f"{stream} is {wanted}", 0.1)

    def run_stream(self, stream: str, **config: Any) -> dict[str, Any]:
        """Bring a stream to RUNNING with one task of the worker w1, and return its state."""
        self.command("create", stream, config={**CONFIG, **config})
        self.command("start", stream)
        state = self.status(stream, "STARTING")
        passed = {"revision": 1, "partitions": {"source": 1}, "positions": {"source": {"0": 0}}}
        self.report("validation-passed", stream, state["incarnation"], state["epoch"], **passed)
        state = self.status(stream, "RUNNING")
        self.outcome(self.report("task-started", stream, state["incarnation"], state["epoch"], revision=1))
        return self.status(stream, "RUNNING")

    def verify(self) -> Verification:
        return verify(make_log(self.settings), self.topics, make_clock())

    def beat(self, worker: str, interval_ms: int = 500) -> None:
        beat = {
            "kind": "heartbeat",
            "worker": worker,
            "instance": "i1",
            "at_ms": time.time_ns() // 1_000_000,
            "interval_ms": interval_ms,
            "version": "0",
        }
        self.raw(self.topics.heartbeats, encode(beat), worker.encode(), [("ce_type", b"headgate.heartbeat.v1")])


@pytest.fixture
def house(broker: Broker, namespace: str) -> Iterator[House]:
    """A namespace with four partitions and no projector yet."""
    made = House(broker.bootstrap_servers, create_topics(broker.bootstrap_servers, namespace, PARTITIONS))
    yield made
    for each in made.running:
        if each.is_alive():
            each.projector.stop()
    for each in made.running:
        each.join(30)
