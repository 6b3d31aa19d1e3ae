"""The broker that stays: `headgate broker start` leaves it running, `stop` ends it, and there is at most one.

Whether it runs is decided by a lock and by nothing else: the Java process inherits it and holds it for as long as it
lives, so a crash, a reboot or a reused process id cannot make a dead broker look alive. The state file beside it only
says where to find the living one, and after its end where its log lies.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from headgate.broker import ports
from headgate.broker.artifacts import KAFKA_VERSION
from headgate.broker.embedded import START_TIMEOUT_S, STOP_TIMEOUT_S, EmbeddedBroker
from headgate.broker.errors import BrokerNotReady, BrokerNotRunning, BrokerRefused
from headgate.broker.exclusive import ExclusiveFile
from headgate.broker.folders import state_folder
from headgate.broker.node import Node, NodeSettings, make_node
from headgate.broker.owner import start_of
from headgate.broker.progress import Progress
from headgate.broker.ready import wait_ready

_POLL_S = 0.1
_KILL_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Running:
    """What is known of the background broker: `ready` is False while it starts, and `pid` 0 while it is prepared.

    `folder` holds its data and its log; `process_start` tells its process from a later one with the same id.
    """

    pid: int
    process_start: str
    port: int
    folder: Path
    java: int
    started_at: str
    ready: bool

    @property
    def bootstrap_servers(self) -> str:
        return f"{ports.HOST}:{self.port}"

    @property
    def log_path(self) -> Path:
        return self.folder / "server.log"


class BackgroundBroker:
    """The one background broker of a state folder (None: this user's)."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or state_folder()
        self._state_path = self._folder / "broker.json"
        self._lock_path = self._folder / "broker.lock"

    @property
    def default_data_folder(self) -> Path:
        return self._folder / "broker"

    @property
    def last_log_path(self) -> Path:
        """The log of the broker that runs or ran last; it may not exist."""
        known = self._read()
        return known.log_path if known else self.default_data_folder / "server.log"

    def status(self) -> Running | None:
        """Return what runs, None when nothing does. While it starts, `ready` is False and the rest may be unknown."""
        if not ExclusiveFile(self._lock_path).is_held():
            return None
        known = self._read()
        # Whoever has just taken the lock may not have removed the file of the broker before.
        if known is not None and start_of(known.pid) == known.process_start:
            return known
        return Running(0, "", 0, self.default_data_folder, 0, "", ready=False)

    def start(self, settings: NodeSettings, data_folder: Path | None, progress: Progress) -> tuple[Running, bool]:
        """Start it, or find it running. Return it, ready, and whether this call started it.

        Raises `BrokerRefused` when one runs with another port or folder than asked for, and the errors of starting.
        """
        lock = ExclusiveFile(self._lock_path)
        if running := self._find_or_hold(lock, settings, data_folder):
            return running, False
        try:
            return self._launch(lock, settings, data_folder or self.default_data_folder, progress), True
        finally:
            lock.release()

    @contextmanager
    def foreground(
        self, settings: NodeSettings, data_folder: Path | None, progress: Progress
    ) -> Iterator[EmbeddedBroker]:
        """Run it as our child, known to `status` and `stop` alike. Raises `BrokerRefused` when one runs."""
        lock = ExclusiveFile(self._lock_path)
        if running := self._find_or_hold(lock, settings, data_folder):
            raise BrokerRefused(
                f"The broker runs already, at {running.bootstrap_servers}.", hint="Stop it: `headgate broker stop`."
            )
        try:
            self._state_path.unlink(missing_ok=True)
            folder = data_folder or self.default_data_folder
            broker = EmbeddedBroker(
                data_dir=folder,
                port=settings.port,
                heap_mb=settings.heap_mb,
                properties=settings.properties,
                progress=progress,
            )
            with broker:
                pid = broker.pid or 0
                running = Running(pid, start_of(pid), broker.port, folder, broker.java_version, _now(), ready=True)
                self._write(running)
                yield broker
        finally:
            lock.release()

    def stop(self) -> bool:
        """End it: asked first, killed after the bound. Return False when there was none."""
        running = self.status()
        if running is None:
            return False
        if not running.pid:
            raise BrokerNotRunning("The broker is being prepared by another process.", hint="Try again in a moment.")
        _signal(running.pid, signal.SIGCONT)
        for number, timeout_s in ((signal.SIGTERM, STOP_TIMEOUT_S), (signal.SIGKILL, _KILL_TIMEOUT_S)):
            _signal(running.pid, number)
            if self._wait(lambda: self.status() is None, timeout_s):
                return True
        raise BrokerNotRunning(
            f"The broker (process {running.pid}) has not ended after SIGKILL.", hint="Look at it with ps."
        )

    def _find_or_hold(self, lock: ExclusiveFile, settings: NodeSettings, data_folder: Path | None) -> Running | None:
        """Return the broker that runs already, when it is ready, or None with `lock` held."""
        found: Running | None = None

        def settled() -> bool:
            nonlocal found
            if lock.try_hold():
                found = None
                return True
            found = self.status()
            return found is not None and found.ready

        if not self._wait(settled, START_TIMEOUT_S + STOP_TIMEOUT_S):
            raise BrokerNotReady("Another process has been starting the broker for too long.", hint="Stop that one.")
        if found is None:
            return None
        other_port = settings.port is not None and settings.port != found.port
        if other_port or (data_folder is not None and data_folder != found.folder):
            raise BrokerRefused(
                f"The broker runs already, at {found.bootstrap_servers} with the data folder {found.folder}.",
                hint="Stop it first: `headgate broker stop`.",
            )
        return found

    def _launch(self, lock: ExclusiveFile, settings: NodeSettings, folder: Path, progress: Progress) -> Running:
        self._state_path.unlink(missing_ok=True)
        node = make_node(folder, settings, progress)
        data_lock = ExclusiveFile(folder / "broker.lock")
        if not data_lock.try_hold():
            raise BrokerRefused(f"Another broker uses the data folder {folder}.", hint="Give another with --data-dir.")
        try:
            node.prepare()
            process = self._spawn(node, (lock.fd, data_lock.fd))
        finally:
            data_lock.release()
        running = Running(process.pid, start_of(process.pid), node.port, folder, node.java.version, _now(), ready=False)
        try:
            self._write(running)
            wait_ready(node.bootstrap_servers, timeout_s=START_TIMEOUT_S, ended=lambda: _ended(process))
        except BaseException as problem:
            process.kill()
            process.wait(_KILL_TIMEOUT_S)
            if isinstance(problem, BrokerNotReady):
                raise BrokerNotReady(f"{problem.message} The end of its log:\n{node.log_tail()}") from problem
            raise
        ready = replace(running, ready=True)
        self._write(ready)
        return ready

    @staticmethod
    def _spawn(node: Node, inherited: tuple[int, ...]) -> subprocess.Popen[bytes]:
        with node.console_path.open("ab") as console:
            return subprocess.Popen(
                node.command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                pass_fds=inherited,
            )

    def _read(self) -> Running | None:
        try:
            found = json.loads(self._state_path.read_text(encoding="utf-8"))
            return Running(**{**found, "folder": Path(found["folder"])})
        except (OSError, ValueError, TypeError, KeyError):
            # Missing, or not ours: the lock says whether a broker runs, and a start writes the file anew.
            return None

    def _write(self, running: Running) -> None:
        partial = self._state_path.with_suffix(".partial")
        partial.write_text(json.dumps({**asdict(running), "folder": str(running.folder)}), encoding="utf-8")
        partial.replace(self._state_path)

    @staticmethod
    def _wait(condition: Callable[[], bool], timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        return True


def described(running: Running) -> dict[str, object]:
    """Return what `status -o json` says of a broker; kept here beside its fields."""
    return {
        "running": True,
        "ready": running.ready,
        "bootstrap_servers": running.bootstrap_servers if running.port else None,
        "pid": running.pid or None,
        "data_dir": str(running.folder),
        "log": str(running.log_path),
        "kafka": KAFKA_VERSION,
        "java": running.java or None,
        "started_at": running.started_at or None,
    }


def _ended(process: subprocess.Popen[bytes]) -> str | None:
    status = process.poll()
    return None if status is None else f"The broker ended with status {status} before it was ready."


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        # It ended between the look and the signal, which is what was wanted.
        return


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
