"""Looking at the database, item by item, without changing it: for a validation, and before every opening.

What a validation shows is what an opening insists on: the same items, of which the first that failed is raised.
"""

from __future__ import annotations

from collections.abc import Sequence

from headgate.destinations.postgresql import tables
from headgate.destinations.postgresql.faults import RightsMissing, SchemaConflict
from headgate.destinations.postgresql.layout import Layout, fit
from headgate.destinations.postgresql.ledger import COLUMNS
from headgate.destinations.postgresql.session import Session
from headgate.destinations.postgresql.settings import PostgresqlDestinationSettings
from headgate.destinations.postgresql.tables import Table
from headgate.ports.connectors import ConnectorRefused
from headgate_events.schema.common import Check

MISSING_TABLE = "destination.table_missing"
REMEDY = "Change the table or the stream's destination."
OLDEST_SERVER = 12


def failed(checks: Sequence[Check]) -> ConnectorRefused | None:
    """Return the error for the first check that failed, or None where none did."""
    for check in checks:
        if check.result == "failed":
            kind = RightsMissing if check.code == RightsMissing.code else SchemaConflict
            return kind(check.message, hint=check.hint)
    return None


def examine(
    session: Session, settings: PostgresqlDestinationSettings, *, with_positions: bool
) -> tuple[list[Check], Layout | None]:
    """Return the items, and the layout where there is a table that the records fit."""
    checks: list[Check] = []
    layout = None
    name = f"{settings.schema_name}.{settings.table}"
    table = tables.look_at(session, settings.schema_name, settings.table)
    if table is None:
        checks.append(_to_create(session, settings.schema_name, settings.table, wanted=settings.create))
    else:
        layout, problems = fit(settings, table, lambda declared: tables.type_name(session, declared))
        sentence = "; ".join(problems)
        if problems:
            if sentence.startswith("the "):
                sentence = f"T{sentence[1:]}"
            checks.append(_failed("destination.columns", SchemaConflict.code, f"{sentence}.", REMEDY))
        else:
            checks.append(_passed("destination.columns", f"{name} takes {len(layout.taken)} column(s)"))
        if table.unlogged:
            checks.append(
                Check(
                    name="destination.table",
                    result="warning",
                    code="destination.unlogged",
                    message=f"{name} is unlogged: PostgreSQL empties it after a crash, and the positions stay.",
                    hint="ALTER TABLE … SET LOGGED.",
                )
            )
        checks.append(_rights(settings, name, table, layout, session))
    if with_positions:
        checks.append(_positions(session, settings))
    return checks, layout


def _to_create(session: Session, schema: str, table: str, *, wanted: bool) -> Check:
    item, full = "destination.table", f"{schema}.{table}"
    if not wanted:
        hint = "Create it, correct its name, or set create: true with the columns' types."
        return _failed(item, MISSING_TABLE, f"There is no table {full}.", hint)
    allowed = tables.may_create(session, schema)
    if allowed is None:
        return _failed(item, MISSING_TABLE, f"There is no schema {schema} to create {full} in.", "Create the schema.")
    if not allowed:
        return _failed(
            item,
            RightsMissing.code,
            f"The role may not create {full}.",
            f"GRANT CREATE ON SCHEMA {schema}, or create it.",
        )
    return _passed(item, f"{full} is not there yet and is created at the start")


def _rights(
    settings: PostgresqlDestinationSettings, name: str, table: Table, layout: Layout, session: Session
) -> Check:
    item, missing = "destination.rights", []
    columns = [each.column for each in layout.taken]
    upserts = settings.mode == "upsert"
    if not all(each.may_insert for each in columns):
        missing.append("INSERT")
    if upserts and not all(each.may_update for each in columns if each.name not in layout.keys):
        missing.append("UPDATE")
    if upserts and not all(each.may_select for each in columns):
        missing.append("SELECT")
    if upserts and settings.on_tombstone == "delete" and not table.may_delete:
        missing.append("DELETE")
    if missing:
        needs = ", ".join(missing)
        return _failed(item, RightsMissing.code, f"The role lacks {needs} on {name}.", f"GRANT {needs} ON {name}.")
    if table.row_security:
        hint = "Give the role BYPASSRLS, or make it the table's owner."
        return _failed(item, RightsMissing.code, f"Row security of {name} holds for the role, so it cannot copy.", hint)
    if upserts and not tables.may_stage(session):
        hint = "GRANT TEMPORARY ON DATABASE …."
        return _failed(item, RightsMissing.code, "The role may not make temporary tables, which upserts need.", hint)
    return _passed(item, f"the role may write to {name}")


def _positions(session: Session, settings: PostgresqlDestinationSettings) -> Check:
    item, full = "destination.positions", f"{settings.schema_name}.{settings.positions_table}"
    table = tables.look_at(session, settings.schema_name, settings.positions_table)
    if table is None:
        check = _to_create(session, settings.schema_name, settings.positions_table, wanted=True)
        return check.model_copy(update={"name": item})
    if table.kind != "r" or not COLUMNS.issuperset(table.columns) or not COLUMNS.issubset(table.columns):
        hint = "Name another table with positions_table."
        return _failed(item, SchemaConflict.code, f"{full} is no table of positions.", hint)
    allowed = all(each.may_insert and each.may_update and each.may_select for each in table.columns.values())
    if not allowed:
        hint = f"GRANT SELECT, INSERT, UPDATE ON {full}."
        return _failed(item, RightsMissing.code, f"The role may not keep positions in {full}.", hint)
    if table.unlogged:
        hint = "ALTER TABLE … SET LOGGED."
        return _failed(item, SchemaConflict.code, f"{full} is unlogged, so a crash would lose the positions.", hint)
    return _passed(item, f"positions are kept in {full}")


def _passed(name: str, message: str) -> Check:
    return Check(name=name, result="passed", message=message)


def _failed(name: str, code: str, message: str, hint: str) -> Check:
    return Check(name=name, result="failed", code=code, message=message[:1_000], hint=hint)
