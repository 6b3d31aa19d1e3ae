"""The parts of the demo as real processes: the product's own commands, started as a person would, never left behind.

Each runs under the same small supervisor as the embedded broker, which ends it when this process is gone, however it
went. What a part writes goes into a file of the demo's folder.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from headgate.broker import supervisor
from headgate_events.errors import EnvironmentProblem

STOP_TIMEOUT_S: Final = 12.0
"""How long a part may take to end in good order before it is killed."""
ANSWER_TIMEOUT_S: Final = 10.0
SHOWN_LINES: Final = 12


class Part:
    """One running `headgate …`. One thread owns it."""

    def __init__(self, name: str, arguments: tuple[str, ...], environ: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.arguments = arguments
        self.exit_status: int | None = None
        """None while it runs; minus the signal's number when one ended it."""
        self.log_path = folder / f"{name}.log"
        # -P: a folder called headgate where the demo happens to be started is not the product.
        command = [sys.executable, "-P", "-m", "headgate.cli.main", *arguments]
        self._supervisor = subprocess.Popen(
            [
                sys.executable, "-I", "-S", supervisor.__file__, str(os.getpid()), str(STOP_TIMEOUT_S), "",
                str(self.log_path), "", "--", *command,
            ],
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )  # fmt: skip
        self._heard = b""
        self.pid = int(self._answer("started", ANSWER_TIMEOUT_S) or 0)

    @property
    def command_line(self) -> str:
        return " ".join(("headgate", *self.arguments))

    def running(self) -> bool:
        """Whether it has not ended."""
        return self.wait(0.0) is None

    def kill(self) -> int | None:
        """End it with SIGKILL and return its exit status; None when it is still there after the bound."""
        self._tell(b"kill\n")
        return self.wait(ANSWER_TIMEOUT_S)

    def ask_to_stop(self) -> None:
        """Send it SIGTERM; it is killed if that takes too long."""
        if self.exit_status is None:
            self._tell(b"stop\n")

    def wait(self, timeout_s: float) -> int | None:
        """Wait for its end and return the exit status; None when it still runs."""
        if self.exit_status is None and (answer := self._answer("exited", timeout_s)) is not None:
            self.exit_status = int(answer)
        return self.exit_status

    def end(self) -> None:
        """See to it that nothing of it is left."""
        if self.exit_status is None:
            self.ask_to_stop()
            self.wait(STOP_TIMEOUT_S + ANSWER_TIMEOUT_S)
        for stream in (self._supervisor.stdin, self._supervisor.stdout):
            assert stream is not None
            stream.close()
        try:
            self._supervisor.wait(ANSWER_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            # Its end takes the part with it.
            self._supervisor.kill()
            self._supervisor.wait(ANSWER_TIMEOUT_S)

    def tail(self) -> str:
        """Return the last lines of what it wrote."""
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-SHOWN_LINES:])

    def _tell(self, word: bytes) -> None:
        assert self._supervisor.stdin is not None
        try:
            self._supervisor.stdin.write(word)
        except BrokenPipeError:
            # It has ended already, which `wait` tells.
            return

    def _answer(self, word: str, timeout_s: float) -> str | None:
        """Read the supervisor's answers until one that begins with `word`; None when it does not come in time."""
        assert self._supervisor.stdout is not None
        deadline = time.monotonic() + timeout_s
        while True:
            while b"\n" in self._heard:
                line, self._heard = self._heard.split(b"\n", 1)
                said, _, rest = line.decode().partition(" ")
                if said == word:
                    return rest
            if not select.select([self._supervisor.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            data = os.read(self._supervisor.stdout.fileno(), 512)
            if not data:
                raise EnvironmentProblem(
                    f"The process of `{self.command_line}` ended without a word.", hint="Was it killed from outside?"
                )
            self._heard += data


class Processes:
    """Starts parts with one environment, in one folder; leaving the block ends all of them."""

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        self.parts: dict[str, Part] = {}
        self._environ = dict(environ)
        self._folder = folder

    def start(self, name: str, *arguments: str, **environ: str) -> Part:
        """Start `headgate <arguments>` in the background; `environ` adds to what all get."""
        part = Part(name, arguments, {**self._environ, **environ}, self._folder)
        self.parts[name] = part
        return part

    def run(self, *arguments: str, timeout_s: float) -> tuple[int | None, str]:
        """Run `headgate <arguments>` to its end. Return its exit status (None past the bound) and what it wrote."""
        part = Part(f"headgate-{arguments[0]}", arguments, self._environ, self._folder)
        try:
            status = part.wait(timeout_s)
            return status, part.log_path.read_text(errors="replace")
        finally:
            part.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in self.parts.values():
            part.ask_to_stop()
        for part in self.parts.values():
            part.end()
