"""One connection to the server, on which nothing waits for ever.

Three bounds, because each covers what the others cannot: the server ends statements, waits for locks and transactions
that their client has left idle; the kernels end connections whose other side is gone; and `within` ends a call whose
server is there but never answers, by letting go of the connection. A transaction that a stopped worker left open in the
middle of a copy is none of these, so whoever is kept waiting by one ends it (`end_stuck`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from headgate.destinations.postgresql.faults import TookTooLong
from headgate.destinations.postgresql.settings import PostgresqlConnection

CONNECT_S: Final = 10
CALL_S: Final = 28.0
STATEMENT_MS: Final = 25_000
LOCK_MS: Final = 15_000
"""How long to wait for another's lock: longer than a stopped worker may stand in a transaction (`IDLE_MS`)."""
IDLE_MS: Final = 10_000
STUCK_S: Final = 60
"""A transaction of ours that is older than this outlived every bound of its worker: the worker is stopped."""
CHUNK_BYTES: Final = 1 << 18
NAME: Final = "headgate/"

Query = LiteralString | sql.SQL | sql.Composed

_SET_UP: Final = f"""
SET statement_timeout = {STATEMENT_MS}; SET lock_timeout = {LOCK_MS};
SET idle_in_transaction_session_timeout = {IDLE_MS};
SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
SET client_min_messages = warning; SET timezone = 'UTC';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""
_END_STUCK: Final = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE starts_with(application_name, %s) AND usename = current_user AND datname = current_database()
AND pid <> pg_backend_pid() AND xact_start < clock_timestamp() - make_interval(secs => %s)
"""


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose waits end at a deadline, which is set for each call."""

    deadline_s = float("inf")

    def wait(self, gen: Any, *arguments: Any, **named: Any) -> Any:
        """Wait as psycopg does, at most until the deadline. Raises TookTooLong."""
        return super().wait(self._until_deadline(gen), *arguments, **named)

    def _until_deadline(self, waiting: Any) -> Generator[Any, Any, Any]:
        """Yield what psycopg's generator waits for; it is resumed at least every tenth of a second."""
        try:
            wanted = next(waiting)
            while True:
                ready = yield wanted
                if time.monotonic() > self.deadline_s:
                    raise TookTooLong("the server did not answer in time")
                wanted = waiting.send(ready)
        except StopIteration as ended:
            return ended.value


class Session:
    """A connection that is made when it is needed. The task's thread owns it."""

    def __init__(self, target: PostgresqlConnection, name: str) -> None:
        self._target = target
        self._name = (NAME + name)[:63]
        self._connection: BoundedConnection | None = None

    @property
    def usable(self) -> bool:
        """Whether there is a connection with no transaction open."""
        made = self._connection
        return made is not None and not made.closed and made.info.transaction_status == TransactionStatus.IDLE

    @property
    def lost(self) -> bool:
        """Whether the connection is gone, or busy with what nobody will wait for."""
        made = self._connection
        statuses = (TransactionStatus.UNKNOWN, TransactionStatus.ACTIVE)
        return made is None or made.closed or made.info.transaction_status in statuses

    def connect(self) -> None:
        """Make a new connection, autocommitting, and set its bounds. Raises psycopg.Error."""
        self.close()
        target = self._target
        password = target.password.get_secret_value() if target.password is not None else None
        self._connection = made = BoundedConnection.connect(
            host=target.host,
            port=target.port,
            dbname=target.database,
            user=target.user,
            password=password,
            sslmode=target.sslmode,
            sslrootcert=target.sslrootcert,
            sslcert=target.sslcert,
            sslkey=target.sslkey,
            application_name=self._name,
            client_encoding="UTF8",
            connect_timeout=CONNECT_S,
            target_session_attrs="read-write",
            keepalives_idle=5,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=20_000,
            autocommit=True,
            prepare_threshold=None,
        )
        with self.within(CALL_S):
            made.execute(_SET_UP)
            if made.info.server_version >= 14_00_00:  # a server elsewhere than on Linux or macOS may refuse it
                with contextlib.suppress(psycopg.errors.InvalidParameterValue):
                    made.execute("SET client_connection_check_interval = 2000")

    @property
    def version(self) -> str:
        """The server's version, like 15.4."""
        number = self._ready().info.server_version
        return f"{number // 10_000}.{number % 10_000}"

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Bound all that is done inside by one deadline."""
        made = self._ready()
        made.deadline_s = time.monotonic() + seconds
        try:
            yield
        except TookTooLong:
            self.close()
            raise
        finally:
            made.deadline_s = float("inf")

    def run(self, query: Query, values: Sequence[Any] | None = None) -> psycopg.Cursor[tuple[Any, ...]]:
        """Run a query and return its cursor; several statements only without values."""
        return self._ready().execute(query, values)

    def copy(self, statement: sql.Composed, lines: Sequence[bytes]) -> None:
        """Run `COPY … FROM STDIN` with lines of its text format."""
        with self._ready().cursor() as cursor, cursor.copy(statement) as copy:
            chunk: list[bytes] = []
            size = 0
            for line in lines:
                chunk.append(line)
                size += len(line)
                if size >= CHUNK_BYTES:
                    copy.write(b"".join(chunk))
                    chunk, size = [], 0
            if chunk:
                copy.write(b"".join(chunk))

    def begin(self) -> None:
        """Begin a transaction. Constraints are checked at once, so that what fails is known before the positions."""
        self.run("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET CONSTRAINTS ALL IMMEDIATE")

    def commit(self) -> bool:
        """Commit; say whether the server did. After an error the outcome is unknown where `lost` says so."""
        return self.run("COMMIT").statusmessage == "COMMIT"

    def rollback(self) -> None:
        """Undo the open transaction, or let go of the connection, which comes to the same. Never raises."""
        if self.lost:
            return self.close()
        if not self.usable:
            try:
                with self.within(5.0):
                    self.run("ROLLBACK")
            except psycopg.Error:
                self.close()
        return None

    def end_stuck(self) -> int:
        """End transactions of stopped workers of this role; return how many. Only outside of a transaction."""
        row = self.run(_END_STUCK, (NAME, STUCK_S)).fetchone()
        return 0 if row is None else int(row[0])

    def close(self) -> None:
        """Let go of the connection at once. Never raises."""
        made, self._connection = self._connection, None
        if made is not None:
            with contextlib.suppress(Exception):
                made.close()

    def _ready(self) -> BoundedConnection:
        assert self._connection is not None, "a session is connected before it is used"
        return self._connection
