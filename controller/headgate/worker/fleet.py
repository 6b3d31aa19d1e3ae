"""The fleet: which workers are alive, and what those that fell silent left open.

A worker is alive while its heartbeats come, judged by the time of their receipt on our own clock; only what was read
while catching up is judged by its timestamp. A worker that says it is stopping counts as gone at once,
and one that somebody cordoned takes no tasks, although it lives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from headgate_events.idleness.vigil import Spoken, spoken_for
from headgate_events.markers import ChannelId
from headgate_events.names import cordoned_worker
from headgate_events.records import Record

MISSED_BEATS: Final = 3
FORGET_S: Final = 3_600.0


@dataclass(slots=True)
class Member:
    """One worker's last heartbeat, and when it was received (seconds of the monotonic clock)."""

    beat: Mapping[str, Any]
    seen_s: float
    silent_after_s: float

    def alive(self, now_s: float) -> bool:
        """Say whether the worker is alive and staying."""
        return not self.beat.get("stopping") and not self.silent(now_s)

    def silent(self, now_s: float) -> bool:
        """Say whether its heartbeats stopped coming."""
        return now_s - self.seen_s > self.silent_after_s


class Fleet:
    """All workers of the namespace as one of them, `me`, sees them."""

    def __init__(self, me: str, silent_after_s: float, instance: str = "") -> None:
        self._me = me
        self._instance = instance
        self._before_me: set[str] = set()
        self._began = False
        self.namesake: Literal["older", "newer"] | None = None
        """Whether somebody else is heard under our name, who began before us or after."""
        self._silent_after_s = silent_after_s
        self._members: dict[str, Member] = {}
        self._cordons: dict[str, tuple[Mapping[str, Any], float]] = {}

    def take(self, record: Record, now_s: float, now_ms: int, *, caught_up: bool) -> None:
        """Take a heartbeat in; one that cannot be read is passed over, since it says nothing."""
        key, value = record.key(), record.value()
        if not isinstance(key, bytes):
            return
        name = key.decode(errors="replace")
        age_s = 0.0 if caught_up else max(0.0, (now_ms - int(record.timestamp()[1])) / 1000)
        if (cordoned := cordoned_worker(name)) is not None:
            self._take_cordon(cordoned, value, now_s - age_s)
            return
        if value is None:
            self._members.pop(name, None)
            return
        try:
            beat = orjson.loads(value)
            interval_s = float(beat["interval_ms"]) / 1000
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            return
        silent_after_s = max(self._silent_after_s, MISSED_BEATS * interval_s)
        self._members[name] = Member(beat, now_s - age_s, silent_after_s)
        if name == self._me:
            self._compare(str(beat.get("instance", "")), stopping=bool(beat.get("stopping")))

    def _compare(self, instance: str, *, stopping: bool) -> None:
        """Notice who else bears our name. The topic's order says who began first, and all read the same order.

        A process before us is heard before our first heartbeat, and may say goodbye after it; one that goes on lives.
        """
        if instance == self._instance:
            self._began = True
        elif not self._began:
            self._before_me.add(instance)
        elif not stopping:
            self.namesake = "older" if instance in self._before_me else "newer"

    def _take_cordon(self, worker: str, value: bytes | None, said_s: float) -> None:
        try:
            said = None if value is None else orjson.loads(value)
        except orjson.JSONDecodeError:
            return
        if isinstance(said, dict):
            self._cordons[worker] = (said, said_s)
        else:
            self._cordons.pop(worker, None)

    def cordoned(self, worker: str) -> tuple[Mapping[str, Any], float] | None:
        """Return what keeps tasks away from a worker, and when that was last said; None when nothing does."""
        return self._cordons.get(worker)

    def fading_cordons(self, now_s: float, since_s: float, *, first: bool) -> list[tuple[str, Mapping[str, Any]]]:
        """Return the cordons that nobody has said for `since_s` and that are ours to say again.

        Our own is; and where we are the `first` of the live workers, those of workers that are not heard.
        """
        heard = {name for name, member in self._members.items() if not member.silent(now_s)}
        return [
            (worker, said)
            for worker, (said, at_s) in self._cordons.items()
            if now_s - at_s >= since_s and (worker == self._me or (first and worker not in heard))
        ]

    def live(self, now_s: float, *, me: bool) -> frozenset[str]:
        """Return the workers that are alive and not cordoned; `me` says whether this one counts itself in."""
        gone = [name for name, member in self._members.items() if now_s - member.seen_s > FORGET_S]
        for name in gone:
            del self._members[name]
        others = {name for name, member in self._members.items() if name != self._me and member.alive(now_s)}
        return frozenset((others | {self._me} if me else others) - self._cordons.keys())

    def tasks_of(
        self, stream: str, incarnation: int, now_s: float, since_s: float = float("-inf")
    ) -> dict[str, Mapping[str, Any]]:
        """Return what each worker that is heard last said of its task of this stream, if that was sent since a time.

        A heartbeat may have been under way for a while: one that came within an interval after `since_s` is left out.
        """
        return {
            name: task
            for name, member in self._members.items()
            if not member.silent(now_s) and member.seen_s - float(member.beat["interval_ms"]) / 1000 >= since_s
            for task in member.beat.get("tasks") or ()
            if task.get("stream") == stream and task.get("incarnation") == incarnation
        }

    def spoken_for(self, streams: Mapping[str, int]) -> dict[ChannelId, Spoken]:
        """Return what the heartbeats say of the channels of these streams (name and incarnation), the newest of each.

        A channel counts as heard for three heartbeats; channels that nobody named are absent.
        """
        return spoken_for(((each.beat, each.seen_s, each.silent_after_s) for each in self._members.values()), streams)

    def left_open(self, stream: str, incarnation: int, now_s: float) -> tuple[tuple[str, str], ...]:
        """Return (transactional id, instance) of workers that fell silent while they ran this stream."""
        return tuple(
            (each, str(member.beat.get("instance", "")))
            for name, member in sorted(self._members.items())
            if name != self._me and member.silent(now_s)
            for each in _ids(member.beat, stream, incarnation)
        )

    def transactional_ids(self, stream: str, incarnation: int) -> list[str]:
        """Return the ids of every worker that last said it ran this stream, this one included."""
        return sorted({each for member in self._members.values() for each in _ids(member.beat, stream, incarnation)})


def _ids(beat: Mapping[str, Any], stream: str, incarnation: int) -> list[str]:
    return [
        each
        for task in beat.get("tasks") or ()
        if task.get("stream") == stream and task.get("incarnation") == incarnation
        for each in task.get("transactional_ids") or ()
    ]
