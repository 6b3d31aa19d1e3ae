"""Dead letters: records that could not be processed, as they lie on `<ns>.dead-letters.<stream>`.

Key, value and headers are the source record's own, unchanged. Headers of ours are added behind them, all of them text:
where the record came from, what was wrong with it, and under which run of the stream it was set aside. A record that
was set aside, sent again and set aside once more carries ours twice; the last ones count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from headgate_events.errors import UnreadableRecord
from headgate_events.records import Record

PREFIX: Final = "headgate-"
MAX_MESSAGE_CHARACTERS: Final = 1_000
Headers = Sequence[tuple[str, bytes | str | None]]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Where a record came from and why it was set aside. `timestamp_ms` is the source record's; 0 for none.

    `attempt` counts from 1: how often the record was tried. `error_id` follows from the record and the error's code,
    so that the same failure of the same record has the same id.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    error_id: str
    code: str
    message: str
    attempt: int
    stream: str
    incarnation: int
    epoch: int
    revision: int

    def headers(self) -> list[tuple[str, bytes]]:
        """Return our headers, to be added behind the record's own."""
        return [(PREFIX + name, str(getattr(self, field)).encode()) for name, field in _FIELDS.items()]


_FIELDS: Final = {
    "source-topic": "topic",
    "source-partition": "partition",
    "source-offset": "offset",
    "source-timestamp": "timestamp_ms",
    "error-id": "error_id",
    "error-code": "code",
    "error-message": "message",
    "attempt": "attempt",
    "stream": "stream",
    "incarnation": "incarnation",
    "epoch": "epoch",
    "revision": "revision",
}
"""Each header, without its prefix, and the field that it carries."""
_NUMBERS: Final = frozenset({"partition", "offset", "timestamp_ms", "attempt", "incarnation", "epoch", "revision"})
_OURS: Final = frozenset(PREFIX + name for name in _FIELDS)


def read_dead_letter(record: Record) -> DeadLetter:
    """Return what a dead letter says of itself. Raises UnreadableRecord when our headers are missing or wrong."""
    found = {name: value for name, value in record.headers() or () if name in _OURS}
    fields: dict[str, str | int] = {}
    for name, field in _FIELDS.items():
        raw = found.get(PREFIX + name)
        text = raw.decode(errors="replace") if isinstance(raw, bytes) else raw
        if text is None or (field in _NUMBERS and not text.isdecimal()):
            raise UnreadableRecord(
                "record.not_a_dead_letter",
                f"A record has no usable header {PREFIX}{name}.",
                hint="Only workers write to this topic.",
            )
        fields[field] = int(text) if field in _NUMBERS else text
    return DeadLetter(**fields)  # type: ignore[arg-type]


def original_headers(record: Record) -> list[tuple[str, bytes | str | None]]:
    """Return the headers that the source's record had."""
    return [(name, value) for name, value in record.headers() or () if name not in _OURS]
