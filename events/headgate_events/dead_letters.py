"""Dead letters: records that could not be processed, as they lie on `<ns>.dead-letters.<stream>`.

Key, value and headers are the source record's own, unchanged. Headers of ours are added behind them, all of them text:
where the record came from, what was wrong with it, and under which run of the stream it was set aside. A record that
was set aside, sent again and set aside once more carries ours twice; the last ones count.

Between them lie the memories of `headgate dead-letters retry`: which dead letters were sent again, when and by whom. A
memory is told by its last header. A dead letter ends with headers of ours, so no source record can pass for a memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import orjson

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


class Number(NamedTuple):
    """The place of a dead letter on its topic, which is how people name it: `PARTITION:OFFSET`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


def number_of(record: Record) -> Number:
    """Return where a record stands on the dead-letters topic."""
    return Number(record.partition() or 0, record.offset() or 0)


def read_number(text: str) -> Number | None:
    """Return the number that a text names, `PARTITION:OFFSET` or the offset alone (partition 0); None for none."""
    parts = text.strip().split(":")
    if len(parts) > 2 or not all(part.isascii() and part.isdecimal() and len(part) < 19 for part in parts):
        return None
    return Number(int(parts[0]) if len(parts) == 2 else 0, int(parts[-1]))


@dataclass(frozen=True, slots=True)
class Retried:
    """The memory that dead letters were sent again: to the stream's destination, or back to its source."""

    numbers: tuple[Number, ...]
    at_ms: int
    actor: str
    reason: str | None
    to: Literal["destination", "source"]
    revision: int

    def value(self) -> bytes:
        """Return the value of its record, a JSON object."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return orjson.dumps(fields | {"numbers": [str(number) for number in self.numbers]})


RETRIED_HEADERS: Final[Sequence[tuple[str, bytes]]] = ((f"{PREFIX}retried", b"1"),)
"""The headers of a memory."""


def is_retried(record: Record) -> bool:
    """Say whether a record of the dead-letters topic is a memory, not a dead letter."""
    headers: Headers = record.headers() or ()
    return bool(headers) and headers[-1][0] == RETRIED_HEADERS[-1][0]


def read_retried(record: Record) -> Retried:
    """Return what a memory says. Raises UnreadableRecord."""
    try:
        said = orjson.loads(record.value() or b"")
        numbers = tuple(number for number in map(read_number, said["numbers"]) if number is not None)
        to: Literal["destination", "source"] = "source" if said["to"] == "source" else "destination"
        return Retried(numbers, int(said["at_ms"]), str(said["actor"]), said.get("reason"), to, int(said["revision"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableRecord(
            "record.not_a_dead_letter",
            "A record that says which dead letters were sent again cannot be read.",
            hint="Only `headgate dead-letters retry` writes such records to this topic.",
        ) from error


def original_headers(record: Record) -> list[tuple[str, bytes | str | None]]:
    """Return the headers that the source's record had."""
    return [(name, value) for name, value in record.headers() or () if name not in _OURS]
