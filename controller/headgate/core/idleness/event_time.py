"""Where a record's event time is read from: its timestamp, a header, or a place in its JSON value.

A time is a number in the unit that the stream names, or a text in ISO 8601 (without an offset it is taken as UTC). A
record without a readable time is no error: it passes, is counted, and does not move the watermark.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

import orjson

from headgate_events.idleness.signals import saturated

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]
Reader: TypeAlias = Callable[[int | None, Headers | None, bytes | None], int | None]
"""Given a record's timestamp in ms (None when it has none), headers and value: its event time in ms, or None."""

Unit: TypeAlias = Literal["s", "ms", "us", "ns"]

_PER_MS: Final = {"ms": 1, "us": 1_000, "ns": 1_000_000}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,30}")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,9}")
_LONGEST_TEXT: Final = 64


@dataclass(frozen=True, slots=True)
class EventTime:
    """What a stream says about event time: `place` is a header's name or a JSON pointer (RFC 6901), else unused."""

    source: Literal["timestamp", "header", "json_pointer"] = "timestamp"
    place: str = ""
    unit: Unit = "ms"


def reader_of(event_time: EventTime) -> Reader:
    """Return the function that reads event times; ValueError with a sentence when `place` cannot be one."""
    unit = event_time.unit
    if event_time.source == "timestamp":
        return lambda timestamp_ms, _headers, _value: timestamp_ms
    if event_time.source == "header":
        name = event_time.place
        if not name:
            raise ValueError("event time from a header needs the header's name")
        return lambda _timestamp_ms, headers, _value: _from_header(headers, name, unit)
    steps = pointer_steps(event_time.place)
    return lambda _timestamp_ms, _headers, value: _from_json(value, steps, unit)


def pointer_steps(pointer: str) -> tuple[str, ...]:
    """Return the names on a JSON pointer's way, unescaped; ValueError when it is not one."""
    if not pointer:
        return ()
    if not pointer.startswith("/"):
        raise ValueError(f'the JSON pointer "{pointer}" does not begin with "/"')
    if re.search(r"~(?![01])", pointer):
        raise ValueError(f'the JSON pointer "{pointer}" has a "~" that is neither "~0" nor "~1"')
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/"))


def _from_header(headers: Headers | None, name: str, unit: Unit) -> int | None:
    for key, raw in reversed(headers or ()):
        if key == name:
            if raw is None or len(raw) > _LONGEST_TEXT:
                return None
            return _time(raw.decode("ascii", "replace"), unit)
    return None


def _from_json(value: bytes | None, steps: tuple[str, ...], unit: Unit) -> int | None:
    if value is None:
        return None
    try:
        found: Any = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    for step in steps:
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and _INDEX.fullmatch(step) and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return _time(found, unit)


def _time(raw: Any, unit: Unit) -> int | None:
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int):
        return saturated(raw * 1_000 if unit == "s" else raw // _PER_MS[unit])
    if isinstance(raw, float):
        if not math.isfinite(raw):
            return None
        return saturated(math.floor(raw * 1_000 if unit == "s" else raw / _PER_MS[unit]))
    if isinstance(raw, str) and len(raw) <= _LONGEST_TEXT:
        text = raw.strip()
        return _time(int(text), unit) if _WHOLE.fullmatch(text) else _from_text(text)
    return None


def _from_text(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MILLISECOND
