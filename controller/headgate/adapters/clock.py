"""Time as the shells get it: the machine's, or one that a test or a simulation moves by hand."""

from __future__ import annotations

import time


class SystemClock:
    """Implements `Clock` with the machine's time."""

    def now_ms(self) -> int:
        """Return the wall clock, in milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Return seconds that never go back, from an arbitrary start."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class ManualClock:
    """Implements `Clock` with a time that stands still until it is moved. Sleeping moves it."""

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self._start_us = self._now_us = start_ms * 1_000

    def now_ms(self) -> int:
        """Return the time, in milliseconds since the epoch."""
        return self._now_us // 1_000

    def monotonic_s(self) -> float:
        """Return the seconds since the clock was made."""
        return (self._now_us - self._start_us) / 1_000_000

    def sleep(self, seconds: float) -> None:
        """Move the time on, without waiting."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move the time on; it never goes back."""
        assert seconds >= 0, "time does not go back"
        self._now_us += round(seconds * 1_000_000)
