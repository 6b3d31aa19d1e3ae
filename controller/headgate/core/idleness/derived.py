"""The activity of a worker's task, derived from its channels. For people and the controller, never for gating (R22).

Watermarks are gated by channels, whose set is fixed; what a worker holds changes with every rebalance. A worker that
holds no partition is IDLE and says so, because nobody has to wait for it: that it says nothing would look like trouble.
"""

from __future__ import annotations

from collections.abc import Iterable

QUIET = frozenset({"IDLE", "FINISHED"})


def task_activity(statuses: Iterable[str | None]) -> tuple[str, str | None]:
    """Return (status, reason) of a task that runs, from what it said of each channel; None is nothing said yet."""
    said = set(statuses)
    if not said:
        return "IDLE", "NO_ASSIGNMENT"
    if said == {"FINISHED"}:
        return "FINISHED", "FINISHED"
    if said <= QUIET:
        return "IDLE", "EMPTY"
    return "ACTIVE", None
