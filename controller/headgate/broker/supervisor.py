"""The broker's parent process: it ends the broker when its owner is gone, however the owner went.

    python supervisor.py OWNER_PID STOP_TIMEOUT_S FOLDER_TO_REMOVE CONSOLE_LOG INHERITED_FDS -- COMMAND ...

It runs the command and listens on standard input, whose other end the owner holds. End of file means that the owner
is gone, by SIGKILL as well, because the kernel closes a dead process's descriptors. A child that the owner forked may
have inherited that end and keep it open, so once a second it also looks whether its own parent is still the owner. If
the supervisor itself is killed, the kernel kills the command (Linux, PR_SET_PDEATHSIG; the supervisor has one thread,
so the signal cannot come early).

Words on standard input: `stop`, `kill`, `pause`, `resume`, one per line. Answers on standard output: `started PID`,
`paused`, `resumed`, `exited STATUS`. It has a session of its own, so that Ctrl-C at the owner's terminal leaves the
broker to the owner. The folder, if not empty, is removed after the command's end when the owner is gone.

A file run by path with an isolated interpreter: it imports nothing but the standard library and starts in 30 ms.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

_LOOK_EVERY_S = 1.0
_PR_SET_PDEATHSIG = 1


def _death_signal() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    import ctypes

    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def die_with_parent() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return die_with_parent


class Supervisor:
    """Runs one command for one owner. Everything happens in `run`, in one thread."""

    def __init__(self, owner_pid: int, stop_timeout_s: float, folder: str) -> None:
        self._owner_pid = owner_pid
        self._stop_timeout_s = stop_timeout_s
        self._folder = folder
        self._kill_at: float | None = None
        self._input_open = True
        self._owner_gone = False
        self._pending = b""

    def run(self, command: list[str], console: str, inherited: tuple[int, ...] = ()) -> int:
        """Run `command` to its end, for which its output goes to the file `console`; return its exit status."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        os.set_blocking(wake_read, False)
        signal.set_wakeup_fd(wake_write)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._stop())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with Path(console).open("ab", buffering=0) as log:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=inherited,
                preexec_fn=_death_signal(),  # noqa: PLW1509 - this process has one thread
            )
        self._say(f"started {self._child.pid}")
        while self._child.poll() is None:
            self._step(wake_read)
        status = self._child.returncode
        self._say(f"exited {status}")
        if self._owner_gone and self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        return status if status >= 0 else 128 - status

    def _step(self, wake_read: int) -> None:
        """Wait at most a second for a word, the owner's end, or the child's, and act on it."""
        wait_s = _LOOK_EVERY_S
        if self._kill_at is not None:
            wait_s = min(wait_s, max(0.0, self._kill_at - time.monotonic()))
        readable, _, _ = select.select([wake_read] + ([0] if self._input_open else []), [], [], wait_s)
        if wake_read in readable:
            os.read(wake_read, 512)
        if 0 in readable:
            self._read_words()
        if os.getppid() != self._owner_pid:
            self._lose_owner()
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._child.kill()

    def _read_words(self) -> None:
        data = os.read(0, 512)
        if not data:
            self._input_open = False
            self._lose_owner()
            return
        *words, self._pending = (self._pending + data).split(b"\n")
        for word in words:
            self._obey(word)

    def _obey(self, word: bytes) -> None:
        if word == b"stop":
            self._stop()
        elif word == b"kill":
            self._child.kill()
        elif word == b"pause":
            self._child.send_signal(signal.SIGSTOP)
            self._say("paused")
        elif word == b"resume":
            self._child.send_signal(signal.SIGCONT)
            self._say("resumed")

    def _lose_owner(self) -> None:
        self._owner_gone = True
        self._stop()

    def _stop(self) -> None:
        """Ask the child to end, once; it is killed when it has not within the bound."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + self._stop_timeout_s
            self._child.send_signal(signal.SIGTERM)
            # A stopped process takes the signal only when it goes on.
            self._child.send_signal(signal.SIGCONT)

    @staticmethod
    def _say(line: str) -> None:
        # The owner may be gone; then there is nobody to tell.
        with contextlib.suppress(OSError):
            os.write(1, line.encode() + b"\n")


def main(arguments: list[str]) -> int:
    """Run the supervisor with the arguments of the module's description; return the command's exit status."""
    owner_pid, stop_timeout_s, folder, console, inherited = arguments[:5]
    descriptors = tuple(int(fd) for fd in inherited.split(",") if fd)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    return Supervisor(int(owner_pid), float(stop_timeout_s), folder).run(arguments[6:], console, descriptors)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
