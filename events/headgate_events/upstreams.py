"""Upstreams: which streams write a topic, what channels they have, and whether they run.

Nobody judges by itself a topic that carries another stream's output: an empty partition there says nothing, since the
stream before may be busy and filter everything out. So whoever reads one keeps this index of all streams' destinations,
fed with their states, and takes the status from the markers of those that write the topic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from headgate_events.markers import ChannelId
from headgate_events.schema.common import Status

Place = tuple[str | None, str]
"""A topic: the name of the connection to its cluster (None is the cluster of the streams), and its own."""

FENCE_PENDING: Final = "fence_pending"
SLEEPING: Final = frozenset({Status.DRAINING.value, Status.PAUSED.value})


@dataclass(frozen=True, slots=True)
class Upstream:
    """A stream that writes to Kafka, as its state says. `partitions` are its source's, None while they are not known.

    It may write to two places for a while: after a change of its destination, until every task runs the new revision.
    `asleep` says that it is paused, or about to be, because its source is silent, and is woken when that ends.
    """

    stream: str
    incarnation: int
    status: str
    places: frozenset[Place]
    partitions: Mapping[str, int] | None
    asleep: bool = False
    started_epoch: int = 0
    """The epoch of its present run: what its workers said under an earlier one is old news."""

    @property
    def runs(self) -> bool:
        """Whether its workers read, so that they will say what they find."""
        return self.status == Status.RUNNING.value

    @property
    def channels(self) -> frozenset[ChannelId] | None:
        """Return the channels that it has, None while they are not known."""
        if self.partitions is None:
            return None
        return frozenset(
            ChannelId(self.stream, topic, number) for topic, n in self.partitions.items() for number in range(n)
        )


class Upstreams:
    """The streams that write each topic. One thread changes it, any thread may ask."""

    def __init__(self) -> None:
        self._streams: dict[str, Upstream] = {}
        self._writers: dict[Place, frozenset[str]] = {}
        self._watched: dict[object, frozenset[str]] = {}
        self.version = 0
        """Grows whenever something changes here."""
        self.spoken_for: Mapping[ChannelId, Any] = {}
        """What the heartbeats say of each channel of a watched stream (`Spoken`)."""

    def note(self, stream: str, state: Mapping[str, Any] | None) -> None:
        """Take on a stream's newest state; None, or one that was deleted, writes nowhere any more.

        A stream that was stopped by force may still write what it had begun, until its workers are fenced.
        """
        before = self._streams.get(stream)
        now = None if state is None else _upstream(stream, state, before)
        if now == before:
            return
        for place in before.places if before is not None else ():
            left = self._writers[place] - {stream}
            if left:
                self._writers[place] = left
            else:
                del self._writers[place]
        if now is None:
            self._streams.pop(stream, None)
        else:
            self._streams[stream] = now
            for place in now.places:
                self._writers[place] = self._writers.get(place, frozenset()) | {stream}
        self.version += 1

    def of(self, source: Mapping[str, Any]) -> frozenset[str]:
        """Return the streams that write what a stream with this source reads."""
        place = place_of(source)
        return frozenset() if place is None else self._writers.get(place, frozenset())

    def get(self, stream: str) -> Upstream | None:
        """Return a stream that writes to Kafka, None for any other."""
        return self._streams.get(stream)

    def watch(self, who: object, streams: frozenset[str]) -> None:
        """Ask that it be told who speaks for these streams; none ends it."""
        if streams:
            self._watched[who] = streams
        else:
            self._watched.pop(who, None)

    @property
    def watched(self) -> frozenset[str]:
        """The streams of which somebody wants to know who speaks for them."""
        return frozenset().union(*list(self._watched.values()))


def place_of(connector: Mapping[str, Any]) -> Place | None:
    """Return the topic that a source or destination names; None for one that is not a Kafka topic."""
    topic = connector.get("topic")
    if connector.get("kind") != "kafka" or not isinstance(topic, str):
        return None
    connection = connector.get("connection")
    return (connection if isinstance(connection, str) else None), topic


def _upstream(stream: str, state: Mapping[str, Any], before: Upstream | None) -> Upstream | None:
    status = str(state.get("status"))
    if status == Status.DELETED.value and FENCE_PENDING not in (state.get("conditions") or {}):
        return None
    place = place_of((state.get("config") or {}).get("destination") or {})
    places = frozenset() if place is None else frozenset({place})
    incarnation = int(state.get("incarnation") or 0)
    revision = state.get("revision") or {}
    if (
        before is not None
        and before.incarnation == incarnation
        and 0 < revision.get("applied", 0) < revision["desired"]
    ):
        places |= before.places
    if not places:
        return None
    asleep = status in SLEEPING and (state.get("drain") or {}).get("silence") is not None
    started_epoch = int(state.get("started_epoch") or 0)
    return Upstream(stream, incarnation, status, places, state.get("partitions"), asleep, started_epoch)
