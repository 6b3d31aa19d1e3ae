"""A record of the in-memory log, with the methods of confluent-kafka's messages that anybody here uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CREATE_TIME: Final = 1
LOG_APPEND_TIME: Final = 2

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """One record where it stands. Fields are read through the methods, as with the real ones."""

    at_topic: str
    at_partition: int
    at_offset: int
    with_key: bytes | None
    with_value: bytes | None
    with_headers: Headers | None
    with_timestamp: tuple[int, int]

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

    def headers(self) -> Headers | None:
        """Return the headers in their order, or None when there are none."""
        return None if self.with_headers is None else list(self.with_headers)

    def timestamp(self) -> tuple[int, int]:
        """Return which clock it was (1 the sender's, 2 the broker's) and the milliseconds since the epoch."""
        return self.with_timestamp

    def error(self) -> None:
        """Return None: errors are no records here."""

    def __len__(self) -> int:
        return len(self.with_value or b"")
