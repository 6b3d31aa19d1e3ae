"""One owner of partitions after the other, on a database of the test's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from headgate.destinations.postgresql.kind import Postgresql
from headgate.ports.connectors import Delivery
from headgate.ports.destination import Token
from headgate.ports.log import Committed, TopicPartition
from headgate.testing import GivenConnections, MadeRecord, Owner, context_for
from headgate_events.schema.common import Check
from tests.support.postgres import Database

PARTITION = TopicPartition("made", 0)


def made(offset: int, value: Any = None, key: bytes | None = None, **more: Any) -> MadeRecord:
    """Make a record of the source; a value that is not bytes is given as JSON."""
    raw = value if value is None or isinstance(value, bytes) else orjson.dumps(value)
    return MadeRecord("made", more.pop("partition", 0), offset, raw, key, **more)


class Stand:
    """Makes owners on a database. Their tokens rise unless they are given."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.connection = database.connection
        self._claims = 0
        self._source: dict[TopicPartition, Committed] = {}
        self._made: list[Owner] = []

    def context(self, delivery: Delivery = "exactly_once", worker: str = "worker-a", incarnation: int = 1) -> Any:
        connections = GivenConnections({"warehouse": {"kind": "postgresql", **self.connection}})
        context = context_for(delivery, worker=worker, connections=connections)
        return replace(context, incarnation=incarnation, group=f"headgate.conformance.{incarnation}")

    def settings(self, **given: Any) -> Any:
        return Postgresql.settings.model_validate({"connection": "warehouse", "table": "orders"} | given)

    def owner(
        self,
        token: Token | None = None,
        delivery: Delivery = "exactly_once",
        worker: str = "worker-a",
        incarnation: int = 1,
        **settings: Any,
    ) -> Owner:
        self._claims += 1
        context = self.context(delivery, worker, incarnation)
        destination = Postgresql().destination(self.settings(**settings), context)
        token = token or Token(incarnation, 3, self._claims)
        owner = Owner(destination, token, self._source, lambda: None, lambda partitions: {})
        self._made.append(owner)
        return owner

    def begun(self, **given: Any) -> Owner:
        owner = self.owner(**given)
        owner.begin(PARTITION)
        return owner

    def move(self, *records: MadeRecord, **given: Any) -> None:
        """Open an owner, write the records and commit them."""
        owner = self.begun(**given)
        owner.forward(records)
        owner.commit()
        owner.close()

    def check(self, **settings: Any) -> Sequence[Check]:
        return Postgresql().check(self.settings(**settings), self.context())

    def run(self, query: str, values: Any = None) -> list[tuple[Any, ...]]:
        return self.database.run(query, values)

    def close(self) -> None:
        for owner in self._made:
            owner.close()


@pytest.fixture
def stand(database: Database) -> Iterator[Stand]:
    made = Stand(database)
    yield made
    made.close()
