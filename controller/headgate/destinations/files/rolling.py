"""When files are finished: by size, by count, or by time, whichever comes first."""

from __future__ import annotations

from headgate.destinations.files.settings import Roll


class Rolling:
    """Knows whether a file of this commit is full."""

    def __init__(self, roll: Roll) -> None:
        self._roll = roll
        self._full = False

    def note(self, records: int, size_bytes: int) -> None:
        """Note how large a file is by now."""
        if records >= self._roll.records or size_bytes >= self._roll.bytes:
            self._full = True

    def due(self, waited_s: float) -> bool:
        """Say whether to commit, `waited_s` after the first record since the last commit."""
        return self._full or waited_s >= self._roll.seconds

    def begin_anew(self) -> None:
        """Forget: all files are new."""
        self._full = False
