"""A real PostgreSQL for the tests: a given one, one started from what is installed here, or a container.

In this order: the server of HEADGATE_TEST_POSTGRES (a conninfo of a role that may create databases and roles); a local
one, from the programs of Debian's package or of the PATH, in a folder of its own that goes with it; a container, where
a Docker engine answers and the image is there or can be pulled. Where there is none the tests fail and say what to
install. Servers of our own forgo fsync: what survives here is a server's crash, not the machine's.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg import sql

from headgate.broker.ports import free_port
from tests.support.eventually import eventually

GIVEN = "HEADGATE_TEST_POSTGRES"
IMAGE = "postgres:17"
START_S = 60.0
PULL_S = 180.0
DIE_WITH_PARENT = Path(__file__).with_name("die_with_parent.py")
MISSING = (
    "There is no PostgreSQL to test on. Install its server (Debian and Ubuntu: apt-get install postgresql; a service "
    f"need not run), or name one with {GIVEN}='host=… user=… password=…' whose role may create databases and roles, or "
    f"let a Docker engine have the image {IMAGE}."
)
CONFIGURATION = (
    "fsync=off",
    "full_page_writes=off",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=60",
    "shared_buffers=32MB",
    "log_min_messages=warning",
)


class PostgresMissing(Exception):
    """No server can be had; the message says what to do."""


class Server(Protocol):
    """A server that answers, and the sentence that says which one it is."""

    @property
    def said(self) -> str: ...
    @property
    def conninfo(self) -> str: ...
    def stop(self) -> None: ...


class GivenServer:
    """Somebody's server: used, never stopped."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self.said = f"the server of {GIVEN}"

    def stop(self) -> None:
        """It goes on."""


class LocalServer:
    """A server of our own, started from programs of this machine; it keeps its port over a restart."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._account = _account()
        self._folder = Path(tempfile.mkdtemp(prefix="headgate-postgres-"))
        self._password = secrets.token_hex(12)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        if self._account:
            shutil.chown(self._folder, user=self._account["user"], group=self._account["group"])
        self._initialise()
        self.start()

    @property
    def said(self) -> str:
        return f"a server of {self._programs}, on 127.0.0.1:{self.port}"

    @property
    def conninfo(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres password={self._password} dbname=postgres"

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = [part for each in (*CONFIGURATION, f"port={self.port}") for part in ("-c", each)]
        server = [str(self._programs / "postgres"), "-D", str(self._folder / "data"), *settings]
        account = self._account
        other = ["--as", f"{account['user']}:{account['group']}"] if account else []
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(DIE_WITH_PARENT), str(os.getpid()), *other, *server],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            eventually(self._answers, START_S, "PostgreSQL answers")
        except BaseException:
            self.stop()
            raise

    def restart(self) -> None:
        """Stop it as an administrator in a hurry does (connections are cut), and start it again."""
        self._end(signal.SIGINT)
        self.start()

    def crash(self) -> None:
        """End it without any order; `start` recovers from its log."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """End it and remove its data. Does nothing a second time."""
        self._end(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            process.wait(30.0)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10.0)

    def _initialise(self) -> None:
        given = self._folder / "password"
        given.write_text(self._password)
        if self._account:
            shutil.chown(given, user=self._account["user"])
        done = subprocess.run(
            [
                str(self._programs / "initdb"),
                *("-D", str(self._folder / "data"), "-U", "postgres", "--pwfile", str(given), "-A", "scram-sha-256"),
                *("--no-sync", "-E", "UTF8", "--locale", "C"),
            ],
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=START_S,
            check=False,
            **self._account,
        )
        given.unlink()
        if done.returncode != 0:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise PostgresMissing(f"initdb of {self._programs} failed: {done.stderr.strip()[-300:]}")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise PostgresMissing(f"PostgreSQL ended: {(self._folder / 'server.log').read_text()[-500:]}")
        return answers(self.conninfo)


class ContainerServer:
    """A server in a container of the official image."""

    def __init__(self, image: str = IMAGE) -> None:
        self._password = secrets.token_hex(12)
        self.port = free_port()
        settings = ("fsync=off", "full_page_writes=off", "max_connections=60")
        done = _docker(
            *("run", "--detach", "--rm", "--env", f"POSTGRES_PASSWORD={self._password}"),
            *("--publish", f"127.0.0.1:{self.port}:5432", image, "postgres"),
            *(part for each in settings for part in ("-c", each)),
            timeout_s=START_S,
        )
        if done is None or done.returncode != 0:
            raise PostgresMissing(f"Docker did not run {image}: {done.stderr.strip() if done else 'no answer'}")
        self._container = done.stdout.strip()
        self.said = f"a container of {image}, on 127.0.0.1:{self.port}"
        self.conninfo = f"host=127.0.0.1 port={self.port} user=postgres password={self._password} dbname=postgres"
        try:
            eventually(lambda: answers(self.conninfo), START_S, "PostgreSQL answers")
        except BaseException:
            self.stop()
            raise

    def restart(self) -> None:
        """Stop it as an administrator in a hurry does, and start it again."""
        _docker("restart", "--time", "20", self._container, timeout_s=START_S)
        eventually(lambda: answers(self.conninfo), START_S, "PostgreSQL answers again")

    def stop(self) -> None:
        """End it and remove it."""
        _docker("rm", "--force", "--volumes", self._container, timeout_s=START_S)


def choose_server(environ: Mapping[str, str], *, own: bool = False) -> Server:
    """Return a server that answers; `own` asks for one that may be stopped. Raises PostgresMissing."""
    given = environ.get(GIVEN)
    if given and not own:
        if not answers(given):
            raise PostgresMissing(f"The server that {GIVEN} names does not answer.")
        return GivenServer(given)
    if (programs := local_programs()) is not None:
        return LocalServer(programs)
    if _has_image():
        return ContainerServer()
    raise PostgresMissing(MISSING)


def local_programs() -> Path | None:
    """Return the folder of the newest installed server's programs, or None."""
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda found: float(found.parent.name or 0), reverse=True
    )
    on_path = [Path(found).parent for name in ("initdb",) if (found := shutil.which(name))]
    for folder in (*debian, *on_path):
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    return None


def answers(conninfo: str) -> bool:
    """Say whether a server takes connections."""
    try:
        with psycopg.connect(conninfo, connect_timeout=5):
            return True
    except psycopg.OperationalError:
        return False


class Database:
    """A database that a role of its own owns, which is no superuser, and the suite's own view into it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.name = f"headgate_{secrets.token_hex(6)}"
        self.user = self.name
        self.password = f"canary-{secrets.token_hex(8)}"
        self._own: psycopg.Connection[tuple[Any, ...]] | None = None
        self._administrator: psycopg.Connection[tuple[Any, ...]] | None = None
        self.administrator("CREATE ROLE {} LOGIN PASSWORD {}", sql.Identifier(self.user), sql.Literal(self.password))
        self.administrator("CREATE DATABASE {} OWNER {}", sql.Identifier(self.name), sql.Identifier(self.user))

    @property
    def connection(self) -> dict[str, Any]:
        """The connection as an administrator would define it for a worker."""
        found = psycopg.conninfo.conninfo_to_dict(self._server.conninfo)
        return {
            "host": str(found["host"]),
            "port": int(found.get("port") or 5432),
            "database": self.name,
            "user": self.user,
            "password": self.password,
        }

    def run(self, query: str, values: Any = None) -> list[tuple[Any, ...]]:
        """Run a query as the database's owner and return its rows (none where it has none)."""
        if self._own is None:
            own = psycopg.conninfo.make_conninfo(
                self._server.conninfo, dbname=self.name, user=self.user, password=self.password
            )
            self._own = psycopg.connect(own, autocommit=True)
        try:
            cursor = self._own.execute(query.encode(), values)
        except psycopg.OperationalError:
            self.let_go()
            raise
        return cursor.fetchall() if cursor.description else []

    def let_go(self) -> None:
        """Close the suite's own connections, as before a restart of the server; they are made again when needed."""
        for connection in (self._own, self._administrator):
            if connection is not None:
                connection.close()
        self._own = self._administrator = None

    def administrator(self, query: str, *parts: sql.Composable) -> list[tuple[Any, ...]]:
        """Run a statement as the server's administrator, in its own database."""
        if self._administrator is None or self._administrator.closed:
            self._administrator = psycopg.connect(self._server.conninfo, autocommit=True)
        cursor = self._administrator.execute(sql.SQL(query).format(*parts))
        return cursor.fetchall() if cursor.description else []

    def forbid_connections(self) -> None:
        """Let nobody but an administrator in, as in a maintenance."""
        self.administrator("ALTER DATABASE {} ALLOW_CONNECTIONS false", sql.Identifier(self.name))

    def allow_connections(self) -> None:
        """Let everybody in again."""
        self.administrator("ALTER DATABASE {} ALLOW_CONNECTIONS true", sql.Identifier(self.name))

    def cut_connections(self) -> int:
        """End every connection of workers to this database, as an administrator may; return how many are gone."""
        ended = self.administrator(
            "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity "
            "WHERE datname = {} AND application_name LIKE 'headgate/%'",
            sql.Literal(self.name),
        )
        return len(ended)

    def clear(self) -> None:
        """Make it as good as new: nothing in it, nobody connected, everybody let in."""
        if self._own is not None:
            self._own.close()
            self._own = None
        name = sql.Identifier(self.name)
        self.administrator("ALTER DATABASE {} ALLOW_CONNECTIONS true", name)
        self.administrator("ALTER DATABASE {} CONNECTION LIMIT -1", name)
        self.administrator(
            "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE datname = {}", sql.Literal(self.name)
        )
        self.run("DROP OWNED BY CURRENT_USER CASCADE")

    def drop(self) -> None:
        """Remove the database and its role."""
        self.administrator("DROP DATABASE IF EXISTS {} WITH (FORCE)", sql.Identifier(self.name))
        self.administrator("DROP ROLE IF EXISTS {}", sql.Identifier(self.user))
        self.let_go()


@contextlib.contextmanager
def database_on(server: Server) -> Iterator[Database]:
    """Make a database and remove it afterwards."""
    made = Database(server)
    try:
        yield made
    finally:
        made.drop()


def _account() -> dict[str, Any]:
    """Return under which account a server can run: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    raise PostgresMissing("PostgreSQL does not run as root, and there is neither an account postgres nor nobody.")


def _has_image() -> bool:
    """Say whether a Docker engine has the image, or can pull it."""
    if (found := _docker("image", "inspect", IMAGE, timeout_s=10.0)) is None:
        return False
    if found.returncode == 0:
        return True
    pulled = _docker("pull", "--quiet", IMAGE, timeout_s=PULL_S)
    return pulled is not None and pulled.returncode == 0


def _docker(*arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
