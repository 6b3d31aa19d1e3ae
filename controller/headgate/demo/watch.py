"""What is seen from outside while the story runs: committed records as they reach the destination, and heartbeats.

One consumer, one thread. It counts and remembers little; the judgement at the end is made by a fresh reader that begins
at the first record (`checker`).
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, Final, Self

import orjson
from confluent_kafka import Message

from headgate.demo.cluster import Cluster, take
from headgate.demo.flights import AIRPORTS
from headgate_events.errors import HeadgateError

POLL_S: Final = 0.1
END_TIMEOUT_S: Final = 10.0


class Watch:
    """Follows a destination and the heartbeats of a namespace. Counts may be read from any thread."""

    def __init__(self, cluster: Cluster, destination: str, source: str, heartbeats: str, stream: str) -> None:
        self.arrived = [0 for _ in AIRPORTS]
        """For each partition how many committed records have been read."""
        self.threshold = [0 for _ in AIRPORTS]
        """For each partition the threshold by which its last record was judged; 0 before the first."""
        self.classes: dict[str, int] = {}
        """How many departures were early, on time, late and very late so far."""
        self._beats: dict[str, dict[str, Any]] = {}
        self._cluster = cluster
        self._destination = destination
        self._source = source
        self._heartbeats = heartbeats
        self._stream = stream
        self._failure: HeadgateError | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def check(self) -> None:
        """Raise what the reading failed with, if it did."""
        if self._failure is not None:
            raise self._failure

    def owners(self, since_ms: int = 0) -> dict[int, str]:
        """Return which worker says that it has which partition. Heartbeats after `since_ms` count, the newest first."""
        found: dict[int, str] = {}
        beats = sorted(self._beats.values(), key=lambda beat: -int(beat["at_ms"]))
        for beat in beats:
            if beat["at_ms"] <= since_ms:
                continue
            for task in beat.get("tasks", ()):
                if task["stream"] != self._stream:
                    continue
                for topic, partition in task.get("partitions", ()):
                    if topic == self._source:
                        found.setdefault(partition, beat["worker"])
        return found

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(END_TIMEOUT_S)

    def _run(self) -> None:
        positions = {(self._destination, partition): 0 for partition in range(len(AIRPORTS))}
        consumer = self._cluster.reader(positions | {(self._heartbeats, 0): 0})
        try:
            while not self._ended.is_set():
                for message in take(consumer, POLL_S):
                    if message.error() is None:
                        self._note(message)
        except HeadgateError as problem:
            self._failure = problem
        finally:
            consumer.close()

    def _note(self, message: Message) -> None:
        value = message.value()
        if value is None:
            return
        try:
            said = orjson.loads(value)
        except orjson.JSONDecodeError:
            said = {}  # the checker names it at the end; here it only counts
        if message.topic() == self._heartbeats:
            if isinstance(said, dict) and isinstance(said.get("at_ms"), int) and "worker" in said:
                self._beats[said["worker"]] = said
            return
        partition = message.partition() or 0
        self.arrived[partition] += 1
        if isinstance(said, dict):
            self.threshold[partition] = said.get("late_after_min") or 0
            judged = str(said.get("class"))
            self.classes[judged] = self.classes.get(judged, 0) + 1


def now_ms() -> int:
    """Return the wall clock in epoch milliseconds, as heartbeats carry it."""
    return time.time_ns() // 1_000_000
