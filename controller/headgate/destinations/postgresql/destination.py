"""The open destination of one task: rows gather in memory, and commit() is one transaction with their positions.

Until commit() nothing reaches the server, so what was written and not committed never counts, and no transaction waits
for a next batch. The memory is bounded by asking for a commit (`commit_due`) when enough has gathered. Only a
connection that breaks while COMMIT is answered leaves a doubt; the positions that are read back after that decide.

With `at_least_once` it is the same without positions: rows are committed here first, then the source's positions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

from headgate.destinations.postgresql import tables
from headgate.destinations.postgresql.appending import Appending
from headgate.destinations.postgresql.examining import examine, failed
from headgate.destinations.postgresql.faults import TookTooLong, chained, explained, what_it_said
from headgate.destinations.postgresql.ledger import Ledger
from headgate.destinations.postgresql.rows import Row, Rows, where
from headgate.destinations.postgresql.session import CALL_S, Session
from headgate.destinations.postgresql.settings import PostgresqlConnection, PostgresqlDestinationSettings
from headgate.destinations.postgresql.upserting import Upserting
from headgate.destinations.postgresql.writing import SAVEPOINT, RowRefused, Writing, put
from headgate.ports.connectors import ConnectorContext, ConnectorUnavailable
from headgate.ports.destination import (
    Output,
    PositionsIn,
    RecordRefused,
    StaleOwner,
    Token,
    WriteInDoubt,
    timestamp_of,
)
from headgate.ports.log import Committed, TopicPartition
from headgate_events.records import Record

MAX_ROWS: Final = 20_000
MIN_ROWS: Final = 100
MAX_BYTES: Final = 32 << 20
LOCK_TIMEOUT: Final = "55P03"
STATEMENT_TIMEOUT: Final = "57014"


class PostgresqlDestination:
    """Rows and positions in one transaction of the database."""

    transactional_ids: tuple[str, ...] = ()

    def __init__(self, settings: PostgresqlDestinationSettings, context: ConnectorContext) -> None:
        self.positions_in: PositionsIn = "destination" if context.delivery == "exactly_once" else "source"
        self._settings = settings
        self._context = context
        stream = context.group.removesuffix(f".{context.incarnation}")
        self._name = stream
        self._ledger: Ledger | None = None
        if self.positions_in == "destination":
            self._ledger = Ledger(
                settings.schema_name,
                settings.positions_table,
                stream=stream,
                group=context.group,
                worker=context.worker,
            )
        self._place = settings.connection
        self._secrets: tuple[str, ...] = ()
        self._session: Session | None = None
        self._rows_of: Rows | None = None
        self._writing: Writing | None = None
        self._gathered: list[Row] = []
        self._bytes = 0
        self._max_rows = MAX_ROWS

    def open(self) -> None:
        """Connect where need be, create what may be created, and look how records fit the table as it is now."""
        self._drop_gathered()
        self._rows_of = self._writing = None
        if self._ledger is not None:
            self._ledger.forget()
        if self._session is not None:
            self._session.rollback()
        with self._errors_explained():
            if self._session is None or not self._session.usable:
                self._connect()
            session = self._connected()
            with session.within(CALL_S):
                self._create(session)
                checks, layout = examine(session, self._settings, with_positions=self._ledger is not None)
                if (problem := failed(checks)) is not None:
                    raise problem
                assert layout is not None, "a table that passed the checks has a layout"
                self._rows_of = rows = Rows(self._settings, layout)
                schema, table = self._settings.schema_name, self._settings.table
                if self._settings.mode == "upsert":
                    columns = [each.column.name for each in layout.taken]
                    self._writing = Upserting(schema, table, layout.keys, columns, rows)
                else:
                    self._writing = Appending(schema, table, rows)
                self._writing.prepare(session)

    def write(self, outputs: Sequence[Output]) -> None:
        """Make rows of outputs. Raises RecordRefused for one that none can be made of."""
        row_of = self._mapping().row
        for value, key, headers, _partition, timestamp_ms, origin in outputs:
            self._gather(row_of(value, key, headers, timestamp_ms, origin))

    def forward(self, records: Sequence[Record]) -> None:
        """Make rows of records."""
        row_of = self._mapping().row
        for record in records:
            self._gather(row_of(record.value(), record.key(), record.headers(), timestamp_of(record), record))

    def commit_due(self, waited_s: float) -> bool:
        """Ask for a commit by the stream's interval, and sooner when much has gathered."""
        full = len(self._gathered) >= self._max_rows or self._bytes >= MAX_BYTES
        return full or waited_s * 1000 >= self._context.commit_interval_ms

    def positions(self, claims: Mapping[TopicPartition, Token]) -> Mapping[TopicPartition, Committed]:
        """Put our tokens on the partitions and return where they stand; rows that have gathered stay."""
        if self._ledger is None:
            return {}
        with self._errors_explained(), self._begun() as session:
            found = self._ledger.claim(session, claims)
            if found is None:
                session.rollback()
                raise StaleOwner(f"A newer owner of a partition has claimed it in {self._place}.")
            if not session.commit():
                raise ConnectorUnavailable(f"PostgreSQL did not keep the claim of partitions in {self._place}.")
        self._ledger.claimed(claims, found)
        return found

    def commit(self, positions: Mapping[TopicPartition, Committed], proof: Any) -> None:
        """Write what has gathered, and the positions, in one transaction."""
        rows = self._gathered
        self._drop_gathered()
        ledger = self._ledger
        if ledger is not None and not ledger.is_claimed(list(positions)):
            raise StaleOwner("Positions of a partition that was not claimed cannot be committed.")
        if not rows and ledger is None:
            return
        with self._errors_explained(), self._begun() as session:
            if rows:
                self._put(session, rows)
            if ledger is not None and not ledger.advance(session, positions):
                session.rollback()
                raise StaleOwner(f"A newer owner has moved a partition on in {self._place}; nothing was written.")
            self._end(session)
        if ledger is not None:
            ledger.advanced(positions)
        self._max_rows = min(MAX_ROWS, self._max_rows + MIN_ROWS)

    def fence(self, claims: Mapping[TopicPartition, Token]) -> None:
        """Put tokens on partitions for nobody, so that no owner with a lower one commits.

        The stream's table is not looked at: it may be what is wrong with the stream.
        """
        if self._ledger is None:
            return
        with self._errors_explained():
            self._connect()
            session = self._connected()
            with session.within(CALL_S):
                table = tables.look_at(session, self._settings.schema_name, self._settings.positions_table)
                if table is not None:  # where there is none, nobody can have claimed anything
                    self._begin(session)
                    self._ledger.fence(session, claims)
                    session.commit()

    def close(self) -> None:
        """Let go of the connection; what has gathered is given up."""
        self._drop_gathered()
        session, self._session = self._session, None
        if session is not None:
            session.close()

    # The parts of a commit

    def _put(self, session: Session, rows: Sequence[Row]) -> None:
        assert self._writing is not None
        try:
            put(session, self._writing, rows)
        except RowRefused as refused:
            session.rollback()
            origin = rows[refused.number].origin
            said = what_it_said(refused.error, self._secrets)
            raise RecordRefused(
                f"PostgreSQL refused the row of the record at {where(origin)}: {said} ({refused.error.sqlstate}).",
                origin=origin,
                code="record.refused",
                hint="Change the table, the stream's transform, or what on_error does with such records.",
            ) from chained(refused.error, self._secrets)
        except psycopg.Error as error:
            if isinstance(error, TookTooLong) or error.sqlstate == STATEMENT_TIMEOUT:
                self._max_rows = max(MIN_ROWS, min(self._max_rows, len(rows)) // 2)
            raise

    def _end(self, session: Session) -> None:
        """Commit. Only here can an outcome be unknown."""
        try:
            done = session.commit()
        except psycopg.Error as error:
            if session.lost:
                session.close()
                said = what_it_said(error, self._secrets)
                raise WriteInDoubt(
                    f"The connection to {self._place} broke while a commit was answered: {said}."
                ) from chained(error, self._secrets)
            raise
        if not done:
            raise ConnectorUnavailable(f"PostgreSQL undid a transaction instead of committing it, in {self._place}.")

    @contextlib.contextmanager
    def _begun(self) -> Iterator[Session]:
        """Begin a transaction, on a new connection where the old one broke while nothing was going on."""
        session = self._connected()
        try:
            if session.lost:
                raise psycopg.OperationalError("the connection was closed")
            with session.within(CALL_S):
                self._begin(session)
        except psycopg.OperationalError as error:
            if not session.lost or isinstance(error, TookTooLong):
                raise
            self._connect()
            session = self._connected()
            assert self._writing is not None
            with session.within(CALL_S):
                self._writing.prepare(session)
                self._begin(session)
        try:
            with session.within(CALL_S):
                yield session
        except BaseException as error:
            session.rollback()
            if isinstance(error, psycopg.Error) and error.sqlstate == LOCK_TIMEOUT and session.usable:
                with contextlib.suppress(psycopg.Error), session.within(5.0):
                    session.end_stuck()
            raise

    def _begin(self, session: Session) -> None:
        session.begin()
        session.run(sql.SQL("SAVEPOINT {}").format(sql.Identifier(SAVEPOINT)))

    # The parts of an opening

    def _connect(self) -> None:
        target = self._context.connections.find(self._settings.connection, "postgresql", PostgresqlConnection)
        self._place = f"{self._settings.connection} ({target.place})"
        self._secrets = (target.password.get_secret_value(),) if target.password is not None else ()
        if self._session is not None:
            self._session.close()
        self._session = Session(target, self._name)
        self._session.connect()

    def _create(self, session: Session) -> None:
        """Create the tables that are missing and may be created; one worker at a time."""
        settings, ledger = self._settings, self._ledger
        schema = settings.schema_name
        wants_table = settings.create and tables.look_at(session, schema, settings.table) is None
        wants_ledger = ledger is not None and tables.look_at(session, schema, settings.positions_table) is None
        if not (wants_table or wants_ledger) or not tables.may_create(session, schema):
            return  # what is missing then is what the examination says
        session.begin()
        session.run("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"headgate {schema}",))
        if wants_table:
            tables.create(session, schema, settings.table, settings.declared(), settings.keys)
        if wants_ledger and ledger is not None:
            ledger.create(session)
        session.commit()

    # Small things

    def _gather(self, row: Row | None) -> None:
        if row is not None:
            self._gathered.append(row)
            self._bytes += len(row.line)

    def _drop_gathered(self) -> None:
        self._gathered = []
        self._bytes = 0

    def _mapping(self) -> Rows:
        assert self._rows_of is not None, "a destination is opened before it is written to"
        return self._rows_of

    def _connected(self) -> Session:
        assert self._session is not None, "a destination is opened before it is used"
        return self._session

    @contextlib.contextmanager
    def _errors_explained(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise explained(error, self._place, self._secrets) from chained(error, self._secrets)
