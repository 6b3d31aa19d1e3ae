"""A follower: reads a topic from its beginning, then follows it, and knows whether it has caught up.

A compacted topic is followed as a whole, without a group. Caught up means: read past the ends that the broker named at
the last look. `look_again` names new ends, so that a worker can say "this is what stood there after I asked".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from headgate.ports.errors import LogFatal, LogUnavailable, PositionLost, TopicMissing
from headgate.ports.log import Isolation, Log, LogConsumer, TopicPartition
from headgate_events.errors import TopicsMissing
from headgate_events.records import Record

MAX_RECORDS: Final = 5_000
REQUEST_S: Final = 10.0


class Follower:
    """Follows every partition of one topic. One thread owns it."""

    def __init__(self, log: Log, topic: str, isolation: Isolation = "read_committed") -> None:
        self._log = log
        self._topic = topic
        self._isolation: Isolation = isolation
        self._consumer: LogConsumer | None = None
        self._asker: LogConsumer | None = None
        self._ends: dict[TopicPartition, int] = {}
        self._positions: dict[TopicPartition, int] = {}

    @property
    def caught_up(self) -> bool:
        """Whether everything that stood there at the last look has been read."""
        return bool(self._positions) and not self._ends

    def poll(self, wait_s: float) -> Sequence[Record]:
        """Return the next records, in order within each partition; none when the broker is out of reach.

        Raises TopicsMissing when there is no such topic, and other LogErrors that do not pass by themselves.
        """
        try:
            if self._consumer is None:
                self._begin()
            assert self._consumer is not None
            batch = self._consumer.poll(MAX_RECORDS, wait_s)
        except LogUnavailable:
            return ()
        except (LogFatal, PositionLost):
            self.close()
            return ()
        for record in batch.records:
            self._positions[TopicPartition(record.topic() or "", record.partition() or 0)] = (record.offset() or 0) + 1
        self._positions.update(batch.ends)
        if self._ends:
            self._ends = {each: end for each, end in self._ends.items() if self._positions[each] < end}
        return batch.records

    def look_again(self) -> None:
        """Ask the broker for the present ends; `caught_up` is about them from now on. Raises LogUnavailable.

        A client of its own asks: on the reader's connection the question would wait behind its long poll.
        """
        if self._consumer is None:
            return
        if self._asker is None:
            self._asker = self._log.consumer(isolation=self._isolation)
        try:
            ends = {each: self._asker.range(each, REQUEST_S).end for each in self._positions}
        except LogFatal as error:
            self._asker = None  # a new one asks next time
            raise LogUnavailable(error.message, hint=error.hint) from error
        self._ends = {each: end for each, end in ends.items() if self._positions[each] < end}

    def close(self) -> None:
        """Stop; a later poll begins from the beginning."""
        clients, self._consumer, self._asker = (self._consumer, self._asker), None, None
        self._positions, self._ends = {}, {}
        for client in clients:
            if client is not None:
                client.close()

    def _begin(self) -> None:
        count = self._log.partitions(self._topic, REQUEST_S)
        if count is None:
            raise TopicsMissing(f"The topic {self._topic} does not exist.", hint="Run headgate init to create it.")
        consumer = self._log.consumer(isolation=self._isolation, ends=True)
        try:
            ranges = {
                each: consumer.range(each, REQUEST_S)
                for each in (TopicPartition(self._topic, number) for number in range(count))
            }
            consumer.assign({each: held.start for each, held in ranges.items()})
        except TopicMissing as error:
            # It was there a moment ago: a broker that has just started does not know all of its partitions yet.
            consumer.close()
            raise LogUnavailable(error.message, hint=error.hint) from error
        except Exception:
            consumer.close()
            raise
        self._consumer = consumer
        self._positions = {each: held.start for each, held in ranges.items()}
        self._ends = {each: held.end for each, held in ranges.items() if held.end > held.start}
