"""What needs no server: settings that fit together, and what each of PostgreSQL's errors means for a stream."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from pydantic import ValidationError

from headgate.destinations.postgresql.encoding import cell, line
from headgate.destinations.postgresql.faults import (
    RightsMissing,
    SchemaConflict,
    TookTooLong,
    chained,
    explained,
    is_of_a_record,
)
from headgate.destinations.postgresql.settings import PostgresqlConnection, PostgresqlDestinationSettings
from headgate.ports.connectors import ConnectorRefused, ConnectorUnavailable
from headgate_events.errors import HeadgateError

TABLE: dict[str, Any] = {"connection": "warehouse", "table": "orders"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mode": "upsert"}, "mode: upsert needs the columns that are the key"),
        ({"keys": ["id"]}, "only upsert has them"),
        ({"mode": "upsert", "keys": ["id", "id"]}, "keys names a column twice"),
        ({"fields": "none"}, "columns has to name at least one column"),
        ({"positions_table": "orders"}, "positions_table cannot be the table of the rows"),
        ({"tombstones": "delete"}, "tombstones: delete needs mode: upsert"),
        ({"mode": "upsert", "keys": ["id"], "tombstones": "delete"}, r"each of the keys from \$key"),
        ({"create": True}, "create: true needs the type of every column"),
        ({"create": True, "columns": {"a": "/a"}}, "missing for a"),
        ({"create": True, "columns": {"a": {"type": "int"}}, "mode": "upsert", "keys": ["b"]}, "missing for b"),
        ({"columns": {"a": "a"}}, "says no part of a record"),
        ({"columns": {"a": "$keys"}}, "says no part of a record"),
        ({"columns": {"a": "$topic/x"}}, "says no part of a record"),
        ({"columns": {"a": {"type": "int); DROP TABLE orders; --"}}}, "is none of the types"),
        ({"columns": {"a": {"type": "int DEFAULT 1"}}}, "is none of the types"),
        ({"table": "x" * 64}, "1 to 63 bytes"),
        ({"table": "é" * 32}, "1 to 63 bytes"),
        ({"table": "a\0b"}, "1 to 63 bytes"),
        ({"columns": {"": "/a"}}, "1 to 63 bytes"),
        ({"password": "x"}, "password"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused_with_the_reason(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        PostgresqlDestinationSettings.model_validate(TABLE | given)


@pytest.mark.parametrize("kind", ["bigint", "numeric(10, 2)", "text[]", "timestamp with time zone", "varchar(5)"])
def test_a_table_may_be_created_with_any_of_the_listed_types(kind: str) -> None:
    given = TABLE | {"create": True, "columns": {"a": {"type": kind, "nullable": False}}}
    declared = PostgresqlDestinationSettings.model_validate(given).declared()
    assert (declared["a"].part, declared["a"].type, declared["a"].nullable) == ("/a", kind, False)


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ({}, "refuse"),
        ({"mode": "upsert", "keys": ["id"]}, "refuse"),
        ({"mode": "upsert", "keys": ["id"], "columns": {"id": "$key"}}, "delete"),
        ({"mode": "upsert", "keys": ["a", "b"], "columns": {"a": "$key/a", "b": {"from": "$key/b"}}}, "delete"),
        ({"mode": "upsert", "keys": ["a", "b"], "columns": {"a": "$key/a"}}, "refuse"),
        ({"mode": "upsert", "keys": ["key"], "fields": "raw"}, "delete"),
        ({"tombstones": "skip"}, "skip"),
    ],
)
def test_what_a_tombstone_means_follows_from_the_keys(given: dict[str, Any], means: str) -> None:
    assert PostgresqlDestinationSettings.model_validate(TABLE | given).on_tombstone == means


def test_a_connection_does_not_show_its_password() -> None:
    made = PostgresqlConnection.model_validate({"database": "d", "user": "u", "password": "canary-1"})
    assert "canary" not in repr(made) + str(made) + made.place
    with pytest.raises(ValidationError):
        PostgresqlConnection.model_validate({"database": "d", "user": "u", "options": "-c x=y"})


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("08006", ConnectorUnavailable),
        ("40001", ConnectorUnavailable),
        ("40P01", ConnectorUnavailable),
        ("53100", ConnectorUnavailable),
        ("53300", ConnectorUnavailable),
        ("55P03", ConnectorUnavailable),
        ("57014", ConnectorUnavailable),
        ("57P01", ConnectorUnavailable),
        ("57P03", ConnectorUnavailable),
        ("58030", ConnectorUnavailable),
        ("25006", ConnectorUnavailable),
        ("28P01", RightsMissing),
        ("42501", RightsMissing),
        ("42P01", SchemaConflict),
        ("42703", SchemaConflict),
        ("42804", SchemaConflict),
        ("42P10", SchemaConflict),
        ("3F000", SchemaConflict),
        ("XX001", ConnectorRefused),
    ],
)
def test_each_error_of_the_server_has_the_class_of_who_has_to_act(state: str, kind: type[HeadgateError]) -> None:
    error = psycopg.errors.lookup(state)("the server's words")
    found = explained(error, "warehouse", [])
    assert type(found) is kind
    assert found.retriable is (kind is ConnectorUnavailable)
    assert "the server's words" in found.message
    assert not is_of_a_record(error)


@pytest.mark.parametrize("state", ["22P02", "22003", "22001", "23502", "23505", "23514", "23503", "44000", "P0001"])
def test_data_that_the_server_refuses_is_a_records_fault(state: str) -> None:
    assert is_of_a_record(psycopg.errors.lookup(state)("no"))


def test_an_error_that_holds_a_secret_is_told_without_it_and_not_chained() -> None:
    error = psycopg.OperationalError("connection failed: canary-7 is no good")
    told = explained(error, "warehouse", ["canary-7"])
    assert told.message == "PostgreSQL did not answer for warehouse: connection failed: *** is no good."
    assert chained(error, ["canary-7"]) is None
    assert chained(error, ["another"]) is error
    assert isinstance(explained(TookTooLong("no answer"), "warehouse", []), ConnectorUnavailable)


def test_cells_and_lines_escape_what_the_format_gives_a_meaning() -> None:
    assert cell("a\tb\nc\rd\\e") == r"a\tb\nc\rd\\e"
    assert cell(r"\.") == r"\\."
    assert line(["a", r"\N", ""]) == b"a\t\\N\t\n"
