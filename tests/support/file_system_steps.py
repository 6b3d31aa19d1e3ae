"""Something that happens in the middle: an action at the n-th file-system call that a piece of code makes in a folder.

Python's audit hook hears of every open, link, rename, unlink, mkdir and listing before it happens. So a test can kill,
or let a rival go first, at each point of a piece of code, one after the other, without a clock.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

_HEARD = frozenset({"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.listdir", "os.scandir"})


class Steps:
    """Counts the calls in one folder, and acts once, before the call whose turn it is."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._left: int | None = None
        self._action: Callable[[], None] | None = None
        self.acted = False
        sys.addaudithook(self._hear)  # it stays until the process ends, and does nothing outside of `act_before`

    @contextlib.contextmanager
    def act_before(self, number: int, action: Callable[[], None]) -> Iterator[None]:
        """Do `action` before the call of this number (from 0 on); `acted` says whether there were so many."""
        self._left, self._action, self.acted = number, action, False
        try:
            yield
        finally:
            self._left = None

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._left is None or event not in _HEARD or not str(arguments[0]).startswith(self._folder):
            return
        if self._left:
            self._left -= 1
            return
        self._left, self.acted = None, True
        assert self._action is not None
        self._action()
