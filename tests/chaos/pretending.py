"""A worker that only talks: it follows the history and answers as a worker would, so that a load has all transitions.

It uses the client library and no part of the product's shells, and it counts the final outcomes that it sees, by input.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from headgate_events.codec import encode, report_headers
from headgate_events.topics import Topics

SOURCE_PARTITIONS = 2


class PretendedWorker(threading.Thread):
    """Answers validations, drains and checks, and now and then reports an error."""

    def __init__(self, bootstrap_servers: str, topics: Topics, partitions: int, seed: int) -> None:
        super().__init__(name="pretended-worker", daemon=True)
        self._topics = topics
        self._random = random.Random(seed)
        self._producer = Producer(
            {"bootstrap.servers": bootstrap_servers, "partitioner": "murmur2_random", "linger.ms": 2}
        )
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": f"{topics.namespace}.pretended",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.queue.backoff.ms": 5,
            }
        )
        self._consumer.assign([TopicPartition(topics.history, number, 0) for number in range(partitions)])
        self._revisions: dict[str, int] = {}
        self._ended = threading.Event()
        self.answered: Counter[str] = Counter()
        """How many final outcomes each command id has."""
        self.transitions = 0
        self.reports = 0

    def run(self) -> None:
        while not self._ended.is_set():
            message = self._consumer.poll(0.1)
            for each in [message, *self._consumer.consume(1_000, 0)] if message is not None else []:
                assert each.error() is None, each.error()
                self._follow(orjson.loads(each.value() or b"{}"))
            self._producer.poll(0)
        self._producer.flush(10)
        self._consumer.close()

    def end(self) -> None:
        """Stop answering and return when it has."""
        self._ended.set()
        self.join(30)

    def _follow(self, record: dict[str, Any]) -> None:
        kind, stream = record["kind"], record["stream"]
        if kind == "outcome":
            if record["input"]["topic"] == self._topics.commands:
                self.answered[record["input_id"]] += 1
            return
        if kind == "forwarded":
            return
        self.transitions += 1
        if kind == "stream-created":
            self._revisions[stream] = 1
        elif kind == "stream-modified":
            self._revisions[stream] = record["revision"]
        if record["to_status"] == "STARTING" and kind in {"stream-starting", "stream-modified"}:
            positions = {"source": {str(number): 0 for number in range(SOURCE_PARTITIONS)}}
            passed = self._random.random() < 0.9
            self._say(
                record,
                "validation-passed" if passed else "validation-failed",
                revision=self._revisions[stream],
                **({"partitions": {"source": SOURCE_PARTITIONS}, "positions": positions} if passed else {}),
            )
        elif kind in {"stream-started", "stream-resumed", "stream-recovered", "stream-drain-cancelled"}:
            self._say(record, "task-started", revision=self._revisions[stream])
            draw = self._random.random()
            if draw < 0.3:
                self._say(record, "error-raised", error=self._error(record, recoverable=draw > 0.1))
                self._say(record, "error-cleared", error_id="error-1")
        if record["to_status"] == "DRAINING" and kind in {"stream-draining", "stream-recovered"}:
            self._drain(record)
        elif kind == "checking":
            command_id = record["pending"]["command_id"]
            self._say(record, "positions-checked", command_id=command_id, passed=self._random.random() < 0.9)

    def _drain(self, record: dict[str, Any]) -> None:
        self._say(record, "source-listed", partitions={"source": SOURCE_PARTITIONS})
        for number in range(SOURCE_PARTITIONS):
            receipt = {"topic": "source", "partition": number, "start": 0, "end": 5, "read": 5, "written": 5}
            self._say(record, "partition-drained", receipt={**receipt, "worker": "pretended"})

    def _error(self, record: dict[str, Any], recoverable: bool) -> dict[str, Any]:
        return {
            "id": "error-1",
            "code": "destination.unreachable",
            "recoverable": recoverable,
            "message": "The destination does not answer.",
            "worker": "pretended",
            "first_seen_ms": record["at_ms"],
            "last_seen_ms": record["at_ms"],
        }

    def _say(self, about: dict[str, Any], kind: str, **content: Any) -> None:
        payload = {
            "kind": kind,
            "incarnation": about["incarnation"],
            "epoch": about["epoch"],
            "worker": "pretended",
            **content,
        }
        self.reports += 1
        self._producer.produce(
            self._topics.reports,
            encode(payload),
            about["stream"].encode(),
            headers=report_headers(
                kind, f"pretended-{self.reports}", about["stream"], source="pretended", at_ms=0, actor="pretended"
            ),
        )
