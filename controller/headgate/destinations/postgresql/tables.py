"""A table as it is on the server: its columns and their sorts, its keys, and what we may do with it.

Nothing here changes the server but `create`. Names go into statements as identifiers of psycopg.sql, always with their
schema, so that nothing depends on a search path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from headgate.destinations.postgresql.encoding import Sort
from headgate.destinations.postgresql.session import Session
from headgate.destinations.postgresql.settings import ColumnSettings

_TABLE: Final = """
SELECT c.oid::bigint, c.relkind::text, c.relpersistence::text, row_security_active(c.oid),
       has_table_privilege(c.oid, 'DELETE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s
"""
_COLUMNS: Final = """
SELECT a.attname::text, format_type(a.atttypid, NULL), a.attnotnull, a.atthasdef OR a.attidentity <> '',
       a.attgenerated <> '' OR a.attidentity = 'a',
       b.typcategory::text, b.typname::text, coalesce(e.typname::text, ''),
       has_column_privilege(a.attrelid, a.attnum, 'INSERT'), has_column_privilege(a.attrelid, a.attnum, 'UPDATE'),
       has_column_privilege(a.attrelid, a.attnum, 'SELECT')
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
LEFT JOIN pg_type e ON e.oid = b.typelem AND b.typcategory = 'A'
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_KEYS: Final = """
SELECT array_agg(a.attname::text) FROM pg_index i JOIN pg_attribute a
ON a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
WHERE i.indrelid = %s AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
GROUP BY i.indexrelid
"""
_SORTS: Final[Mapping[str, Sort]] = {"json": "json", "jsonb": "json", "bytea": "bytes"}
_TIMES: Final = frozenset({"timestamp", "timestamptz", "date"})


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `sort` and `element` say how a value is put for it; `may_` what our role is allowed."""

    name: str
    type: str
    sort: Sort
    element: Sort
    exact: bool
    not_null: bool
    has_default: bool
    generated: bool
    may_insert: bool
    may_update: bool
    may_select: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table, or what else has its name: `kind` is the catalogue's letter (r is a table, p a partitioned one)."""

    kind: str
    unlogged: bool
    row_security: bool
    may_delete: bool
    columns: Mapping[str, Column]
    keys: Sequence[frozenset[str]]


def name_of(schema: str, table: str) -> sql.Identifier:
    """Return a table's full name, quoted."""
    return sql.Identifier(schema, table)


def look_at(session: Session, schema: str, table: str) -> Table | None:
    """Return the table as it is now, or None where there is none (or none in a schema that we may use)."""
    row = session.run(_TABLE, (schema, table)).fetchone()
    if row is None:
        return None
    oid, kind, persistence, row_security, may_delete = row
    columns = {each[0]: _column(*each) for each in session.run(_COLUMNS, (oid,)).fetchall()}
    keys = [frozenset(names) for (names,) in session.run(_KEYS, (oid,)).fetchall()]
    return Table(kind, persistence == "u", row_security, may_delete, columns, keys)


def create(
    session: Session, schema: str, table: str, columns: Mapping[str, ColumnSettings], keys: Sequence[str]
) -> None:
    """Create the table, unless it is there. Within a transaction."""
    items: list[sql.Composable] = []
    for name, column in columns.items():
        assert column.type is not None, "the settings checked that every column of a table to create has a type"
        # The type's text is one of an allow-list (settings), so it is the statement's own and no value.
        item = sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(column.type))
        items.append(item if column.nullable else item + sql.SQL(" NOT NULL"))
    if keys:
        items.append(sql.SQL("PRIMARY KEY ({})").format(sql.SQL(", ").join(map(sql.Identifier, keys))))
    session.run(sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})").format(name_of(schema, table), sql.SQL(", ").join(items)))


def may_create(session: Session, schema: str) -> bool | None:
    """Say whether our role may create tables in a schema; None where there is no such schema."""
    row = session.run(
        "SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = %s", (schema,)
    ).fetchone()
    return None if row is None else bool(row[0])


def may_stage(session: Session) -> bool:
    """Say whether our role may make temporary tables, which upserts need."""
    row = session.run("SELECT has_database_privilege(current_database(), 'TEMPORARY')").fetchone()
    return row is not None and bool(row[0])


def type_name(session: Session, declared: str) -> str:
    """Return a declared type as the catalogue spells it, without its length."""
    row = session.run("SELECT format_type(to_regtype(%s), NULL)", (declared,)).fetchone()
    return declared if row is None or row[0] is None else str(row[0])


def _column(
    name: str,
    kind: str,
    not_null: bool,
    has_default: bool,
    generated: bool,
    category: str,
    base: str,
    element: str,
    may_insert: bool,
    may_update: bool,
    may_select: bool,
) -> Column:
    sort: Sort = "array" if category == "A" else "time" if base in _TIMES else _SORTS.get(base, "plain")
    return Column(
        name=name,
        type=kind,
        sort=sort,
        element=_SORTS.get(element, "plain"),
        exact="numeric" in {base, element},
        not_null=not_null,
        has_default=has_default,
        generated=generated,
        may_insert=may_insert,
        may_update=may_update,
        may_select=may_select,
    )
