"""The markers topic as a task reads it: a consumer of no group, and another client that asks for ends.

A consumer that reads committed records is told the last stable offset when it asks for an end. What has to be waited
for is the high watermark, so an uncommitted one asks, and is let go when nothing is asked for a while.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from headgate.ports.log import Log, LogConsumer, TopicPartition
from headgate_events.errors import TopicsMissing
from headgate_events.records import Record

REQUEST_S: Final = 10.0
MAX_RECORDS: Final = 5_000
QUEUED_KBYTES: Final = 1_024
"""Markers are small, and are taken as they come."""


class MarkersOfLog:
    """Implements `MarkersTopic` on the log of the streams. Belongs to one thread; every method raises LogError."""

    def __init__(self, log: Log, topic: str) -> None:
        self._log = log
        self._topic = topic
        self._consumer: LogConsumer | None = None
        self._asker: LogConsumer | None = None

    def partitions(self) -> int:
        """Return how many partitions there are. Raises TopicsMissing."""
        count = self._log.partitions(self._topic, REQUEST_S)
        if count is None:
            raise TopicsMissing(f"The topic {self._topic} does not exist.", hint="Run headgate init to create it.")
        return count

    def begin(self, positions: Mapping[int, int | None]) -> None:
        """Read these partitions."""
        if self._consumer is None:
            self._consumer = self._log.consumer(ends=True, queued_kbytes=QUEUED_KBYTES)
        consumer = self._consumer
        known = {
            TopicPartition(self._topic, each): position for each, position in positions.items() if position is not None
        }
        new = [TopicPartition(self._topic, each) for each, position in positions.items() if position is None]
        consumer.assign(known | {each: consumer.range(each, REQUEST_S).start for each in new})

    def read(self, wait_s: float) -> tuple[Sequence[Record], Mapping[int, int]]:
        """Return what is there."""
        if self._consumer is None:
            return (), {}
        batch = self._consumer.poll(MAX_RECORDS, wait_s)
        return batch.records, {each.partition: end for each, end in batch.ends.items()}

    def ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Ask for the high watermarks."""
        if self._asker is None:
            self._asker = self._log.consumer(isolation="read_uncommitted")
        return {each: self._asker.range(TopicPartition(self._topic, each), REQUEST_S).end for each in partitions}

    def rest(self) -> None:
        """Let go of the client that asks."""
        asker, self._asker = self._asker, None
        if asker is not None:
            asker.close()

    def close(self) -> None:
        """Let go of both clients."""
        self.rest()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()
