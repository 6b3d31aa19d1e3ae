"""Records made into lines of COPY: the hot path, compiled once for a layout.

A line belongs to a *shape*: the columns that it has. Two records differ in shape only where a column with a default is
left to the table, because the record does not say it. A tombstone's line has the key alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from headgate.destinations.postgresql.encoding import NULL, Unencodable, encoder, line
from headgate.destinations.postgresql.layout import Layout, Taken
from headgate.destinations.postgresql.parts import MISSING, Headers, Part, Parts, compiled, field_of_value, single_step
from headgate.destinations.postgresql.settings import PostgresqlDestinationSettings
from headgate.ports.destination import RecordRefused
from headgate_events.records import Record

_NOTHING: Final[Mapping[str, Any]] = {}
GONE: Final = -1
"""The shape of a tombstone."""


class Row(NamedTuple):
    """One line, with its shape (the columns that it has, as bits of their number) and the record that it came from."""

    shape: int
    line: bytes
    origin: Record


class _Field(NamedTuple):
    """One column. `field` is the value's top-level field where it takes one, which needs no call of `take`."""

    name: str
    field: str | None
    take: Part
    put: Callable[[Any], str]
    bit: int
    optional: bool
    is_key: bool


class Rows:
    """Makes rows of records. Raises RecordRefused for one that no row can be made of."""

    def __init__(self, settings: PostgresqlDestinationSettings, layout: Layout) -> None:
        self._layout = layout
        self._fields = [_field(number, each, layout) for number, each in enumerate(layout.taken)]
        self._key_fields = [next(each for each in self._fields if each.name == name) for name in layout.keys]
        self._whole = (1 << len(self._fields)) - 1
        self._exact = any(each.column.exact for each in layout.taken)
        self._needs_value = layout.needs_value
        self._upserts = settings.mode == "upsert"
        self._tombstones = settings.on_tombstone
        self._refuses_unknown = settings.unknown_fields == "refuse" and self._needs_value
        self._needs_object = self._needs_value and settings.fields_from == "by_name"

    def columns(self, shape: int) -> list[str]:
        """Return the names of the columns of a shape, in the order of its cells."""
        if shape == GONE:
            return list(self._layout.keys)
        return [each.name for each in self._fields if shape & each.bit]

    def row(
        self, value: bytes | None, key: bytes | None, headers: Headers | None, timestamp_ms: int, origin: Record
    ) -> Row | None:
        """Return the row of one output, or None where it has none (a tombstone that is skipped)."""
        topic, partition, offset = origin.topic() or "", origin.partition() or 0, origin.offset() or 0
        parts = Parts(value, key, headers, topic, partition, offset, timestamp_ms, self._exact)
        at = ""
        try:
            if value is None and (self._upserts or self._needs_value):
                return self._tombstone(parts, origin)
            document: Mapping[str, Any] = self._document(parts) if self._needs_value else _NOTHING
            shape = self._whole
            cells: list[str] = []
            for at, field, take, put, bit, optional, is_key in self._fields:  # noqa: B007 - `at` is what a refusal names
                found = take(parts) if field is None else document.get(field, MISSING)
                if found is not None and found is not MISSING:
                    cells.append(put(found))
                elif is_key:
                    raise Unencodable("is part of the key, and null or missing")
                elif found is MISSING and optional:
                    shape ^= bit
                else:
                    cells.append(NULL)
            at = ""
            if not shape:
                raise Unencodable("it has none of the fields that the columns take")
            return Row(shape, line(cells), origin)
        except Unencodable as problem:
            raise self._refusal(f"what the column {at} takes {problem}" if at else str(problem), origin) from None

    def _tombstone(self, parts: Parts, origin: Record) -> Row | None:
        if self._tombstones == "skip":
            return None
        if self._tombstones == "refuse":
            raise Unencodable("it has no value, and tombstones are refused")
        cells = []
        for each in self._key_fields:
            found = each.take(parts)
            if found is None or found is MISSING:
                raise Unencodable(f"it has no value, and its key says nothing for the column {each.name}")
            cells.append(each.put(found))
        return Row(GONE, line(cells), origin)

    def _document(self, parts: Parts) -> Mapping[str, Any]:
        """Return the value's fields; none where it is no object and no column takes them by name."""
        found = parts.value_json()
        if not isinstance(found, dict):
            if self._needs_object:
                raise Unencodable("its value is no JSON object, whose fields the columns take by name")
            return {str(place): each for place, each in enumerate(found)} if isinstance(found, list) else _NOTHING
        if self._refuses_unknown and not self._layout.fields.issuperset(found):
            unknown = sorted(set(found) - self._layout.fields)
            raise Unencodable(f"its value has fields that no column takes: {', '.join(unknown)[:200]}")
        return found

    @staticmethod
    def _refusal(problem: str, origin: Record) -> RecordRefused:
        return RecordRefused(
            f"The record at {where(origin)} has no row: {problem}.",
            origin=origin,
            code="record.unmappable",
            hint="Change the stream's columns, its transform, or what on_error does with such records.",
        )


def where(origin: Record) -> str:
    """Return a record's place, for people."""
    return f"{origin.topic()}[{origin.partition()}] offset {origin.offset()}"


def runs(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """Return the stretches of equal shape, as (first, one after the last)."""
    found: list[tuple[int, int]] = []
    begun = 0
    for number in range(1, len(rows) + 1):
        if number == len(rows) or rows[number].shape != rows[begun].shape:
            found.append((begun, number))
            begun = number
    return found


def _field(number: int, taken: Taken, layout: Layout) -> _Field:
    column = taken.column
    return _Field(
        name=column.name,
        field=field_of_value(taken.part) if single_step(taken.part) else None,
        take=compiled(taken.part, as_time=column.sort == "time"),
        put=encoder(column.sort, column.element),
        bit=1 << number,
        optional=column.has_default,
        is_key=column.name in layout.keys,
    )
