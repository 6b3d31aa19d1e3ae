"""The parts of a record that a column can take: `$key`, `$headers/trace`, and so on.

A part is compiled once into a function of what is at hand of a record. JSON is parsed once for each record, and only
where a column needs it. A part that a record lacks is MISSING, which is not the same as null: a column with a default
gets its default then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import orjson

from headgate.destinations.postgresql.encoding import Unencodable, instant_of


class _Missing:
    """The one value that says: the record has no such part."""


MISSING: Final = _Missing()
MAX_JSON_BYTES: Final = 16 << 20
Headers = Sequence[tuple[str, bytes | str | None]]


class Parts:
    """What is at hand of one output: its bytes, where its origin stood, and its JSON once it was asked for."""

    __slots__ = ("_exact", "_key", "_value", "headers", "key", "offset", "partition", "timestamp_ms", "topic", "value")

    def __init__(
        self,
        value: bytes | None,
        key: bytes | None,
        headers: Headers | None,
        topic: str,
        partition: int,
        offset: int,
        timestamp_ms: int,
        exact: bool,
    ) -> None:
        self.value = value
        self.key = key
        self.headers = headers
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.timestamp_ms = timestamp_ms
        self._exact = exact
        self._value: Any = MISSING
        self._key: Any = MISSING

    def value_json(self) -> Any:
        """Return the value, parsed."""
        if self._value is MISSING:
            self._value = _parsed(self.value, "value", self._exact)
        return self._value

    def key_json(self) -> Any:
        """Return the key, parsed."""
        if self._key is MISSING:
            self._key = _parsed(self.key, "key", self._exact)
        return self._key


Part = Callable[[Parts], Any]


def compiled(source: str, *, as_time: bool) -> Part:
    """Return the function that takes a part; `as_time` says that the column is one of times."""
    name, slash, rest = source.partition("/")
    steps = [step.replace("~1", "/").replace("~0", "~") for step in rest.split("/")] if slash else []
    match name:
        case "" | "$value" if steps:
            return _pointer(Parts.value_json, steps)
        case "$key" if steps:
            return _pointer(Parts.key_json, steps)
        case "$headers" if steps:
            return lambda parts: _header(parts.headers, rest)
        case "$headers":
            return lambda parts: {_shown(name): _shown(value) for name, value in parts.headers or ()}
        case "$timestamp" if as_time:
            return lambda parts: instant_of(parts.timestamp_ms)
        case "$timestamp":
            return lambda parts: parts.timestamp_ms
        case _:
            attribute = name.removeprefix("$")
            return lambda parts: getattr(parts, attribute)


def field_of_value(source: str) -> str | None:
    """Return the top-level field of the value that a part lies in; None where it is no part of the value's JSON."""
    name, slash, rest = source.partition("/")
    if not slash or name not in {"", "$value"}:
        return None
    return rest.split("/")[0].replace("~1", "/").replace("~0", "~")


def single_step(source: str) -> bool:
    """Say whether a part is a top-level field of the value."""
    name, slash, rest = source.partition("/")
    return bool(slash) and name in {"", "$value"} and "/" not in rest


def _pointer(document: Callable[[Parts], Any], steps: Sequence[str]) -> Part:
    """Follow a JSON pointer (RFC 6901)."""
    if len(steps) == 1:
        only = steps[0]

        def field(parts: Parts) -> Any:
            found = document(parts)
            return found.get(only, MISSING) if isinstance(found, dict) else _item(found, only)

        return field

    def follow(parts: Parts) -> Any:
        found = document(parts)
        for step in steps:
            found = found.get(step, MISSING) if isinstance(found, dict) else _item(found, step)
            if found is MISSING:
                break
        return found

    return follow


def _item(found: Any, step: str) -> Any:
    if isinstance(found, list) and step.isascii() and step.isdigit() and int(step) < len(found):
        return found[int(step)]
    return MISSING


def _header(headers: Headers | None, name: str) -> Any:
    for each, value in reversed(headers or ()):
        if each == name:
            return value
    return MISSING


def _shown(value: bytes | str | None) -> str | None:
    """Return a header's text for JSON: what is no text, or no text to PostgreSQL, as escapes."""
    text = value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
    return text.replace("\0", "\\x00") if text is not None and "\0" in text else text


def _parsed(raw: bytes | None, which: str, exact: bool) -> Any:
    if raw is None:
        return None
    if len(raw) > MAX_JSON_BYTES:
        raise Unencodable(f"lies in a {which} of more than {MAX_JSON_BYTES} bytes")
    try:
        if exact:
            return json.loads(raw, parse_float=Decimal, parse_constant=_no_constant)
        return orjson.loads(raw)
    except (ValueError, RecursionError):
        raise Unencodable(f"needs the {which} to be JSON, and it is not") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
