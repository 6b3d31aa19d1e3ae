"""Reading a log that somebody else writes: its end, and what comes after, over a roll-over."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_EVERY_S = 0.2
_TAIL_BYTES = 65_536


def tail(path: Path, lines: int, *, at_most_bytes: int = _TAIL_BYTES) -> str:
    """Return the last `lines` lines of a text file, out of its last `at_most_bytes`; empty when it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - at_most_bytes))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:]) if lines else ""


def follow(path: Path, goes_on: Callable[[], bool]) -> Iterator[str]:
    """Yield what is appended to `path` from now on, until `goes_on` says no and all was read.

    A file that takes the place of a rolled one is read from its start. Blocks the calling thread between looks.
    """
    file = path.open(encoding="utf-8", errors="replace")
    try:
        file.seek(0, os.SEEK_END)
        while True:
            last_look = not goes_on()
            while text := file.read(_TAIL_BYTES):
                yield text
            if path.exists() and path.stat().st_ino != os.fstat(file.fileno()).st_ino:
                file.close()
                file = path.open(encoding="utf-8", errors="replace")
            elif last_look:
                return
            else:
                time.sleep(_EVERY_S)
    finally:
        file.close()
