"""Writing dead letters: the record as it was, with headers that say where it came from and what was wrong with it.

Where the destination has a transaction of the source's cluster, a dead letter goes into it, and so moves together with
the position. Elsewhere it is written by a producer of its own and is durable before the position is committed: after a
crash in between it may stand there twice, with the same error id. A task that goes back to its committed positions, as
it does when a destination refuses one record of many, remembers which letters it has sent, and sends none again.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from headgate.ports.destination import Destination, TakesAside, timestamp_of
from headgate.ports.errors import LogError
from headgate.ports.log import Log, LogProducer
from headgate.worker.view import View
from headgate_events.dead_letters import MAX_MESSAGE_CHARACTERS, PREFIX, RETRIED_HEADERS, DeadLetter, Retried
from headgate_events.errors import HeadgateError
from headgate_events.records import Record

MOST_BYTES: Final = 64 * 1024 * 1024
CONFIG: Final = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "max.message.bytes": str(MOST_BYTES),
    "message.timestamp.after.max.ms": str(2**63 - 1),
}
"""A dead letter waits for a person, however long that takes; and what no other topic takes has to have room here."""
PARTITIONS: Final = 1
REQUEST_S: Final = 20.0
FLUSH_S: Final = 30.0


class DeadLetters:
    """The dead letters of one task. Its thread owns it."""

    def __init__(self, log: Log, topic: str, destination: Destination) -> None:
        self._log = log
        self._topic = topic
        self._destination = destination
        self._producer: LogProducer | None = None
        self._sent: set[tuple[str, int, int]] = set()

    def open(self) -> None:
        """See to it that the topic is there. Raises LogError."""
        self._log.create_topic(self._topic, PARTITIONS, CONFIG, REQUEST_S)

    def write(self, record: Record, error: HeadgateError, view: View, revision: int, tried: int | None = None) -> None:
        """Write one; it is durable after `flush`, or with the destination's transaction. Raises LogError.

        `tried` is how often the record was tried before, where the caller knows; else its own headers say it.
        """
        theirs = list(record.headers() or ())
        letter = DeadLetter(
            topic=record.topic() or "",
            partition=record.partition() or 0,
            offset=record.offset() or 0,
            timestamp_ms=timestamp_of(record),
            error_id=error_id(view, record, error.code),
            code=error.code,
            message=" ".join(str(error).split())[:MAX_MESSAGE_CHARACTERS],
            attempt=1 + (_attempts(theirs) if tried is None else tried),
            stream=view.stream,
            incarnation=view.incarnation,
            epoch=view.epoch,
            revision=revision,
        )
        place = letter.topic, letter.partition, letter.offset
        if place in self._sent:
            return
        self._put(record.value(), record.key(), [*theirs, *letter.headers()], timestamp_of(record))
        if not isinstance(self._destination, TakesAside):
            self._sent.add(place)

    def remember(self, retried: Retried) -> None:
        """Write that dead letters were sent again; it is durable as a dead letter is. Raises LogError."""
        self._put(retried.value(), None, [*RETRIED_HEADERS], retried.at_ms)

    def _put(
        self,
        value: bytes | None,
        key: bytes | None,
        headers: list[tuple[str, bytes | str | None]],
        timestamp_ms: int,
    ) -> None:
        if isinstance(self._destination, TakesAside):
            self._destination.aside(self._topic, value, key, headers, None, timestamp_ms)
            return
        if self._producer is None:
            self._producer = self._log.producer(failures_only=True, client={"message.max.bytes": MOST_BYTES})
        self._producer.produce(self._topic, value, key, headers, None, timestamp_ms)

    def flush(self) -> None:
        """Wait until those outside a transaction are durable. Raises LogError; then they are sent again."""
        if self._producer is None:
            return
        try:
            self._producer.flush(FLUSH_S)
        except LogError:
            self._sent.clear()
            raise

    def committed(self) -> None:
        """Forget which were sent: the positions are past them."""
        self._sent.clear()

    def close(self) -> None:
        """Let go of the producer, if there is one."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()


def error_id(view: View, record: Record, code: str) -> str:
    """Name the failure of one record; the same failure of the same record has the same name."""
    about = f"{view.stream}|{view.incarnation}|{record.topic()}|{record.partition()}|{record.offset()}|{code}"
    return sha256(about.encode()).hexdigest()[:16]


def _attempts(headers: list[tuple[str, bytes | str | None]]) -> int:
    """Return how often a record was tried before, by the header that an earlier dead letter left."""
    told = next((value for name, value in reversed(headers) if name == f"{PREFIX}attempt"), None)
    text = told.decode(errors="replace") if isinstance(told, bytes) else told or ""
    return int(text) if text.isdecimal() and len(text) < 10 else 0
