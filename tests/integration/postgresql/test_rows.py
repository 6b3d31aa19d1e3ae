"""How records become rows: every part of a record, every sort of column, and what a record does not say."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from headgate.ports.connectors import ConnectorRefused
from headgate.ports.destination import RecordRefused
from tests.integration.postgresql.conftest import Stand, made

EVERYTHING = """CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN percentage AS int CHECK (value BETWEEN 0 AND 100);
CREATE TABLE orders (whole bigint, part double precision, exact numeric(30, 10), yes boolean, words text,
    short varchar(8), at timestamptz, day date, id uuid, doc jsonb, raw bytea, tags text[], grid int[], docs jsonb[],
    feeling mood, share percentage, nested text)"""


def test_values_take_the_type_of_their_column(stand: Stand) -> None:
    stand.run(EVERYTHING)
    awkward = 'tab\t newline\n return\r backslash\\ quote" \\. \\N and ☕'
    stand.move(
        made(
            0,
            b'{"whole": 9007199254740993, "part": 0.1, "exact": 12345678901234567890.0123456789, "yes": true, "words": '
            b'"tab\\t newline\\n return\\r backslash\\\\ quote\\" \\\\. \\\\N and \xe2\x98\x95", "short": "short", '
            b'"at": "2026-01-02T03:04:05.678+02:00", "day": "2026-01-02", '
            b'"id": "00000000-0000-0000-0000-000000000001", '
            b'"doc": {"a": [1, null, "x"]}, "raw": "AAEC/w==", "tags": ["a,b", null, "c\\"d\\\\", ""], '
            b'"grid": [[1, 2], [3, 4]], "docs": [{"a": "b"}, 1], "feeling": "happy", "share": 7, "nested": {"b": [1]}}',
        )
    )
    (row,) = stand.run("SELECT * FROM orders")
    assert row == (
        *(9007199254740993, 0.1, Decimal("12345678901234567890.0123456789"), True, awkward, "short"),
        *(datetime(2026, 1, 2, 1, 4, 5, 678_000, UTC), date(2026, 1, 2), UUID(int=1), {"a": [1, None, "x"]}),
        *(b"\0\1\2\xff", ["a,b", None, 'c"d\\', ""], [[1, 2], [3, 4]], [{"a": "b"}, 1], "happy", 7, '{"b":[1]}'),
    )


def test_a_column_takes_the_part_of_the_record_that_is_named(stand: Stand) -> None:
    stand.run(
        "CREATE TABLE orders (k text, customer text, v jsonb, total numeric, second int, trace text, h jsonb, "
        "topic text, p int, o bigint, at timestamptz, at_ms bigint, slash text)"
    )
    value = b'{"order": {"total": 1.10, "lines": [1, 22]}, "a/b": {"c~d": "found"}}'
    record = made(
        41, value, b'{"customer": "c-1"}', with_headers=(("trace", b"1"), ("trace", b"2"), ("raw", b"\xff\0")), at_ms=1
    )
    columns = {
        "k": "$key",
        "customer": "$key/customer",
        "v": "$value",
        "total": "/order/total",
        "second": "/order/lines/1",
        "trace": "$headers/trace",
        "h": "$headers",
        "topic": "$topic",
        "p": "$partition",
        "o": "$offset",
        "at": "$timestamp",
        "at_ms": "$timestamp",
        "slash": "/a~1b/c~0d",
    }
    stand.move(record, columns=columns)
    (row,) = stand.run("SELECT * FROM orders")
    assert row == (
        *('{"customer": "c-1"}', "c-1", {"order": {"total": 1.1, "lines": [1, 22]}, "a/b": {"c~d": "found"}}),
        *(Decimal("1.10"), 22, "2", {"trace": "2", "raw": r"\xff\x00"}, "made", 0, 41),
        *(datetime(1970, 1, 1, 0, 0, 0, 1_000, UTC), 1, "found"),
    )


def test_what_a_record_does_not_say_is_null_or_the_tables_own_default(stand: Stand) -> None:
    stand.run(
        "CREATE TABLE orders (id bigserial PRIMARY KEY, amount int, state text NOT NULL DEFAULT 'new', "
        "double int GENERATED ALWAYS AS (amount * 2) STORED, n int GENERATED ALWAYS AS IDENTITY)"
    )
    stand.move(
        made(0, {"amount": 1, "double": 7}),
        made(1, {"amount": 2, "state": "old"}),
        made(2, {"state": "odd", "amount": None}),
        made(3, {"amount": 4}),
    )
    assert stand.run("SELECT amount, state, double FROM orders ORDER BY id") == [
        (1, "new", 2),
        (2, "old", 4),
        (None, "odd", None),
        (4, "new", 8),
    ]


def test_raw_columns_take_the_record_as_it_is_in_a_table_that_is_created(stand: Stand) -> None:
    stand.move(
        made(0, bytes(range(256)), b"\0\xff", at_ms=1_700_000_000_000),
        made(1, None),
        fields="raw",
        create=True,
        columns={"headers": {"type": "json"}},
    )
    assert stand.run('SELECT key, value, headers, topic, partition, "offset" FROM orders ORDER BY "offset"') == [
        (b"\0\xff", bytes(range(256)), {}, "made", 0, 0),
        (None, None, {}, "made", 0, 1),
    ]
    assert stand.run("SELECT data_type FROM information_schema.columns WHERE column_name = 'headers'") == [("json",)]


def test_names_are_quoted_whatever_they_hold(stand: Stand) -> None:
    stand.run('CREATE SCHEMA "My; schema"')
    column = 'a "quoted"; column, line 7'
    stand.move(
        made(0, {column: 5, "key%s": "k"}),
        made(1, {column: 6, "key%s": "k"}),
        schema="My; schema",
        table="t, line 3: x",
        create=True,
        mode="upsert",
        keys=["key%s"],
        positions_table='pos"itions',
        columns={column: {"type": "int"}, "key%s": {"type": "varchar(10)", "nullable": False}},
    )
    assert stand.run('SELECT * FROM "My; schema"."t, line 3: x"') == [(6, "k")]
    assert stand.run('SELECT position FROM "My; schema"."pos""itions"') == [(2,)]


@pytest.mark.parametrize(
    ("value", "settings", "said"),
    [
        (b"[1]", {}, "its value is no JSON object"),
        (b"\xff", {}, "needs the value to be JSON, and it is not"),
        (b"[" * 100_000, {}, "needs the value to be JSON, and it is not"),
        ({"amount": 1, "extra": 2}, {"unknown_fields": "refuse"}, "its value has fields that no column takes: extra"),
        ({"words": "a\0b"}, {}, "what the column words takes holds a zero byte"),
        ({"raw": "not base64"}, {}, "what the column raw takes is no base64"),
        ({"raw": 7}, {}, "what the column raw takes is neither bytes nor base64"),
        (None, {}, "it has no value, and tombstones are refused"),
        (b"\xff", {"columns": {"words": "$value"}, "fields": "none"}, "what the column words takes is no UTF-8 text"),
        (b'{"exact": NaN}', {}, "needs the value to be JSON, and it is not"),
        (b'{"words": "\\ud800"}', {}, "half of a surrogate pair"),
    ],
)
def test_a_record_of_which_no_row_can_be_made_is_refused_with_the_reason(
    stand: Stand, value: Any, settings: dict[str, Any], said: str
) -> None:
    stand.run("CREATE TABLE orders (amount int, words text, raw bytea, exact numeric)")
    owner = stand.begun(**settings)
    wrong = made(1, value, b"key")
    with pytest.raises(RecordRefused) as refused:
        owner.forward([made(0, {"amount": 1}), wrong])
    assert refused.value.origin is wrong
    assert refused.value.code == "record.unmappable"
    assert said in refused.value.message
    assert "made[0] offset 1" in refused.value.message


def test_tombstones_are_skipped_where_the_stream_says_so(stand: Stand) -> None:
    stand.run("CREATE TABLE orders (amount int)")
    stand.move(made(0, {"amount": 1}), made(1, None), made(2, {"amount": 3}), tombstones="skip")
    assert stand.run("SELECT amount FROM orders ORDER BY amount") == [(1,), (3,)]


def test_a_table_that_is_there_is_checked_against_the_declared_types(stand: Stand) -> None:
    stand.run("CREATE TABLE orders (amount text, price numeric(10, 2))")
    columns = {"amount": {"type": "int"}, "price": {"type": "numeric(12, 4)"}}
    with pytest.raises(ConnectorRefused) as refused:
        stand.begun(columns=columns, create=True)
    assert refused.value.message == "The column amount is of the type text, and the stream declares integer."
    assert refused.value.code == "destination.schema_conflict"


def test_rows_are_committed_at_least_once_without_positions(stand: Stand) -> None:
    stand.run("CREATE TABLE orders (amount int)")
    stand.move(made(0, {"amount": 1}), delivery="at_least_once")
    assert stand.run("SELECT amount FROM orders") == [(1,)]
    assert stand.run("SELECT count(*) FROM pg_class WHERE relname = 'headgate_positions'") == [(0,)]
