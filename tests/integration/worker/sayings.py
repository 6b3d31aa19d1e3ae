"""What one stream of a test says about its channels, as it lies on the edges topic."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from headgate_events.topics import Topics as Namespace
from tests.integration.worker.conftest import WAIT_S, Headgate
from tests.support.eventually import eventually

GRACE_S = 0.4


class Sayings:
    """A stream of its own from one topic to another, and what is said about it. Belongs to the test's thread."""

    def __init__(self, headgate: Headgate, stream: str, partitions: int = 2) -> None:
        self.headgate = headgate
        self.stream = stream
        self.partitions = partitions
        self.source = headgate.source(f"{stream}.source", partitions)
        self.destination = headgate.source(f"{stream}.destination", partitions)

    def start(self, *, source: Any = None, grace_s: float = GRACE_S, **config: Any) -> None:
        """Create and start the stream; `source` adds to the settings of its source."""
        definition = {
            "source": {"kind": "kafka", "topic": self.source} | (source or {}),
            "destination": {"kind": "kafka", "topic": self.destination, "partition": "source"},
            "idleness": {"idle_after_s": grace_s, "flap_damping": False},
        }
        self.headgate.commands.create(self.stream, definition | config)
        self.headgate.done(self.headgate.commands.start(self.stream))

    def edges(self) -> dict[int, list[dict[str, Any]]]:
        """Return each change of the partitions' statuses in order: what a new owner repeats is left out."""
        changed = {}
        for place, words in self.words().items():
            changed[place] = [next(run) for _, run in groupby(words, lambda each: each["status"])]
        return changed

    def words(self) -> dict[int, list[dict[str, Any]]]:
        """Return everything that was said of the partitions, in order."""
        found: dict[int, list[dict[str, Any]]] = {}
        for record in self.headgate.read(Namespace(self.headgate.namespace).edges):
            edge = orjson.loads(record.value or b"{}")
            if edge["stream"] == self.stream:
                found.setdefault(edge["channel"]["partition"], []).append(edge)
        return found

    def said(self) -> dict[int, list[str]]:
        """Return the statuses alone."""
        return {place: [each["status"] for each in edges] for place, edges in self.edges().items()}

    def until(self, expected: dict[int, list[str]]) -> dict[int, list[dict[str, Any]]]:
        """Wait until exactly this was said; return the edges."""

        def look() -> dict[int, list[dict[str, Any]]]:
            edges = self.edges()
            assert {place: [each["status"] for each in said] for place, said in edges.items()} == expected
            return edges

        return eventually(look, WAIT_S, f"{self.stream} says {expected}", every_s=0.2)

    def until_idle(self, partitions: set[int]) -> dict[int, list[dict[str, Any]]]:
        """Wait until the last word about each of these partitions is IDLE, with nothing before its end unread."""

        def look() -> dict[int, list[dict[str, Any]]]:
            found = self.words()
            ends = {each: self._end(each) for each in partitions}
            for each, end in ends.items():
                last = found[each][-1]
                assert (last["status"], (last["evidence"] or {}).get("end")) == ("IDLE", end), found
            return found

        return eventually(look, WAIT_S, f"{self.stream} is idle in {partitions}", every_s=0.2)

    def _end(self, partition: int) -> int:
        asking = Consumer({"bootstrap.servers": self.headgate.servers, "group.id": "never-joined"})
        try:
            return int(asking.get_watermark_offsets(TopicPartition(self.source, partition), WAIT_S)[1])
        finally:
            asking.close()

    def produce(self, partition: int, *values: bytes) -> None:
        """Write records to one partition of the source."""
        producer = self.headgate.plain_producer()
        for value in values:
            producer.produce(self.source, value, partition=partition)
        assert producer.flush(WAIT_S) == 0

    def until_idle_once_more(self, partition: int) -> None:
        """Write a record to a partition and wait until it is IDLE again: a grace has passed for all meanwhile."""
        before = len(self.edges().get(partition, []))
        self.produce(partition, b"1")
        eventually(
            lambda: [each["status"] for each in self.edges().get(partition, [])][before:] == ["ACTIVE", "IDLE"],
            WAIT_S,
            f"partition {partition} of {self.stream} is idle once more",
            every_s=0.2,
        )

    def values(self) -> list[bytes | None]:
        """Return what the stream has written."""
        return [each.value for each in self.headgate.read(self.destination)]


def transactional(headgate: Headgate, name: str) -> Producer:
    """Return a producer of transactions, ready to begin one."""
    producer = Producer(
        {"bootstrap.servers": headgate.servers, "transactional.id": f"{headgate.namespace}.{name}", "linger.ms": 0}
    )
    producer.init_transactions(WAIT_S)
    return producer
