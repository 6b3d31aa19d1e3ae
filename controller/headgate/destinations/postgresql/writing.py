"""How rows get into the table: what appending and upserting have in common, and who is to blame when they do not.

`put` writes all rows or raises. Where the server refused data in a COPY, it names the line; a constraint that is
checked at the end of a statement names none, and then the shortest refused beginning of the rows is searched, by
halving, each attempt undone: its last row is the one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol

import psycopg

from headgate.destinations.postgresql.faults import is_of_a_record
from headgate.destinations.postgresql.rows import Row
from headgate.destinations.postgresql.session import CALL_S, Session

SAVEPOINT: Final = "headgate_rows"


class DataRefused(Exception):
    """The server refused data. `number` is the row's place among those that were put; None where it did not say."""

    def __init__(self, error: psycopg.Error, number: int | None) -> None:
        super().__init__(str(error.sqlstate))
        self.error = error
        self.number = number


class RowRefused(Exception):
    """The server refused data, and `number` is the place of the row that is to blame among those that were put."""

    def __init__(self, error: psycopg.Error, number: int) -> None:
        super().__init__(str(error.sqlstate))
        self.error = error
        self.number = number


class Writing(Protocol):
    """A way to write rows in the session's open transaction."""

    def prepare(self, session: Session) -> None:
        """Make what the session needs for it, once after connecting and outside of a transaction."""
        ...

    def put(self, session: Session, rows: Sequence[Row]) -> None:
        """Write rows, in their order. Raises DataRefused, or psycopg.Error for what is no row's fault."""
        ...


def refused(error: psycopg.Error, table: str, numbers: Sequence[int]) -> psycopg.Error | DataRefused:
    """Return what to raise for an error of a copy into `table`, whose line n is the row `numbers[n - 1]`."""
    if not is_of_a_record(error):
        return error
    found = re.search(rf"^COPY {re.escape(table)}, \S+ (\d+)\b", error.diag.context or "", re.MULTILINE)
    line = int(found[1]) if found else 0
    return DataRefused(error, numbers[line - 1] if 1 <= line <= len(numbers) else None)


def put(session: Session, writing: Writing, rows: Sequence[Row]) -> None:
    """Write rows after the savepoint. Raises RowRefused, or psycopg.Error for what is no row's fault."""
    try:
        writing.put(session, rows)
    except DataRefused as first:
        if first.number is not None:
            raise RowRefused(first.error, first.number) from first.error
        with session.within(CALL_S):
            raise _searched(session, writing, rows, first) from first.error


def _searched(session: Session, writing: Writing, rows: Sequence[Row], first: DataRefused) -> RowRefused:
    """Find the shortest beginning of the rows that is refused; the rows as a whole were."""
    error, fine, bad = first.error, 0, len(rows)
    while bad - fine > 1:
        middle = (fine + bad) // 2
        session.run(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
        try:
            writing.put(session, rows[:middle])
        except DataRefused as again:
            error = again.error
            bad = middle if again.number is None else again.number + 1
        else:
            fine = middle
    return RowRefused(error, bad - 1)
