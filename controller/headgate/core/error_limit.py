"""The error limit: how many records may be set aside before a stream stops all the same.

A few bad records are set aside and looked at later; a source full of them is a mistake that nobody wants to find in a
dead-letter topic with a million records. The window is counted in records, not in time, so that a replay of the same
records meets the limit at the same one. It is one task's own, and begins anew with the task.
"""

from __future__ import annotations

from collections import deque


class ErrorLimit:
    """Counts errors among the last `records` records; more than `errors` of them are too many."""

    def __init__(self, errors: int, records: int) -> None:
        self.errors = errors
        self.records = records
        self._at: deque[int] = deque()
        self._seen = 0

    def good(self, count: int) -> None:
        """Count records that were processed."""
        self._seen += count

    def bad(self) -> bool:
        """Count one that was not; say whether there are too many now."""
        self._seen += 1
        self._at.append(self._seen)
        while self._at[0] <= self._seen - self.records:
            self._at.popleft()
        return len(self._at) > self.errors
