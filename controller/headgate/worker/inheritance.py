"""Inheritance: what a task says of a source that other streams write, taken from their markers.

Each source partition of the task is one partition of the others' destination, so it has one valve over all their
channels (`Alignment`). What comes out of it at the place that the task has read to is what it may say: the status, and
how far event time has come. Several signals between two looks become one, which is late at most and never early; only
an ACTIVE between two IDLEs is told (`woke`), so that nobody downstream misses the phase, nor its watermark.

What came out counts only when every marker was taken that was there when the records before that place were fetched:
after records moved, the markers topic is asked for its end, and nothing new comes out before that is reached. Records
do not wait for it: the task says ACTIVE by itself before it writes the first of them, and ACTIVE is always safe.
An open transaction on the markers topic therefore holds IDLE and watermarks back, and nothing else.

A channel of a stream that stands still is held (HELD), and one that should be spoken for and is not (SUSPECT), too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from headgate.ports.errors import LogError
from headgate.ports.log import TopicPartition
from headgate_events.idleness.alignment import Alignment
from headgate_events.idleness.signals import MIN, TO_ACTIVE, Status
from headgate_events.idleness.vigil import Hold, Spoken, Vigil
from headgate_events.marker_feed import MarkerFeed
from headgate_events.markers import ChannelId, channel_of
from headgate_events.records import Record
from headgate_events.upstreams import Upstream, Upstreams

LOOK_EVERY_S: Final = 0.1
"""How often the markers topic is asked for its end while records move; a watermark may be late by as much."""
VIGIL_EVERY_S: Final = 0.5
REST_AFTER_S: Final = 10.0
"""How long after the last look the client that asks is let go."""

Positions = Mapping[TopicPartition, int]
EndsOf = Callable[[], dict[int, int] | None]
"""Asks for the ends of the partitions that are read, past open transactions; None when the broker does not tell."""

logger = structlog.get_logger("headgate.worker")


@dataclass(frozen=True, slots=True)
class Inherited:
    """What the markers say of one source partition, at the place that it was read to.

    `watermark` is MIN where there is none. `because` says more where the reason is HELD or SUSPECT. `woke` says that it
    was ACTIVE since it was told last, whatever it is by now.
    """

    status: Status
    watermark: int
    reason: str
    position: int
    because: str | None = None
    woke: bool = False


class Inheritance:
    """What one task inherits. Its thread owns it; seconds are of the clock by which heartbeats are heard."""

    def __init__(
        self, topic: str, feed: MarkerFeed, upstreams: Upstreams, patience_s: float, *, flush_on_all_idle: bool = True
    ) -> None:
        self._topic = topic
        self._feed = feed
        self._upstreams = upstreams
        self._alignment: Alignment[Record] = Alignment(topic, flush_on_all_idle=flush_on_all_idle)
        self._vigil = Vigil(patience_s)
        self._holds: dict[ChannelId, Hold] = {}
        self._woken: set[int] = set()
        self._writers: tuple[Upstream, ...] = ()
        self._version = -1
        self._told: Positions = {}
        self._asked: Positions | None = None
        self._look_s = float("-inf")
        self._vigil_s = float("-inf")

    def begin(self, positions: Positions) -> None:
        """Begin partitions, or begin them anew, at these positions."""
        for place, position in positions.items():
            self._alignment.begin(place.partition, position)
        self._told = {each: at for each, at in self._told.items() if each not in positions}
        self._asked = None

    def step(
        self, source: Mapping[str, Any], reached: Positions, now_s: float, ends_of: EndsOf
    ) -> dict[TopicPartition, Inherited]:
        """Take the markers in that are there, and return what may be said of each partition.

        `reached` is how far each was read: past its last record, or to the end that was met after it. Nothing is
        returned of a partition as long as it is not known what stood on the markers topic.
        """
        try:
            self._know_writers(source, ends_of)
            self._feed.follow(self._alignment.streams)
            for marker in self._feed.take():
                self._alignment.take(marker)
                self._vigil.heard(channel_of(marker), now_s)
            self._hold(now_s)
            self._release(reached, now_s)
        except LogError as error:
            logger.info("the markers cannot be read now", action="task.markers", error=error.message)
            with contextlib.suppress(LogError):
                self._feed.close()
            self._asked = None
            self._told = {}
        found = {each: self._of(each.partition) for each in reached if each in self._told}
        self._woken.difference_update(each.partition for each in found)
        return found

    def close(self) -> None:
        """Let the clients go, and ask for nothing more."""
        self._upstreams.watch(self, frozenset())
        self._feed.close()

    def _know_writers(self, source: Mapping[str, Any], ends_of: EndsOf) -> None:
        """Take on the streams that write the source now, and end those that no longer do."""
        version = self._upstreams.version
        if version == self._version:
            return
        names = self._upstreams.of(source)
        writers = tuple(found for name in sorted(names) if (found := self._upstreams.get(name)) is not None)
        gone = set(self._alignment.streams) - names
        ends = None
        if gone or any(self._fewer(each) for each in writers):
            ends = ends_of()
            if ends is None:
                return
        for name in gone:
            self._alignment.end(name, ends or {})
        for each in writers:
            self._alignment.expect(each.stream, each.incarnation, each.channels, ends)
        self._writers = writers
        self._version = version
        self._vigil_s = float("-inf")
        self._upstreams.watch(self, names)

    def _fewer(self, upstream: Upstream) -> bool:
        """Say whether a stream has lost channels that it had."""
        channels = upstream.channels
        return channels is not None and bool(frozenset(self._alignment.channels(upstream.stream)) - channels)

    def _hold(self, now_s: float) -> None:
        if now_s < self._vigil_s:
            return
        self._vigil_s = now_s + VIGIL_EVERY_S
        spoken_for: Mapping[ChannelId, Spoken] = self._upstreams.spoken_for
        holds = self._vigil.keep(self._alignment, self._writers, now_s, spoken_for)
        for channel, hold in holds.items():
            if hold.reason == "SUSPECT" and channel not in self._holds:
                logger.warning("suspect", action="task.suspect", source=self._topic, because=hold.because)
        self._holds = holds

    def _release(self, reached: Positions, now_s: float) -> None:
        """Let take effect what may: at once where nothing was read since the last look, else after another one."""
        for gone in set(self._alignment.partitions) - {each.partition for each in reached}:
            self._alignment.forget(gone)
        if self._asked is None and self._told != reached and now_s >= self._look_s:
            self._asked = dict(reached)
            self._look_s = now_s + LOOK_EVERY_S
            self._feed.look()
        if self._asked is not None and self._feed.up_to_date:
            self._told, self._asked = self._asked, None
        if self._asked is None and now_s >= self._look_s + REST_AFTER_S:
            self._feed.rest()
        for place, position in self._told.items():
            known = place.partition in self._alignment.partitions
            if known and TO_ACTIVE in self._alignment.release(place.partition, (), position):
                self._woken.add(place.partition)

    def _of(self, partition: int) -> Inherited:
        status, watermark = self._alignment.status(partition), self._alignment.watermark(partition)
        position = self._alignment.reached(partition)
        if status is not Status.ACTIVE:
            return Inherited(status, watermark, "EMPTY", position, woke=partition in self._woken)
        worst = min(self._holds.values(), key=lambda each: (each.reason != "SUSPECT", each.channel), default=None)
        if worst is None:
            return Inherited(status, watermark, "UPSTREAM", position)
        return Inherited(status, watermark, worst.reason, position, worst.because)


UNHEARD: Final = Inherited(Status.ACTIVE, MIN, "UPSTREAM", 0)
"""What counts while nothing is known: the streams before may be busy."""
