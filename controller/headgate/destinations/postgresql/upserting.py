"""Upserting: rows are copied into a temporary table, from which one statement deletes and another inserts or updates.

The outcome is that of the rows one by one, in their order: of several with one key the last one counts, and a row after
a tombstone of its key begins anew, with the table's defaults. Keys are compared by the server, as its index compares
them. Rows are written in the order of their keys, so that two workers wait for each other in one direction only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import psycopg
from psycopg import sql

from headgate.destinations.postgresql.faults import is_of_a_record
from headgate.destinations.postgresql.rows import GONE, Row, Rows
from headgate.destinations.postgresql.session import Session
from headgate.destinations.postgresql.tables import name_of
from headgate.destinations.postgresql.writing import DataRefused, refused

_STAGE_NAME: Final = "headgate_stage"
_STAGE: Final = sql.Identifier("pg_temp", _STAGE_NAME)
_NUMBER: Final = sql.Identifier("headgate_number")
_GONE: Final = sql.Identifier("headgate_gone")


class Upserting:
    """Keeps one row for each key."""

    def __init__(self, schema: str, table: str, keys: Sequence[str], columns: Sequence[str], shapes: Rows) -> None:
        self._into = name_of(schema, table)
        self._keys = list(map(sql.Identifier, keys))
        self._key_names = frozenset(keys)
        self._columns = list(map(sql.Identifier, columns))
        self._shapes = shapes

    def prepare(self, session: Session) -> None:
        """Make the temporary table, with the types of the table's own columns and none of their constraints."""
        session.run(sql.SQL("DROP TABLE IF EXISTS {}").format(_STAGE))
        session.run(
            sql.SQL(
                "CREATE TEMPORARY TABLE {} ON COMMIT DELETE ROWS AS "
                "SELECT NULL::bigint AS {}, NULL::boolean AS {}, {} FROM {} WITH NO DATA"
            ).format(sql.Identifier(_STAGE_NAME), _NUMBER, _GONE, _listed(self._columns), self._into)
        )

    def put(self, session: Session, rows: Sequence[Row]) -> None:
        """Write the rows, stretch by stretch."""
        for first, after, shape in _stretches(rows):
            numbers = range(first, after)
            self._stage(session, rows, [number for number in numbers if rows[number].shape != GONE], shape)
            gone = [number for number in numbers if rows[number].shape == GONE]
            self._stage(session, rows, gone, GONE)
            try:
                if gone:
                    session.run(self._deletion(first, after))
                if shape != GONE:
                    session.run(self._insertion(first, after, shape))
            except psycopg.Error as error:
                if is_of_a_record(error):
                    raise DataRefused(error, first if after - first == 1 else None) from error
                raise

    def _stage(self, session: Session, rows: Sequence[Row], numbers: Sequence[int], shape: int) -> None:
        if not numbers:
            return
        columns = map(sql.Identifier, self._shapes.columns(shape))
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(_STAGE, _listed([_NUMBER, _GONE, *columns]))
        gone = b"t" if shape == GONE else b"f"
        try:
            session.copy(statement, [b"%d\t%b\t%b" % (number, gone, rows[number].line) for number in numbers])
        except psycopg.Error as error:
            raise refused(error, _STAGE_NAME, numbers) from error

    def _deletion(self, first: int, after: int) -> sql.Composed:
        same = sql.SQL(" AND ").join(sql.SQL("t.{0} = g.{0}").format(key) for key in self._keys)
        return sql.SQL(
            "DELETE FROM {} AS t USING (SELECT DISTINCT {} FROM {} WHERE {} AND {} >= {} AND {} < {}) AS g WHERE {}"
        ).format(self._into, _listed(self._keys), _STAGE, _GONE, _NUMBER, first, _NUMBER, after, same)

    def _insertion(self, first: int, after: int, shape: int) -> sql.Composed:
        names = self._shapes.columns(shape)
        columns, keys = _listed(list(map(sql.Identifier, names))), _listed(self._keys)
        last = sql.SQL("SELECT DISTINCT ON ({}) * FROM {} WHERE {} >= {} AND {} < {} ORDER BY {}, {} DESC").format(
            keys, _STAGE, _NUMBER, first, _NUMBER, after, keys, _NUMBER
        )
        others = [sql.Identifier(name) for name in names if name not in self._key_names]
        changes = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(each) for each in others)
        then = sql.SQL("UPDATE SET {}").format(changes) if others else sql.SQL("NOTHING")
        return sql.SQL(
            "INSERT INTO {} ({}) SELECT {} FROM ({}) AS last WHERE NOT {} ORDER BY {} ON CONFLICT ({}) DO {}"
        ).format(self._into, columns, columns, last, _GONE, keys, keys, then)


def _stretches(rows: Sequence[Row]) -> Iterator[tuple[int, int, int]]:
    """Yield (first, one after the last, shape) of stretches of one shape, with tombstones among any."""
    first, shape = 0, GONE
    for number, row in enumerate(rows):
        if row.shape not in {GONE, shape}:
            if shape != GONE:
                yield first, number, shape
                first = number
            shape = row.shape
    if rows:
        yield first, len(rows), shape


def _listed(items: Sequence[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(items)
