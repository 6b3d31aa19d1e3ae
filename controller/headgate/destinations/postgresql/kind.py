"""The kind `postgresql`: what it promises, what a validation looks at, and how it is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import psycopg

from headgate.destinations.postgresql.destination import PostgresqlDestination
from headgate.destinations.postgresql.examining import OLDEST_SERVER, examine
from headgate.destinations.postgresql.faults import explained
from headgate.destinations.postgresql.session import CALL_S, Session
from headgate.destinations.postgresql.settings import PostgresqlConnection, PostgresqlDestinationSettings
from headgate.ports.connectors import ConnectorContext, Delivery
from headgate.ports.destination import Destination, Token
from headgate.ports.log import TopicPartition
from headgate_events.errors import HeadgateError
from headgate_events.schema.common import Check


class Postgresql:
    """Rows of a table, exactly once: the positions are kept in the same database."""

    name: Final = "postgresql"
    settings: Final = PostgresqlDestinationSettings
    promises: Sequence[Delivery] = ("exactly_once", "at_least_once")

    def check(self, settings: PostgresqlDestinationSettings, context: ConnectorContext) -> Sequence[Check]:
        """Connect, and look at the tables, their columns and our rights. Nothing is changed."""
        item = "destination.connection"
        try:
            target = context.connections.find(settings.connection, "postgresql", PostgresqlConnection)
        except HeadgateError as error:
            return [_failed(item, error)]
        secrets = (target.password.get_secret_value(),) if target.password is not None else ()
        session = Session(target, f"{context.stream} check")
        checks = []
        try:
            session.connect()
            said = f"{settings.connection}: {target.place}, PostgreSQL {session.version}, as {target.user}"
            checks.append(Check(name=item, result="passed", message=said))
            if int(session.version.partition(".")[0]) < OLDEST_SERVER:
                sentence = f"{said} is older than PostgreSQL {OLDEST_SERVER}."
                return [Check(name=item, result="failed", code="destination.too_old", message=sentence)]
            with session.within(CALL_S):
                found, _ = examine(session, settings, with_positions=context.delivery == "exactly_once")
            return [*checks, *found]
        except psycopg.Error as error:
            name = "destination.table" if checks else item
            return [*checks, _failed(name, explained(error, f"{settings.connection} ({target.place})", secrets))]
        finally:
            session.close()

    def fence(
        self,
        settings: PostgresqlDestinationSettings,
        context: ConnectorContext,
        claims: Mapping[TopicPartition, Token],
    ) -> None:
        """End a run for everybody who still works for it."""
        destination = PostgresqlDestination(settings, context)
        try:
            destination.fence(claims)
        finally:
            destination.close()

    def destination(self, settings: PostgresqlDestinationSettings, context: ConnectorContext) -> Destination:
        """Make the destination for the stream's delivery, not open yet."""
        return PostgresqlDestination(settings, context)


def _failed(name: str, error: HeadgateError) -> Check:
    return Check(name=name, result="failed", code=error.code, message=error.message[:1_000], hint=error.hint or "")
