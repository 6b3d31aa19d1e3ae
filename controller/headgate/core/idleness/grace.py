"""The grace before IDLE: a clock that stops, and a wait that grows where a partition flaps.

A plain clock would run on while the loop stands still (a full output queue, a collector's pause, a suspended process)
and would then call a partition empty that nobody has looked at. This one counts looks: time passes for it only from one
orderly look to the next, each step capped. And a partition that keeps going idle for a moment is made to wait longer,
because every edge travels to all who read downstream.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GraceSettings:
    """How long emptiness must last, in milliseconds, and how flapping changes that.

    More than `flaps` flaps within `window_ms` double the grace at each further flap, to `most_ms` at most; each window
    without a flap halves it again. `damping` off keeps it at `grace_ms`.
    """

    grace_ms: int = 5_000
    poll_interval_ms: int = 100
    damping: bool = True
    flaps: int = 3
    window_ms: int = 600_000
    most_ms: int = 60_000

    @property
    def longest_tick_ms(self) -> int:
        """How much one look may count, however long ago the last one was."""
        return 2 * self.poll_interval_ms


class GraceClock:
    """Counts how long something has held, look by look, in milliseconds. Starts at its first look."""

    __slots__ = ("_counted_ms", "_looked_at_ms", "longest_tick_ms")

    def __init__(self, longest_tick_ms: int) -> None:
        self.longest_tick_ms = longest_tick_ms
        self._counted_ms = 0
        self._looked_at_ms: int | None = None

    @property
    def counted_ms(self) -> int:
        """How long it has held."""
        return self._counted_ms

    def gap_ms(self, now_ms: int) -> int:
        """Return the time since the last look, zero at the first."""
        return 0 if self._looked_at_ms is None else now_ms - self._looked_at_ms

    def run(self, now_ms: int) -> None:
        """Look, and count the time since the last look up to the cap; a clock that was set back counts nothing."""
        self._counted_ms += max(0, min(self.gap_ms(now_ms), self.longest_tick_ms))
        self._looked_at_ms = now_ms

    def stand(self, now_ms: int) -> None:
        """Look without counting: the time since the last look was not ours to judge."""
        self._looked_at_ms = now_ms

    def restart(self) -> None:
        """Begin again from zero, at the next look."""
        self._counted_ms = 0
        self._looked_at_ms = None


class AdaptiveGrace:
    """The grace that applies now. A flap is an ACTIVE that followed an IDLE."""

    __slots__ = ("_calm_since_ms", "_flaps", "_grace_ms", "_settings")

    def __init__(self, settings: GraceSettings) -> None:
        self._settings = settings
        self._grace_ms = settings.grace_ms
        self._flaps: deque[int] = deque(maxlen=settings.flaps + 1)
        self._calm_since_ms = 0

    def flapped(self, now_ms: int) -> None:
        """Note a flap."""
        if not self._settings.damping:
            return
        self._flaps.append(now_ms)
        self._calm_since_ms = now_ms
        many = len(self._flaps) > self._settings.flaps
        if many and now_ms - self._flaps[0] <= self._settings.window_ms:
            longest = max(self._settings.most_ms, self._settings.grace_ms)
            self._grace_ms = min(2 * self._grace_ms, longest)

    def needed_ms(self, now_ms: int) -> int:
        """Return how long emptiness must last now."""
        self._decay(now_ms)
        return self._grace_ms

    def _decay(self, now_ms: int) -> None:
        while self._grace_ms > self._settings.grace_ms and now_ms - self._calm_since_ms >= self._settings.window_ms:
            self._grace_ms = max(self._settings.grace_ms, self._grace_ms // 2)
            self._calm_since_ms += self._settings.window_ms
