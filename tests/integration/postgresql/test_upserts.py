"""Upserts and deletes: the outcome is that of the records one by one, however they fall into commits."""

from __future__ import annotations

import random
from typing import Any

import pytest

from headgate.ports.connectors import ConnectorRefused
from headgate.ports.destination import RecordRefused
from headgate.testing import MadeRecord
from tests.integration.postgresql.conftest import Stand, made

BY_ID = {"mode": "upsert", "keys": ["id"], "columns": {"id": "$key"}}


def test_a_tombstone_deletes_and_a_later_record_of_its_key_begins_anew(stand: Stand) -> None:
    stand.run("CREATE TABLE orders (id int PRIMARY KEY, amount int, state text DEFAULT 'new')")
    stand.move(made(0, {"amount": 1, "state": "old"}, b"1"), made(1, {"amount": 2}, b"2"), **BY_ID)
    stand.move(
        made(2, None, b"1"),
        made(3, {"amount": 3}, b"1"),
        made(4, {"amount": 4}, b"3"),
        made(5, None, b"3"),
        made(6, None, b"99"),
        **BY_ID,
    )
    assert stand.run("SELECT * FROM orders ORDER BY id") == [(1, 3, "new"), (2, 2, "new")]


def test_the_last_record_of_a_key_counts_as_the_server_compares_keys(stand: Stand) -> None:
    stand.run("CREATE TABLE orders (id numeric PRIMARY KEY, amount int)")
    stand.move(made(0, {"amount": 1}, b"1"), made(1, {"amount": 2}, b"1.0"), made(2, {"amount": 3}, b"2"), **BY_ID)
    assert stand.run("SELECT amount FROM orders ORDER BY id") == [(2,), (3,)]


def test_a_column_with_a_default_that_a_record_does_not_say_stays_as_it_is(stand: Stand) -> None:
    stand.run("CREATE TABLE orders (id int PRIMARY KEY, amount int, state text DEFAULT 'new')")
    stand.move(made(0, {"amount": 1, "state": "paid"}, b"1"), made(1, {"amount": 2}, b"1"), made(2, {}, b"2"), **BY_ID)
    assert stand.run("SELECT * FROM orders ORDER BY id") == [(1, 2, "paid"), (2, None, "new")]


@pytest.mark.parametrize("seed", range(4))
def test_any_batches_of_any_records_end_as_the_records_one_by_one(stand: Stand, seed: int) -> None:
    draw = random.Random(seed)
    stand.run("CREATE TABLE orders (id int PRIMARY KEY, amount int, state text NOT NULL DEFAULT 'new')")
    expected: dict[int, tuple[int | None, str]] = {}
    records: list[MadeRecord] = []
    for offset in range(300):
        number, key = draw.randrange(12), b"%d"
        value: dict[str, Any] | None = None
        if draw.random() < 0.7:
            value = {
                name: found for name, found in (("amount", offset), ("state", f"s{offset}")) if draw.random() < 0.6
            }
            before = expected.get(number, (None, "new"))
            expected[number] = (value.get("amount"), value.get("state", before[1]))
        else:
            expected.pop(number, None)
        records.append(made(offset, value, key % number))
    owner = stand.begun(**BY_ID)
    while records:
        size = draw.randrange(1, 120)
        owner.forward(records[:size])
        owner.commit()
        records = records[size:]
    assert {row[0]: row[1:] for row in stand.run("SELECT * FROM orders")} == expected


def test_rows_of_nothing_but_their_key_are_kept_once(stand: Stand) -> None:
    stand.run("CREATE TABLE orders (id int, region text, PRIMARY KEY (region, id))")
    settings = {"mode": "upsert", "keys": ["id", "region"]}
    stand.move(made(0, {"id": 1, "region": "a"}), made(1, {"id": 1, "region": "a"}), **settings)
    stand.move(made(2, {"id": 1, "region": "a"}), made(3, {"id": 1, "region": "b"}), **settings)
    assert stand.run("SELECT count(*) FROM orders") == [(2,)]


@pytest.mark.parametrize("key", [None, b"", b"one"])
def test_a_record_or_a_tombstone_without_a_usable_key_is_refused(stand: Stand, key: bytes | None) -> None:
    stand.run("CREATE TABLE orders (id int PRIMARY KEY, amount int)")
    for offset, value in enumerate([{"amount": 1}, None]):
        wrong = made(offset + 1, value, key)
        with pytest.raises(RecordRefused) as refused:
            stand.move(made(0, {"amount": 0}, b"0"), wrong, **BY_ID)
        assert refused.value.origin is wrong
    assert stand.run("SELECT count(*) FROM orders") == [(0,)]


def test_tombstones_are_refused_where_the_key_lies_in_the_value(stand: Stand) -> None:
    stand.run("CREATE TABLE orders (id int PRIMARY KEY, amount int)")
    owner = stand.begun(mode="upsert", keys=["id"])
    with pytest.raises(RecordRefused, match="tombstones are refused"):
        owner.forward([made(0, None, b"1")])


@pytest.mark.parametrize(
    "index",
    [
        "CREATE INDEX ON orders (id)",
        "CREATE UNIQUE INDEX ON orders (id) WHERE id > 0",
        "CREATE UNIQUE INDEX ON orders (id, amount)",
        "CREATE UNIQUE INDEX ON orders (abs(id))",
        "ALTER TABLE orders ADD UNIQUE (id) DEFERRABLE",
    ],
)
def test_upserts_need_a_unique_index_on_exactly_the_keys(stand: Stand, index: str) -> None:
    stand.run(f"CREATE TABLE orders (id int, amount int); {index}")
    with pytest.raises(ConnectorRefused, match=r"no primary key or unique index on exactly \(id\)"):
        stand.begun(**BY_ID)
    stand.run("DROP TABLE orders; CREATE TABLE orders (id int, amount int)")
    stand.run("CREATE UNIQUE INDEX ON orders (id) INCLUDE (amount)")
    stand.move(made(0, {"amount": 1}, b"1"), **BY_ID)
