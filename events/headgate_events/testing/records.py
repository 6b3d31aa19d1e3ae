"""Records in memory: what stands on the topics of a Headgate without Kafka, with the methods of a consumed message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from headgate_events.envelope import Headers

START_MS: Final = 1_767_225_600_000
"""The time at which a new MemoryHeadgate stands: 2026-01-01 00:00 UTC."""


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """One record in memory, with the methods of a consumed Kafka message."""

    stored_topic: str
    stored_partition: int
    stored_offset: int
    stored_key: bytes | None
    stored_value: bytes | None
    stored_headers: Headers = ()
    at_ms: int = START_MS

    def topic(self) -> str:
        return self.stored_topic

    def partition(self) -> int:
        return self.stored_partition

    def offset(self) -> int:
        return self.stored_offset

    def key(self) -> bytes | None:
        return self.stored_key

    def value(self) -> bytes | None:
        return self.stored_value

    def headers(self) -> Headers:
        return self.stored_headers

    def timestamp(self) -> tuple[int, int]:
        return (2, self.at_ms)
