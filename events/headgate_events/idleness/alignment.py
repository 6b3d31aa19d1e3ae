"""Alignment: a destination's records, and the markers of the streams that write it, in the one right order.

Markers stand on a topic of their own and say which ends of the destination they cover. So they are put back among the
records: a marker takes effect in a partition only once that partition was read up to the end that it names, and those
of one channel take effect in the order in which they were sent. Each partition of the destination has its own valve
over all channels, since each is read at its own pace.

Never IDLE by guess: a stream of which nothing was heard, or whose channels are not all known, counts as one ACTIVE
channel without a watermark, which holds the output. A marker that names no end for the partition has no place among its
records: its IDLE, its watermark or its end are not taken, and counted.

Pure. Before records are released, every marker must have been taken that stood on the markers topic when they were
fetched; whoever feeds this has to see to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from headgate_events.idleness.channel_set import Epoch
from headgate_events.idleness.signals import Signal, Status
from headgate_events.idleness.valve import WatermarkValve
from headgate_events.markers import ChannelId, channel_of
from headgate_events.schema.workers import Marker

UNKNOWN_TOPIC: Final = ""


class Placed(Protocol):
    """A record of the destination, as far as its place goes."""

    def offset(self) -> int | None:
        """Return its offset."""
        ...


R = TypeVar("R", bound=Placed)


@dataclass(slots=True)
class _Partition(Generic[R]):
    valve: WatermarkValve[ChannelId]
    reached: int = 0
    waiting: dict[ChannelId, deque[Marker]] = field(default_factory=dict)
    out: list[Signal] = field(default_factory=list)


class Alignment(Generic[R]):
    """Puts markers among the records of some partitions of `topic`, which `upstreams` write. Belongs to one thread."""

    def __init__(self, topic: str, partitions: Mapping[int, int], upstreams: Iterable[str]) -> None:
        """Begin at these positions; each is the offset of the first record that will come."""
        self._topic = topic
        self._unknown = {each: ChannelId(each, UNKNOWN_TOPIC, 0) for each in upstreams}
        self._partitions: dict[int, _Partition[R]] = {
            each: _Partition(WatermarkValve(self._unknown.values()), position) for each, position in partitions.items()
        }
        self.unplaced = 0

    def status(self, partition: int) -> Status:
        """Return what holds at the place up to which a partition was released."""
        return self._partitions[partition].valve.status

    def watermark(self, partition: int) -> int:
        """Return how far event time has come there; MIN before any."""
        return self._partitions[partition].valve.watermark

    def expect(self, stream: str, channels: Iterable[ChannelId]) -> None:
        """Take on all channels that a stream has. Those not heard of hold the output until they report (R23)."""
        if (unknown := self._unknown.pop(stream, None)) is None:
            return
        known = list(channels)
        for each in self._partitions.values():
            for channel in known:
                if each.valve.channel(channel) is None:
                    each.out += each.valve.add(channel)
            each.out += each.valve.remove(unknown)

    def take(self, marker: Marker) -> None:
        """Take a marker, in the order of the markers topic. It shows with the records that it belongs to."""
        if marker.status is None or marker.marker == "CLAIM":
            return
        channel = channel_of(marker)
        for each in self._partitions.values():
            each.waiting.setdefault(channel, deque()).append(marker)

    def release(self, partition: int, records: Iterable[R], position: int) -> list[R | Signal]:
        """Return a partition's next records with the signals among them. `position` is where it was read to."""
        one = self._partitions[partition]
        found: list[R | Signal] = []
        for record in records:
            offset = record.offset()
            assert offset is not None
            self._reach(partition, one, offset, found)
            found.append(record)
            one.reached = max(one.reached, offset + 1)
        self._reach(partition, one, position, found)
        return found

    def _reach(self, partition: int, one: _Partition[R], position: int, found: list[R | Signal]) -> None:
        """Let everything take effect that covers no more than what stands before `position`."""
        one.reached = max(one.reached, position)
        for channel, waiting in list(one.waiting.items()):
            while waiting and self._is_due(partition, waiting[0], one.reached):
                one.out += self._apply(partition, one.valve, channel, waiting.popleft())
            if not waiting:
                del one.waiting[channel]
        found += one.out
        one.out.clear()

    def _covered(self, partition: int, marker: Marker) -> int | None:
        if marker.dest_topic != self._topic or marker.dest_offsets is None:
            return None
        return marker.dest_offsets.get(str(partition))

    def _is_due(self, partition: int, marker: Marker, reached: int) -> bool:
        covered = self._covered(partition, marker)
        return covered is None or covered <= reached

    def _apply(
        self, partition: int, valve: WatermarkValve[ChannelId], channel: ChannelId, marker: Marker
    ) -> list[Signal]:
        token: Epoch = (marker.incarnation, marker.epoch, marker.claim or 0)
        signals: list[Signal] = []
        if valve.channel(channel) is None:
            signals += valve.add(channel, epoch=token)
        said = Status(marker.status)
        if said is Status.ACTIVE:
            signals += valve.input_status(channel, said, token)
        if self._covered(partition, marker) is None:
            self.unplaced += said is not Status.ACTIVE or marker.marker == "WATERMARK"
            return signals
        if marker.watermark is not None and said is not Status.FINISHED:  # MAX among idle channels would decide (R17)
            signals += valve.input_watermark(channel, marker.watermark, token)
        if said is not Status.ACTIVE:
            signals += valve.input_status(channel, said, token)
        return signals
