"""A real Kafka for as long as a block of code runs: `with EmbeddedBroker() as broker: broker.bootstrap_servers`.

The broker is the child of a small supervisor (supervisor.py), which ends it when this process is gone, however it
went. Faults that tests need (kill, pause, restart) are words to the supervisor, so they reach the right process and
no reused process id.
"""

from __future__ import annotations

import logging
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from headgate.broker import supervisor
from headgate.broker.errors import BrokerNotReady, BrokerNotRunning, BrokerRefused
from headgate.broker.exclusive import ExclusiveFile
from headgate.broker.node import DEFAULT_HEAP_MB, Node, NodeSettings, make_node
from headgate.broker.progress import Progress
from headgate.broker.ready import wait_ready

START_TIMEOUT_S = 90.0
"""From the process's start to its first committed transaction; 5 s are usual, a loaded machine needs more."""
STOP_TIMEOUT_S = 20.0
_WORD_TIMEOUT_S = 10.0
_PORT_ATTEMPTS = 3
_log = logging.getLogger(__name__)


class EmbeddedBroker:
    """A single-node Kafka, started by entering the context (or `start`) and gone when it is left, or when we are.

    `data_dir` None: a temporary folder, removed at the end. Given, it is created when missing and kept, and only one
    broker at a time may use it. `port` None: a free one, kept over restarts. `properties` are Kafka's, by their own
    names. `progress` shows downloads; None shows nothing. Constructing does nothing yet.

    Raises `BrokerRefused` for values that cannot work; `start` raises the errors of `headgate.broker.errors`.
    Not for use by several threads at once. Linux and macOS.
    """

    def __init__(
        self,
        *,
        data_dir: Path | str | None = None,
        port: int | None = None,
        heap_mb: int = DEFAULT_HEAP_MB,
        properties: Mapping[str, str] | None = None,
        progress: Progress | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
        stop_timeout_s: float = STOP_TIMEOUT_S,
    ) -> None:
        self._settings = NodeSettings(port, heap_mb, dict(properties or {}))
        self._data_dir = None if data_dir is None else Path(data_dir).expanduser().absolute()
        self._progress = progress or Progress()
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._node: Node | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: ExclusiveFile | None = None
        self._java_pid: int | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def bootstrap_servers(self) -> str:
        """host:port for clients. Known from the first start on, and the same after each further one."""
        return self._known.bootstrap_servers

    @property
    def port(self) -> int:
        return self._known.port

    @property
    def log_path(self) -> Path:
        """Kafka's log file. With a temporary data folder it goes at `stop`."""
        return self._known.log_path

    @property
    def said(self) -> str:
        """What runs and on what, in a few words."""
        java = self._known.java
        return f"Kafka on Java {java.version} {java.origin}, listening on {self.bootstrap_servers}"

    @property
    def java_version(self) -> int:
        """The feature version of the Java that runs it, 17 or more."""
        return self._known.java.version

    @property
    def pid(self) -> int | None:
        """The Java process while it runs, else None."""
        return self._java_pid if self.running else None

    @property
    def running(self) -> bool:
        """Whether the broker's process is there (it may be paused)."""
        return self._process is not None and self._process.poll() is None

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of the log, empty when there are none."""
        return self._known.log_tail(lines)

    def start(self) -> None:
        """Start and return when the broker has committed a transaction. Does nothing when it runs."""
        if self.running:
            return
        try:
            node = self._make_node()
            for attempt in range(1, _PORT_ATTEMPTS + 1):
                try:
                    self._launch(node)
                    break
                except BrokerNotReady:
                    taken = "Address already in use" in node.log_tail(200)
                    if not (taken and node.chose_port) or attempt == _PORT_ATTEMPTS:
                        raise
                    self._end_process()
                    node.draw_port()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the broker: asked first, killed after the bound. Does nothing when it is not there."""
        self._end_process()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        if self._data_dir is None and self._node is not None:
            shutil.rmtree(self._node.folder, ignore_errors=True)
            self._node = None

    def kill(self) -> None:
        """Kill the broker with SIGKILL, as a crash would; the data stays. `start` starts it again."""
        self._tell("kill")
        self._reap(_WORD_TIMEOUT_S)

    def restart(self) -> None:
        """Stop cleanly and start again with the same data, on the same port."""
        self._end_process()
        self.start()

    def pause(self) -> None:
        """Freeze the process (SIGSTOP): connections stay open and nothing answers."""
        self._tell("pause")
        self._heed("paused")

    def resume(self) -> None:
        """Let a paused process go on."""
        self._tell("resume")
        self._heed("resumed")

    def wait(self, timeout_s: float) -> int | None:
        """Wait for the broker to end by itself or by another's hand. Return its exit status, None while it runs."""
        if self._process is None:
            return None
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    @property
    def _known(self) -> Node:
        if self._node is None:
            raise BrokerNotRunning("The embedded broker has not been started.", hint="Enter its context first.")
        return self._node

    def _make_node(self) -> Node:
        if self._node is None:
            folder = self._data_dir or Path(tempfile.mkdtemp(prefix="headgate-broker-"))
            try:
                node = make_node(folder, self._settings, self._progress)
            except BaseException:
                if self._data_dir is None:
                    shutil.rmtree(folder, ignore_errors=True)
                raise
            self._node = node
        if self._lock is None:
            lock = ExclusiveFile(self._node.folder / "broker.lock")
            if not lock.try_hold():
                folder = self._node.folder
                self._node = None
                raise BrokerRefused(
                    f"Another broker uses the data folder {folder}.", hint="Stop that one, or give another folder."
                )
            self._lock = lock
        return self._node

    def _launch(self, node: Node) -> None:
        node.prepare()
        assert self._lock is not None
        owned = str(node.folder) if self._data_dir is None else ""
        command = [
            sys.executable, "-I", "-S", supervisor.__file__, str(os.getpid()), str(self._stop_timeout_s), owned,
            str(node.console_path), str(self._lock.fd), "--", *node.command,
        ]  # fmt: skip
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            pass_fds=(self._lock.fd,),
        )
        self._java_pid = int(self._heed("started"))
        try:
            wait_ready(node.bootstrap_servers, timeout_s=self._start_timeout_s, ended=self._ended)
        except BrokerNotReady as problem:
            raise BrokerNotReady(f"{problem.message} The end of its log:\n{node.log_tail()}") from problem

    def _ended(self) -> str | None:
        assert self._process is not None
        status = self._process.poll()
        return None if status is None else f"The broker ended with status {status} before it was ready."

    def _tell(self, word: str) -> None:
        process = self._process
        if process is None or process.stdin is None or process.poll() is not None:
            raise BrokerNotRunning(f"The embedded broker is not running, so it cannot {word}.", hint="Start it first.")
        process.stdin.write(word.encode() + b"\n")

    def _heed(self, word: str) -> str:
        """Read the supervisor's answers until one that starts with `word`; return the rest of it."""
        assert self._process is not None and self._process.stdout is not None
        stream = self._process.stdout
        deadline = time.monotonic() + _WORD_TIMEOUT_S
        line = b""
        while (left_s := deadline - time.monotonic()) > 0:
            if not select.select([stream], [], [], left_s)[0]:
                break
            byte = stream.read(1)
            if not byte:
                break
            line += byte
            if byte == b"\n":
                answer, _, rest = line.decode().strip().partition(" ")
                if answer == word:
                    return rest
                line = b""
        raise BrokerNotReady(f"The broker's supervisor did not answer {word!r} within {_WORD_TIMEOUT_S:.0f} s.")

    def _end_process(self) -> None:
        if self.running:
            try:
                self._tell("stop")
            except BrokenPipeError:
                _log.debug("the supervisor ended by itself")
            self._reap(self._stop_timeout_s + _WORD_TIMEOUT_S)
        elif self._process is not None:
            self._reap(_WORD_TIMEOUT_S)

    def _reap(self, timeout_s: float) -> None:
        assert self._process is not None
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            # The supervisor hangs. Its death takes the broker with it (PR_SET_PDEATHSIG).
            self._process.kill()
            self._process.wait(_WORD_TIMEOUT_S)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process = None
        self._java_pid = None
