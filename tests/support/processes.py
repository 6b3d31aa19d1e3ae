"""Headgate as processes, as a user runs it, that never outlive the test and whose words are shown when it fails."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.eventually import eventually

ROOT = Path(__file__).resolve().parents[2]
DIE_WITH_PARENT = Path(__file__).with_name("die_with_parent.py")
SHOWN_LINES = 60
"""How much of a process's output a failed test shows."""


def guarded(arguments: Sequence[str]) -> list[str]:
    """Return the command line that runs `headgate <arguments>` and ends with this process."""
    headgate = [sys.executable, "-m", "headgate.cli.main", *arguments]
    return [sys.executable, str(DIE_WITH_PARENT), str(os.getpid()), *headgate]


class HeadgateProcess:
    """One running `headgate …`, in a process group of its own, with its output in a file."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], output: Path) -> None:
        self.arguments = tuple(arguments)
        self.output_path = output
        with output.open("wb") as sink:
            self._process = subprocess.Popen(
                guarded(arguments),
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process's id, which is also its group's."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number when one ended it."""
        return self._process.poll()

    def output(self) -> str:
        """Return what it has written so far, standard output and error as they came."""
        return self.output_path.read_text(errors="replace")

    def wait_for_output(self, text: str, timeout_s: float) -> None:
        """Return once `text` stands in the output; an error past the bound, or when the process ended without it."""

        def said() -> bool:
            ended = self.exit_code is not None
            if text in self.output():
                return True
            if ended:
                raise RuntimeError(f"{self} ended with {self.exit_code} without saying {text!r}:\n{self.tail()}")
            return False

        eventually(said, timeout_s, f"{self} says {text!r}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process alone; nothing happens when it has ended."""
        self._process.send_signal(number)

    def wait(self, timeout_s: float) -> int:
        """Return the exit code; AssertionError when the process still runs after `timeout_s`."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self} still runs after {timeout_s:g} s:\n{self.tail()}") from None

    def stop(self, timeout_s: float = 30.0) -> int:
        """Ask it to end as a service manager does (SIGTERM) and return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def kill(self) -> None:
        """End it and everything it started, at once (SIGKILL), and reap it. Does nothing a second time."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(10.0)

    def tail(self, lines: int = SHOWN_LINES) -> str:
        """Return the last lines of the output."""
        return "\n".join(self.output().splitlines()[-lines:])

    def __repr__(self) -> str:
        return f"headgate {' '.join(self.arguments)} (pid {self.pid})"


class Processes:
    """Starts headgate processes for one test and ends them all with it."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self.environment = dict(environment)
        self.started: list[HeadgateProcess] = []
        self._folder = folder

    def start(self, *arguments: str, environment: Mapping[str, str] | None = None) -> HeadgateProcess:
        """Start `headgate <arguments>` in the background; `environment` adds to the test's own."""
        output = self._folder / f"{len(self.started):02}-{arguments[0] if arguments else 'headgate'}.log"
        process = HeadgateProcess(arguments, {**self.environment, **(environment or {})}, output)
        self.started.append(process)
        return process

    def run(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        given: str | None = None,
        timeout_s: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run `headgate <arguments>` to its end, with `given` on standard input; any exit code is returned.

        Past the bound it is killed with everything it started, and AssertionError says so.
        """
        process = subprocess.Popen(
            guarded(arguments),
            cwd=ROOT,
            env={**self.environment, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        with process:
            try:
                output, errors = process.communicate(given or "", timeout_s)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"headgate {' '.join(arguments)} still ran after {timeout_s:g} s") from None
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self.started):
            process.kill()
