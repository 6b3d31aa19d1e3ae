"""Appending: one COPY for each stretch of rows with the same columns."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from headgate.destinations.postgresql.rows import Row, Rows, runs
from headgate.destinations.postgresql.session import Session
from headgate.destinations.postgresql.tables import name_of
from headgate.destinations.postgresql.writing import refused


class Appending:
    """Adds every row to the table."""

    def __init__(self, schema: str, table: str, shapes: Rows) -> None:
        self._table = table
        self._into = name_of(schema, table)
        self._shapes = shapes
        self._statements: dict[int, sql.Composed] = {}

    def prepare(self, session: Session) -> None:
        """Nothing is needed."""

    def put(self, session: Session, rows: Sequence[Row]) -> None:
        """Copy the rows."""
        for first, after in runs(rows):
            stretch = rows[first:after]
            try:
                session.copy(self._statement(stretch[0].shape), [row.line for row in stretch])
            except psycopg.Error as error:
                raise refused(error, self._table, range(first, after)) from error

    def _statement(self, shape: int) -> sql.Composed:
        if (known := self._statements.get(shape)) is not None:
            return known
        columns = sql.SQL(", ").join(map(sql.Identifier, self._shapes.columns(shape)))
        self._statements[shape] = made = sql.SQL("COPY {} ({}) FROM STDIN").format(self._into, columns)
        return made
