"""Backoff: how long to wait before the next attempt. Exponential, with full jitter, for ever, between two bounds.

Full jitter (a uniform draw from zero to the growing bound) spreads many streams that lost the same broker, where a
fixed ladder would bring them all back at one moment. Randomness comes in as a number, so a seed repeats a run.
"""

from __future__ import annotations

from typing import Final

MAX_DOUBLINGS: Final = 32
MIN_SHARE: Final = 0.05
"""The least share of a step that is waited, so that a draw of zero does not make a busy loop."""


def ceiling_s(attempt: int, initial_s: float, max_s: float) -> float:
    """Return the longest wait after attempt number `attempt` (from 0), in seconds."""
    return float(min(max_s, initial_s * 2 ** min(max(attempt, 0), MAX_DOUBLINGS)))


def delay_s(attempt: int, initial_s: float, max_s: float, draw: float) -> float:
    """Return the wait in seconds after attempt number `attempt` (from 0); `draw` is uniform in [0, 1)."""
    return ceiling_s(attempt, initial_s, max_s) * max(MIN_SHARE, draw)
