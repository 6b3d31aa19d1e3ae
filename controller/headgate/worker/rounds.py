"""Rounds: which streams are due for a look that is taken of each now and then, spread evenly over the period.

For things that need no hurry and concern very many streams, such as all paused ones: what is not due costs nothing.
"""

from __future__ import annotations

import heapq
from zlib import crc32


class Rounds:
    """Names, each due once in a period. One thread owns it."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._due)

    def add(self, name: str, now_s: float) -> None:
        """Take a name on; its first turn comes within one period. One that is there already keeps its turn."""
        if name not in self._due:
            self._turn(name, now_s + self._period_s * (crc32(name.encode()) / 2**32))

    def remove(self, name: str) -> bool:
        """Forget a name; say whether it was there."""
        return self._due.pop(name, None) is not None

    def due(self, now_s: float, most: int) -> list[str]:
        """Return the names whose turn has come, at most so many; each has its next turn a period later."""
        found: list[str] = []
        while self._heap and self._heap[0][0] <= now_s and len(found) < most:
            due_s, name = heapq.heappop(self._heap)
            if self._due.get(name) == due_s:
                found.append(name)
                self._turn(name, now_s + self._period_s)
        return found

    def _turn(self, name: str, due_s: float) -> None:
        self._due[name] = due_s
        heapq.heappush(self._heap, (due_s, name))
