"""Watching: whether the tasks of a running stream move, or have evidence that there is nothing to move.

Silence alone proves nothing: a quiet source is not a stuck task. So each task says in its worker's heartbeats when
records last moved and whether a fetch found its partitions at their ends; one with neither, for the stream's bound, is
stuck. It is judged by the stream's highest-ranking worker, by its own steady clock: what counts is whether another's
word changes, never the time that it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from headgate.worker.view import View

CONDITION: Final = "stalled"
DEFAULT_S: Final = 60.0
Mark = tuple[Any, ...]


@dataclass(slots=True)
class Seen:
    """What a task last said of its progress, since when it says so, and whether it moved while we looked."""

    mark: Mark
    since_s: float
    moved: bool = False


class StallWatch:
    """Remembers how far tasks were. One thread owns it."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], dict[str, Seen]] = {}

    def forget(self, key: tuple[str, int]) -> None:
        """Forget a stream (its name and incarnation) that does not run, or is another worker's to watch."""
        self._seen.pop(key, None)

    def judge(self, view: View, tasks: Mapping[str, Mapping[str, Any]], now_s: float) -> tuple[str, str] | None:
        """Return the report to make, as its kind and its sentence; None when the stream's state says it already.

        `tasks` are the workers' own words about this stream, from their last heartbeats.
        """
        bound_s = float(view.config.get("stalled_after_s", DEFAULT_S))
        seen = self._seen.setdefault(view.key, {})
        for worker in [worker for worker in seen if worker not in tasks]:
            del seen[worker]
        stuck: list[str] = []
        unsure = False
        for worker, task in sorted(tasks.items()):
            if task.get("at_end") or not _moves(task):
                seen.pop(worker, None)
                continue
            mark = (task.get("last_progress_ms"), task.get("records_read"), task.get("epoch"))
            last = seen.get(worker)
            if last is None or last.mark != mark:
                seen[worker] = Seen(mark, now_s, moved=last is not None)
                unsure = unsure or last is None
            elif now_s - last.since_s >= bound_s:
                waits_for = task.get("waits_for")
                stuck.append(f"{worker} (it waits for {waits_for})" if waits_for else worker)
            else:
                unsure = unsure or not last.moved
        held = CONDITION in view.conditions
        if stuck and not held:
            who = ", ".join(stuck)
            return "condition-raised", f"No record moved for {bound_s:g} s, and the source is not at its end: {who}."
        if held and tasks and not stuck and not unsure:
            return "condition-cleared", ""
        return None


def _moves(task: Mapping[str, Any]) -> bool:
    """Whether a task should move records and says when it last did."""
    return task.get("phase") == "running" and bool(task.get("partitions")) and task.get("last_progress_ms") is not None
