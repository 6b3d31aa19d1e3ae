"""Waiting for idle: whether every channel of a stream is idle, and how long: commands and auto-pause wait for it.

The workers say in their heartbeats what they said of their channels. The stream's highest-ranking worker puts these
words together, and only what all of them show is taken for idle: every partition that the state lists is said to be
IDLE or FINISHED under the present epoch, nobody contradicts, every task runs, and every word was sent after the command
was seen. A partition without a word, or a task that begins anew, is unknown, and unknown is never idle.

How long it has been so is measured here, by this worker's steady clock, from when it first was: a stream that became
ACTIVE and IDLE again between two heartbeats begins anew, since the time and the token of its words are others then.
Another worker that takes over begins anew, too. That makes a wait longer, never shorter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from headgate.core import auto_pause
from headgate.ports.log import TopicPartition
from headgate.worker.view import View

QUIET: Final = frozenset({"IDLE", "FINISHED"})
SAY_AGAIN_S: Final = 10.0
"""How long a silence that was reported has to take effect before it is reported again."""

Tasks = Mapping[str, Mapping[str, Any]]
TasksSince = Callable[[float], Tasks]
"""The workers' own words about a stream, of heartbeats that were sent since a time (seconds of our steady clock)."""
Words = frozenset[tuple[Any, ...]]
"""What was said of each channel, under which claim and since when: as long as it is the same, nothing happened."""
Ends = dict[str, dict[str, int]]


@dataclass(slots=True)
class _Watched:
    """One stream that something waits for: since when each command was seen, and since when it is idle by which words.

    `told` are the (command, epoch) that were reported.
    """

    since_s: dict[str, float] = field(default_factory=dict)
    words: Words | None = None
    idle_since_s: float = 0.0
    told: set[tuple[str, int]] = field(default_factory=set)
    silence_told_s: float = float("-inf")

    def idle_s(self, words: Words | None, now_s: float) -> float | None:
        """Take the newest words in; return for how long they have been the same, None where they show no idle."""
        if words is None or words != self.words:
            self.words, self.idle_since_s = words, now_s
        return None if words is None else now_s - self.idle_since_s


class IdleWatch:
    """Remembers since when commands wait and streams are idle. One thread owns it."""

    def __init__(self) -> None:
        self._watched: dict[tuple[str, int], _Watched] = {}

    def forget(self, key: tuple[str, int]) -> None:
        """Forget a stream (its name and incarnation) for which nothing waits, or which is another worker's to watch."""
        self._watched.pop(key, None)

    def judge(self, view: View, tasks_since: TasksSince, now_s: float) -> list[str]:
        """Return the ids of the commands whose fact has come; each is returned once under one epoch."""
        if view.status != "RUNNING" or not (view.awaiting_idle or auto_pause.after_s(view.config)):
            self.forget(view.key)
            return []
        watched = self._watched.setdefault(view.key, _Watched())
        watched.since_s = {each: watched.since_s.get(each, now_s) for each in sorted(view.awaiting_idle)}
        everybody = tasks_since(float("-inf"))
        idle_s = watched.idle_s(words_of_idle(view, everybody), now_s)
        if idle_s is None:
            return []
        reached = []
        for command, seen_s in watched.since_s.items():
            if (command, view.epoch) in watched.told:
                continue
            tasks = tasks_since(seen_s)
            # A time of idleness counts from when the command was seen: what was before is not known by us.
            lasted_s = min(idle_s, now_s - seen_s)
            if tasks.keys() == everybody.keys() and all_idle(view, tasks) and lasted_s >= view.awaiting_idle[command]:
                watched.told.add((command, view.epoch))
                reached.append(command)
        return reached

    def silence(self, view: View, tasks_since: TasksSince, now_s: float) -> Ends | None:
        """Return where the source ends, when auto-pause is to pause the stream; ask after `judge`.

        None where it is not silent for long enough, or was reported a moment ago. While a command waits for the stream
        to be idle, the stream is not paused under it. A stream that only waits for its end to be taken note of (every
        partition FINISHED) is not paused: nothing would wake it.
        """
        after_s, watched = auto_pause.after_s(view.config), self._watched.get(view.key)
        if after_s is None or watched is None or watched.words is None or view.kept_for_idle:
            return None
        if now_s - watched.idle_since_s < after_s or now_s - watched.silence_told_s < SAY_AGAIN_S:
            return None
        ends: Ends = {}
        for task in tasks_since(float("-inf")).values():
            for channel in task.get("channels") or ():
                if channel.get("status") == "IDLE" and channel.get("end") is not None:
                    ends.setdefault(channel["topic"], {})[str(channel["partition"])] = int(channel["end"])
        if not ends:
            return None
        watched.silence_told_s = now_s
        return ends


def all_idle(view: View, tasks: Tasks) -> bool:
    """Say whether these words show that every partition of the source is idle."""
    return words_of_idle(view, tasks) is not None


def words_of_idle(view: View, tasks: Tasks) -> Words | None:
    """Return the words that show that every partition of the source is idle; None where they do not."""
    said: dict[TopicPartition, set[str | None]] = {}
    words: set[tuple[Any, ...]] = set()
    for worker, task in tasks.items():
        if task.get("epoch") != view.epoch or task.get("phase") != "running":
            return None
        for channel in task.get("channels") or ():
            status = channel.get("status")
            said.setdefault(TopicPartition(channel["topic"], channel["partition"]), set()).add(status)
            told = status, channel.get("since_ms"), channel.get("claim"), channel.get("position")
            words.add((worker, channel["topic"], channel["partition"], *told))
    wanted = {TopicPartition(topic, number) for topic, n in (view.partitions or {}).items() for number in range(n)}
    if not wanted or not all(place in said and said[place] <= QUIET for place in wanted):
        return None
    return frozenset(words)
