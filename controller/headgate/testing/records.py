"""Records that nobody consumed: of the shape of confluent-kafka's messages, made for a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from headgate.ports.destination import Output
from headgate_events.records import Record

START_MS: Final = 1_767_225_600_000
"""The time of the record with offset 0: 2026-01-01 00:00 UTC. Each further one is a second later."""
Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class MadeRecord:
    """One record as a source would hand it over. Fields are read through the methods, as with consumed ones."""

    at_topic: str
    at_partition: int
    at_offset: int
    with_value: bytes | None
    with_key: bytes | None = None
    with_headers: Headers | None = None
    at_ms: int | None = None

    def topic(self) -> str:
        """Return the topic."""
        return self.at_topic

    def partition(self) -> int:
        """Return the partition."""
        return self.at_partition

    def offset(self) -> int:
        """Return the offset."""
        return self.at_offset

    def key(self) -> bytes | None:
        """Return the key."""
        return self.with_key

    def value(self) -> bytes | None:
        """Return the value; None is a tombstone."""
        return self.with_value

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """Return the headers in their order, or None when there are none."""
        return None if self.with_headers is None else list(self.with_headers)

    def timestamp(self) -> tuple[int, int]:
        """Return 1 (the sender's clock) and the milliseconds since the epoch."""
        return (1, START_MS + 1_000 * self.at_offset if self.at_ms is None else self.at_ms)

    def __len__(self) -> int:
        return len(self.with_value or b"")


def output_of(record: Record, value: bytes | None = None) -> Output:
    """Return what a transform that changes the value (or nothing) makes of a record."""
    shown = record.value() if value is None else value
    return Output(shown, record.key(), record.headers(), None, int(record.timestamp()[1]), record)
