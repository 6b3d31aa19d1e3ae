"""Claims: how a worker says that it has taken on source partitions, and gets the token that tells it from its heir.

A claim is a marker on `<ns>.markers`. Its offset there is unique and higher for each later claim of the same stream,
since one stream's markers lie in one partition; so (incarnation, epoch, offset) orders all owners that a partition ever
had, and needs nothing from inside Kafka's groups. A delayed claim of an old owner may land last. The owner that is
still assigned then finds a higher token at the destination, begins anew, and claims again.

A claim has a key of its own beside the channel's, so that compaction keeps the channel's latest status and its latest
claim. It is written outside of any transaction: it says who may write, so it must be there before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from headgate.ports.destination import Token
from headgate.ports.errors import LogUnavailable
from headgate.ports.log import Clock, Log, LogProducer, TopicPartition
from headgate.worker.view import View
from headgate_events.codec import MARKER_TYPE, encode
from headgate_events.envelope import Envelope, rfc3339, to_headers
from headgate_events.partitioner import partition_of
from headgate_events.records import Record
from headgate_events.topics import Topics

DELIVERY_S: Final = 20.0
REQUEST_S: Final = 10.0


def partitions_of(log: Log, topic: str) -> int:
    """Return how many partitions a topic of ours has. Raises LogUnavailable also where there is no such topic now.

    It was there when the worker started, so it is the broker that has just come back; and a number that is only a
    guess would put a stream's markers into another partition than those before.
    """
    found = log.partitions(topic, REQUEST_S)
    if not found:
        raise LogUnavailable(f"The topic {topic} is not to be seen.", hint="It is tried again.")
    return found


class Claims:
    """Makes claims for one task. Its thread owns it."""

    def __init__(self, log: Log, clock: Clock, topics: Topics, worker: str) -> None:
        self._log = log
        self._clock = clock
        self._topic = topics.markers
        self._worker = worker
        self._producer: LogProducer | None = None
        self._partitions = 0

    def claim(self, view: View, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Token]:
        """Claim partitions for the view's run and return their tokens, higher than those of all earlier claims.

        Raises LogUnavailable when that cannot be written within a bound, or another LogError.
        """
        if not self._partitions:
            self._partitions = partitions_of(self._log, self._topic)
        if self._producer is None:
            self._producer = self._log.producer()
        tokens: dict[TopicPartition, Token] = {}
        for each in partitions:
            self._send(view, each, tokens)
        self._producer.flush(DELIVERY_S)
        self._producer.poll()
        if len(tokens) < len(partitions):
            raise LogUnavailable(
                f"A claim on a partition of {view.stream} could not be written to {self._topic}.",
                hint="It is tried again.",
            )
        return tokens

    def close(self) -> None:
        """Let go of the producer, if there is one. Raises LogError."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()

    def _send(self, view: View, place: TopicPartition, tokens: dict[TopicPartition, Token]) -> None:
        assert self._producer is not None
        now_ms = self._clock.now_ms()
        payload = {
            "kind": "marker",
            "marker": "CLAIM",
            "stream": view.stream,
            "channel": {"topic": place.topic, "partition": place.partition},
            "incarnation": view.incarnation,
            "epoch": view.started_epoch,
            "worker": self._worker,
            "emitted_at_ms": now_ms,
        }
        key = f"{view.stream}/{place.topic}/{place.partition}"
        headers = to_headers(
            Envelope(
                type=MARKER_TYPE,
                id=f"claim-{self._worker}-{key}-{now_ms}"[:128],
                source=f"headgate/worker/{self._worker}",
                subject=view.stream,
                time=rfc3339(now_ms),
            )
        )

        def delivered(error: Exception | None, record: Record) -> None:
            offset = record.offset()
            if error is None and offset is not None:
                tokens[place] = Token(view.incarnation, view.started_epoch, offset)

        self._producer.produce(
            self._topic,
            encode(payload),
            f"{key}/claim".encode(),
            headers,
            partition_of(view.stream, self._partitions),
            now_ms,
            delivered,
        )
