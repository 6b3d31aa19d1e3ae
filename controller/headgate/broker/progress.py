"""What a person sees while the broker is fetched and started: a bar in a terminal, plain lines elsewhere.

The base class is silent, so that tests and libraries show nothing unless they ask for it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from rich import progress as rich_progress
from rich.console import Console


class Progress:
    """Shows nothing. `advance` may be called from several threads, the rest from one."""

    def say(self, sentence: str) -> None:
        """Tell the person one sentence."""

    def downloading(self, count: int, size: int) -> AbstractContextManager[None]:  # noqa: ARG002 - nothing is shown
        """Show a download of `count` files with `size` bytes in all for the length of the block."""
        return nullcontext()

    def advance(self, count: int) -> None:
        """`count` more bytes have come; negative when a file has to be fetched again."""


class PlainProgress(Progress):
    """Lines on standard error, one for each tenth of a download."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._size = self._done = self._tenths = 0

    def say(self, sentence: str) -> None:
        sys.stderr.write(f"{sentence}\n")
        sys.stderr.flush()

    @contextmanager
    def downloading(self, count: int, size: int) -> Iterator[None]:
        self._size, self._done, self._tenths = size, 0, 0
        self.say(_title(count, size))
        yield

    def advance(self, count: int) -> None:
        with self._guard:
            self._done += count
            tenths = 10 * self._done // max(1, self._size)
            if tenths > self._tenths:
                self._tenths = tenths
                self.say(f"  {10 * tenths} % ({_megabytes(self._done)} of {_megabytes(self._size)})")


class BarProgress(Progress):
    """A bar with bytes, rate and time left, on standard error."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: rich_progress.Progress | None = None
        self._task: rich_progress.TaskID | None = None

    def say(self, sentence: str) -> None:
        self._console.print(sentence, highlight=False)

    @contextmanager
    def downloading(self, count: int, size: int) -> Iterator[None]:
        columns = (
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(),
            rich_progress.DownloadColumn(),
            rich_progress.TransferSpeedColumn(),
            rich_progress.TimeRemainingColumn(),
        )
        with rich_progress.Progress(*columns, console=self._console) as bar:
            self._bar, self._task = bar, bar.add_task(_title(count, size), total=size)
            try:
                yield
            finally:
                self._bar = self._task = None

    def advance(self, count: int) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, count)


def progress_for_person() -> Progress:
    """Return a bar when standard error is a terminal, plain lines when it is not."""
    console = Console(stderr=True)
    return BarProgress(console) if console.is_terminal else PlainProgress()


def _title(count: int, size: int) -> str:
    return f"Downloading Kafka: {count} {'jar' if count == 1 else 'jars'}, {_megabytes(size)}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
