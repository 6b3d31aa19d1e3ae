"""PostgreSQL on a real server: records as they are, appended, and rows by key, upserted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest

from headgate.destinations.postgresql.kind import Postgresql
from headgate.ports.connectors import ConnectorContext, Delivery
from headgate.testing import DestinationConformance, GivenConnections, Seen, context_for
from tests.support.postgres import Database


class OnPostgresql(DestinationConformance):
    kind = Postgresql()
    carries_headers = False  # as a JSON object: of several with one name the last, and text only
    database: Database

    @pytest.fixture(autouse=True)
    def table(self, database: Database) -> None:
        self.database = database
        self.make_table()

    def make_table(self) -> None:
        raise NotImplementedError

    def broken_settings(self) -> Mapping[str, Any]:
        return {"connection": "warehouse", "table": "is_not_there"}

    def context(self, delivery: Delivery, worker: str) -> ConnectorContext:
        connections = GivenConnections({"warehouse": {"kind": "postgresql", **self.database.connection}})
        return context_for(delivery, worker=worker, connections=connections)

    def break_other_side(self) -> None:
        self.database.forbid_connections()
        self.database.cut_connections()

    def heal_other_side(self) -> None:
        self.database.allow_connections()


class TestAppending(OnPostgresql):
    def make_table(self) -> None:
        self.database.run(
            "CREATE TABLE events (id bigserial PRIMARY KEY, key bytea, value bytea CHECK (length(value) < 1000000), "
            'headers jsonb, topic text, partition int, "offset" bigint, timestamp timestamptz)'
        )

    def settings(self) -> Mapping[str, Any]:
        return {"connection": "warehouse", "table": "events", "fields": "raw"}

    def read(self) -> Sequence[Seen]:
        return [Seen(*row) for row in self.database.run("SELECT key, value FROM events ORDER BY id")]

    def refused_value(self) -> bytes:
        return b"x" * 1_000_000


class TestUpserting(OnPostgresql):
    values = "json"
    null_keys = "refused"
    tombstones = "delete"

    def make_table(self) -> None:
        self.database.run(
            "CREATE TABLE latest (name text PRIMARY KEY, number bigint CHECK (number <> -13), text text, "
            "n bigserial NOT NULL)"
        )

    def settings(self) -> Mapping[str, Any]:
        return {
            "connection": "warehouse",
            "table": "latest",
            "mode": "upsert",
            "keys": ["name"],
            "columns": {"name": "$key"},
        }

    def as_read(self, value: bytes | None) -> Any:
        return None if value is None else orjson.loads(value)

    def read(self) -> Sequence[Seen]:
        return [
            Seen(name.encode(), orjson.dumps({"number": number, "text": text}))
            for name, number, text in self.database.run("SELECT name, number, text FROM latest ORDER BY number")
        ]

    def refused_value(self) -> bytes:
        return b'{"number": -13, "text": "unlucky"}'
