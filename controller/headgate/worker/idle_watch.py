"""Waiting for idle: whether every channel of a stream is idle, which a command given with `--when-idle` waits for.

The workers say in their heartbeats what they said of their channels. The stream's highest-ranking worker puts these
words together, and only what all of them show is taken for idle: every partition that the state lists is said to be
IDLE or FINISHED under the present epoch, nobody contradicts, every task runs, and every word was sent after the command
was seen. A partition without a word, or a task that begins anew, is unknown, and unknown is never idle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from headgate.ports.log import TopicPartition
from headgate.worker.view import View

QUIET: Final = frozenset({"IDLE", "FINISHED"})

Tasks = Mapping[str, Mapping[str, Any]]
TasksSince = Callable[[float], Tasks]
"""The workers' own words about a stream, of heartbeats that were sent since a time (seconds of our steady clock)."""


class IdleWatch:
    """Remembers since when commands wait, and which of them were reported. One thread owns it."""

    def __init__(self) -> None:
        self._since_s: dict[tuple[str, int], dict[str, float]] = {}
        self._reported: dict[tuple[str, int], set[tuple[str, int]]] = {}

    def forget(self, key: tuple[str, int]) -> None:
        """Forget a stream (its name and incarnation) for which nothing waits, or which is another worker's to watch."""
        self._since_s.pop(key, None)
        self._reported.pop(key, None)

    def judge(self, view: View, tasks_since: TasksSince, now_s: float) -> list[str]:
        """Return the ids of the commands whose fact has come; each is returned once under one epoch."""
        if not view.awaiting_idle or view.status != "RUNNING":
            self.forget(view.key)
            return []
        before = self._since_s.get(view.key, {})
        since_s = self._since_s[view.key] = {each: before.get(each, now_s) for each in sorted(view.awaiting_idle)}
        reported = self._reported.setdefault(view.key, set())
        everybody = tasks_since(float("-inf"))
        reached = []
        for command, seen_s in since_s.items():
            if (command, view.epoch) in reported:
                continue
            tasks = tasks_since(seen_s)
            if tasks.keys() == everybody.keys() and all_idle(view, tasks):
                reported.add((command, view.epoch))
                reached.append(command)
        return reached


def all_idle(view: View, tasks: Tasks) -> bool:
    """Say whether these words show that every partition of the source is idle."""
    said: dict[TopicPartition, set[str | None]] = {}
    for task in tasks.values():
        if task.get("epoch") != view.epoch or task.get("phase") != "running":
            return False
        for channel in task.get("channels") or ():
            said.setdefault(TopicPartition(channel["topic"], channel["partition"]), set()).add(channel.get("status"))
    wanted = {TopicPartition(topic, number) for topic, n in (view.partitions or {}).items() for number in range(n)}
    return bool(wanted) and all(place in said and said[place] <= QUIET for place in wanted)
