"""Read whole topics and keep reading: what the state reader and the history reader share.

Where a topic ended is noted first, transactions that are still open included; then committed records are read until
that place is reached. After that the same consumer follows. One thread owns it, and a wait lasts at most 100 ms, so
that signals are heard.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from headgate_events.client.kafka import (
    LOGGER,
    POLL_S,
    REQUEST_MAX_S,
    Settings,
    count_partitions,
    high_watermarks,
    is_transient,
    make_consumer,
    take,
    unreachable,
    wrapped,
)
from headgate_events.errors import EnvironmentProblem

CLOSE_NOTE_S: Final = 5.0


class TopicReader:
    """Reads some partitions of one topic: to what was their end when asked, then on. Belongs to one thread."""

    def __init__(self, bootstrap_servers: str, topic: str, kafka: Settings | None) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._kafka = kafka
        self._consumer: Consumer | None = None
        self._reached: dict[int, int] = {}
        self._trouble: KafkaError | None = None

    def partitions(self, timeout_s: float) -> int:
        """Ask how many partitions the topic has. Raises TopicsMissing or ClusterUnreachable."""
        return count_partitions(self._client(), self._topic, timeout_s)

    def at_time(self, partitions: range | list[int], timestamp_ms: int, timeout_s: float) -> dict[int, int]:
        """Return the first offset at or after a time; partitions without one are absent. Raises ClusterUnreachable."""
        asked = [TopicPartition(self._topic, partition, timestamp_ms) for partition in partitions]
        try:
            found = self._client().offsets_for_times(asked, timeout=_bounded(timeout_s))
        except KafkaException as problem:
            raise wrapped(problem.args[0], f"asking {self._topic} for a time") from problem
        return {each.partition: each.offset for each in found if each.offset >= 0 and each.error is None}

    def start(self, positions: Mapping[int, int | None]) -> None:
        """Read these partitions from these positions on; None is the beginning."""
        self._reached = {partition: position or 0 for partition, position in positions.items()}
        self._client().assign(
            [
                TopicPartition(self._topic, partition, OFFSET_BEGINNING if position is None else position)
                for partition, position in positions.items()
            ]
        )

    def to_now(self, timeout_s: float) -> Iterator[list[Message]]:
        """Yield batches until all that was there when this was called is read.

        Raises ClusterUnreachable when that did not happen within `timeout_s`, or EnvironmentProblem when a transaction
        that is still open holds the records back.
        """
        deadline = time.monotonic() + timeout_s
        if not self._reached:
            return  # no partition had anything to read
        ends = high_watermarks(self._bootstrap_servers, self._kafka, self._topic, self._reached, timeout_s)
        self._note_positions()
        unfinished = {partition for partition, end in ends.items() if self._reached[partition] < end}
        while unfinished:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise self._late(timeout_s, unfinished)
            batch = self._take(min(POLL_S, left_s))
            self._note_positions()
            unfinished = {partition for partition in unfinished if self._reached[partition] < ends[partition]}
            if batch:
                yield batch

    def onward(self, timeout_s: float | None) -> Iterator[list[Message]]:
        """Yield batches as they come, for `timeout_s` seconds; None is for ever. A batch may be empty."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while deadline is None or time.monotonic() < deadline:
            left_s = POLL_S if deadline is None else max(0.0, min(POLL_S, deadline - time.monotonic()))
            yield self._take(left_s)

    def poll(self) -> list[Message]:
        """Return what is there, without waiting."""
        return self._take(0.0)

    def close(self) -> None:
        """Let go of the consumer; it belongs to no group, so nothing is waited for."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            began = time.monotonic()
            consumer.close()
            if time.monotonic() - began > CLOSE_NOTE_S:
                LOGGER.warning("closing a reader of %s took %.1f s", self._topic, time.monotonic() - began)

    def _client(self) -> Consumer:
        if self._consumer is None:
            self._consumer = make_consumer(self._bootstrap_servers, self._kafka)
        return self._consumer

    def _take(self, timeout_s: float) -> list[Message]:
        batch = take(self._client(), timeout_s=timeout_s)
        if any(message.error() is not None for message in batch):
            batch = [message for message in batch if self._is_record(message)]
        return batch

    def _note_positions(self) -> None:
        """Ask the client, which knows it, how far each partition was read: cheaper than looking at every record."""
        asked = [TopicPartition(self._topic, partition) for partition in self._reached]
        for each in self._client().position(asked):
            self._reached[each.partition] = max(self._reached[each.partition], each.offset)

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.code() == KafkaError._PARTITION_EOF:
            partition, offset = message.partition(), message.offset()
            assert partition is not None
            assert offset is not None
            self._reached[partition] = max(self._reached.get(partition, 0), offset)
        elif is_transient(error):
            self._trouble = error
        else:
            raise wrapped(error, f"reading {self._topic}")
        return False

    def _late(self, timeout_s: float, unfinished: set[int]) -> EnvironmentProblem:
        if self._trouble is not None:
            return unreachable(f"reading {self._topic}", self._trouble.str())
        return EnvironmentProblem(
            f"{self._topic} was not read to its end within {timeout_s:g} s: partitions {sorted(unfinished)} are left.",
            hint="An open transaction of a projector that died may hold it back; it ends by itself. Or wait longer.",
        )


def _bounded(timeout_s: float) -> float:
    return min(max(timeout_s, 0.1), REQUEST_MAX_S)
