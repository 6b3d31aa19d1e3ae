"""What a run left in a table of PostgreSQL. A table has no order, so each row is a lane of its own.

Rows are only ever appended in such a run, so where a row lies names it.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from tests.checker.model import Delivered, Seen


def delivered(conninfo: str, table: str) -> tuple[Delivered, ...]:
    """Read every row that is committed; nothing where the table is still to be made."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        if connection.execute("SELECT to_regclass(%s)", (table,)).fetchone() == (None,):
            return ()
        rows = connection.execute(sql.SQL("SELECT ctid::text, n, k FROM {}").format(sql.Identifier(table))).fetchall()
    return tuple(Delivered(number, place, 0, key.encode()) for place, number, key in rows)


def seen(conninfo: str, table: str) -> Seen:
    """Return which rows are there now."""
    return {each.lane: 1 for each in delivered(conninfo, table)}
