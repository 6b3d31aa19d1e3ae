"""Alignment: a destination's records, and the markers of the streams that write it, in the one right order.

Markers stand on a topic of their own and say which ends of the destination they cover. So they are put back among the
records: a marker takes effect in a partition only once that partition was read up to the end that it names, and those
of one channel take effect in the order in which they were sent. Each partition of the destination has its own valve
over all channels, since each is read at its own pace. A marker that stands among the records (in-band) takes effect
there; what the markers topic repeats of it later is old news.

Never IDLE by guess: a stream of which nothing was heard, or whose channels are not all known, counts as one ACTIVE
channel without a watermark, which holds the output. A marker that names no end for the partition has no place among its
records: its IDLE, its watermark or its end are not taken, and counted. A channel that is *held* (its stream stands
still, or nobody speaks for it) counts as ACTIVE whatever it said last, and does so until it speaks again, or until a
heartbeat of the same owner shows that it is idle still.

Pure. Before records are released, every marker must have been taken that stood on the markers topic when they were
fetched; whoever feeds this has to see to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from headgate_events.idleness.channel_set import Epoch
from headgate_events.idleness.signals import Signal, Status
from headgate_events.idleness.valve import WatermarkValve
from headgate_events.markers import ChannelId, channel_of
from headgate_events.schema.workers import Marker

UNKNOWN_TOPIC: Final = ""
_EVER: Final = 2**63


class Placed(Protocol):
    """A record of the destination, as far as its place goes."""

    def offset(self) -> int | None:
        """Return its offset."""
        ...


R = TypeVar("R", bound=Placed)


class _Removal(NamedTuple):
    """A channel ends where the partition was read up to these ends (R24): with its stream's incarnation, or alone."""

    incarnation: int | None
    ends: Mapping[int, int]


@dataclass(slots=True)
class _Partition(Generic[R]):
    valve: WatermarkValve[ChannelId]
    reached: int
    waiting: dict[ChannelId, deque[Marker | _Removal]] = field(default_factory=dict)
    said: dict[ChannelId, Marker] = field(default_factory=dict)
    met: set[ChannelId] = field(default_factory=set)
    """The channels whose past is known: what they said before the place to which it was read then."""
    out: list[Signal] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Stream:
    """A stream that writes the destination. `channels` is None while its source's partitions are not known."""

    incarnation: int
    channels: frozenset[ChannelId] | None


class Alignment(Generic[R]):
    """Puts markers among the records of some partitions of `topic`. Belongs to one thread.

    `expect` names the streams that write the topic, `begin` the partitions that are read; both may change at any time.
    """

    def __init__(self, topic: str, *, flush_on_all_idle: bool = True) -> None:
        self._topic = topic
        self._flush = flush_on_all_idle
        self._streams: dict[str, _Stream] = {}
        self._partitions: dict[int, _Partition[R]] = {}
        self._latest: dict[ChannelId, Marker] = {}
        self._held: frozenset[ChannelId] = frozenset()
        self.unplaced = 0
        """How many markers could not be taken, because they name no end for a partition."""

    @property
    def partitions(self) -> Collection[int]:
        """The partitions that are read."""
        return self._partitions.keys()

    @property
    def streams(self) -> Collection[str]:
        """The streams that are expected."""
        return self._streams.keys()

    def channels(self, stream: str) -> Collection[ChannelId]:
        """Return the channels of an expected stream, as far as they are known."""
        one = self._streams.get(stream)
        return () if one is None or one.channels is None else one.channels

    def status(self, partition: int) -> Status:
        """Return what holds at the place up to which a partition was released; FINISHED after the last finish."""
        valve = self._partitions[partition].valve
        return Status.FINISHED if valve.closed else valve.status

    def watermark(self, partition: int) -> int:
        """Return how far event time has come there; MIN before any."""
        return self._partitions[partition].valve.watermark

    def reached(self, partition: int) -> int:
        """Return the position up to which a partition was released."""
        return self._partitions[partition].reached

    # Partitions

    def begin(self, partition: int, position: int) -> None:
        """Begin to read a partition, or begin it anew: `position` is the offset of the first record that may come.

        Nothing of an earlier reading counts. The newest marker of each channel is all that is needed, since it tells
        the whole of its channel, and it waits for the end that it covers.
        """
        valve: WatermarkValve[ChannelId] = WatermarkValve((), flush_on_all_idle=self._flush)
        one: _Partition[R] = _Partition(valve, position)
        self._partitions[partition] = one
        for name, stream in self._streams.items():
            for channel in _counted(name, stream):
                valve.add(channel)
        for channel, marker in self._latest.items():
            if self._counts(marker):
                one.waiting[channel] = deque([marker])

    def forget(self, partition: int) -> None:
        """Stop reading a partition."""
        self._partitions.pop(partition, None)

    # Streams

    def expect(
        self, stream: str, incarnation: int, channels: Iterable[ChannelId] | None, ends: Mapping[int, int] | None = None
    ) -> None:
        """Take on a stream that writes the topic, with all channels that it has now; None where they are not known.

        Channels that are not heard of hold the output until they report (R23). Those that it had before and no longer
        has end where each partition is read up to `ends`, the ends of the topic after that was seen; without `ends`
        they stay.
        """
        before = self._streams.get(stream)
        if before is not None and incarnation < before.incarnation:
            return
        known = None if channels is None else frozenset(channels)
        if before is not None and before.channels is not None and incarnation == before.incarnation:
            if known is None:
                return
            if ends is None:
                known |= before.channels
        self._streams[stream] = now = _Stream(incarnation, known)
        for each in self._partitions.values():
            self._take_on(each, stream, now)
        for channel in frozenset() if before is None else _counted(stream, before) - _counted(stream, now):
            if channel.topic == UNKNOWN_TOPIC:
                for each in self._partitions.values():
                    each.out += each.valve.remove(channel)
            elif ends is not None:
                self._remove(channel, _Removal(None, ends))

    def end(self, stream: str, ends: Mapping[int, int]) -> None:
        """Let the channels of a stream end that is gone: deleted, or writing elsewhere (R24).

        Each ends after what it said, and where a partition was read up to `ends`: the ends of the topic, asked for
        after it was seen that the stream is gone. A partition without an end among them is new: nothing is there.
        """
        known = self._streams.pop(stream, None)
        if known is None:
            return
        heard = {each for each in self._latest if each.stream == stream}
        for channel in _counted(stream, known) | heard:
            self._remove(channel, _Removal(known.incarnation, ends))

    def hold(self, channels: Collection[ChannelId]) -> None:
        """Hold exactly these channels: each counts as ACTIVE, whatever it said or says.

        One that is let go stays so until it speaks again, or is confirmed.
        """
        held = frozenset(channels)
        new, self._held = held - self._held, held
        for channel in new:
            for each in self._partitions.values():
                known = each.valve.channel(channel)
                if known is not None and known.status is Status.IDLE:
                    each.out += each.valve.input_status(channel, Status.ACTIVE, known.epoch)

    def confirm(self, channel: ChannelId, claim: int, started_epoch: int) -> None:
        """Note that the owner with this claim said lately that the channel is idle: what it said last counts again.

        What was said in an earlier run than that of `started_epoch` does not: the stream stood still since.
        """
        if channel in self._held:
            return
        for each in self._partitions.values():
            known, said = each.valve.channel(channel), each.said.get(channel)
            if known is None or said is None or said.claim != claim or said.epoch < started_epoch:
                continue
            if said.status == Status.IDLE.value:
                each.out += each.valve.input_status(channel, Status.IDLE, known.epoch)

    # Markers and records

    def take(self, marker: Marker) -> None:
        """Take a marker, in the order of the markers topic. It shows with the records that it belongs to.

        A stream that is not expected yet may be so later on, so the newest marker of its channels is kept.
        """
        if marker.status is None or marker.marker == "CLAIM":
            return
        if marker.stream not in self._streams and marker.dest_topic != self._topic:
            return
        channel = channel_of(marker)
        newest = self._latest.get(channel)
        if newest is not None and _order(marker) < _order(newest):
            return
        self._latest[channel] = marker
        if self._counts(marker):
            for each in self._partitions.values():
                each.waiting.setdefault(channel, deque()).append(marker)

    def release(
        self, partition: int, records: Iterable[R], position: int, in_band: Mapping[int, Marker] | None = None
    ) -> list[R | Signal]:
        """Return a partition's next records with the signals among them. `position` is where it was read to.

        `in_band` are those of the records that are markers, by offset: they become signals and are not returned.
        """
        one = self._partitions[partition]
        found: list[R | Signal] = []
        for record in records:
            offset = record.offset()
            assert offset is not None
            self._reach(partition, one, offset, found)
            if in_band is not None and offset in in_band:
                if self._counts(in_band[offset]):
                    one.out += self._apply(one, in_band[offset], placed=True)
            else:
                found.append(record)
            one.reached = max(one.reached, offset + 1)
        self._reach(partition, one, position, found)
        return found

    def _counts(self, marker: Marker) -> bool:
        stream = self._streams.get(marker.stream)
        return stream is not None and marker.incarnation >= stream.incarnation

    def _take_on(self, one: _Partition[R], stream: str, now: _Stream) -> None:
        for channel in _counted(stream, now):
            if (waiting := one.waiting.get(channel)) is not None:  # it moved away, and is back before that was reached
                kept = (each for each in waiting if not isinstance(each, _Removal) or each.incarnation is not None)
                one.waiting[channel] = deque(kept)
            known = one.valve.channel(channel)
            if known is None:
                one.out += one.valve.add(channel)
            elif known.epoch is not None and known.epoch[0] < now.incarnation:
                # A namesake's channel: nothing that it said counts (R25).
                one.said.pop(channel, None)
                one.out += one.valve.input_status(channel, Status.ACTIVE, (now.incarnation,))
        for channel, marker in self._latest.items():
            if channel.stream == stream and self._counts(marker) and one.said.get(channel) is not marker:
                waiting = one.waiting.setdefault(channel, deque())
                if not any(each is marker for each in waiting):
                    waiting.append(marker)

    def _remove(self, channel: ChannelId, removal: _Removal) -> None:
        newest = self._latest.get(channel)
        if newest is not None and (removal.incarnation is None or newest.incarnation <= removal.incarnation):
            del self._latest[channel]
        for each in self._partitions.values():
            each.waiting.setdefault(channel, deque()).append(removal)

    def _reach(self, partition: int, one: _Partition[R], position: int, found: list[R | Signal]) -> None:
        """Let everything take effect that covers no more than what stands before `position`."""
        one.reached = max(one.reached, position)
        for channel, waiting in list(one.waiting.items()):
            due: list[Marker | _Removal] = []
            while waiting and self._is_due(partition, waiting[0], one.reached):
                due.append(waiting.popleft())
            for step in due if channel in one.met else self._newest(partition, due):
                if isinstance(step, _Removal):
                    one.out += self._let_go(one, channel, step)
                else:
                    one.out += self._apply(one, step, placed=self._covered(partition, step) is not None)
            if not due or isinstance(due[-1], Marker):
                one.met.add(channel)
            if not waiting:
                del one.waiting[channel]
        found += one.out
        one.out.clear()

    def _newest(self, partition: int, due: list[Marker | _Removal]) -> list[Marker | _Removal]:
        """Return what counts of a channel's past where its reading begins: its last word, and how far it had come.

        The words before that were for others: an IDLE which has ended would let event time pass the channel once more.
        """
        removals = [each for each in due if isinstance(each, _Removal)]
        since = due[due.index(removals[-1]) + 1 :] if removals else due
        words = [each for each in since if isinstance(each, Marker)]
        placed = {id(each) for each in words if self._covered(partition, each) is not None}
        tells = [each for each in words if each.status == "ACTIVE" or id(each) in placed]
        past = {id(each) for each in tells[:-1]}
        come = [
            each for each in tells if each.watermark is not None and each.status != "FINISHED" and id(each) in placed
        ][-1:]
        before = [each.model_copy(update={"status": "ACTIVE"}) for each in come if id(each) in past]
        return [*removals, *before, *(each for each in words if id(each) not in past)]

    @staticmethod
    def _let_go(one: _Partition[R], channel: ChannelId, removal: _Removal) -> list[Signal]:
        one.met.discard(channel)
        said = one.said.get(channel)
        if said is not None and (removal.incarnation is None or said.incarnation <= removal.incarnation):
            del one.said[channel]
        token = None if removal.incarnation is None else (removal.incarnation, _EVER)
        return one.valve.remove(channel, token)

    def _covered(self, partition: int, marker: Marker) -> int | None:
        """Return the end that a marker names for a partition; None where it has no place there.

        A partition beyond all that it names was created later: nothing of the channel stood there yet.
        """
        if marker.dest_topic != self._topic or not marker.dest_offsets:
            return None
        covered = marker.dest_offsets.get(str(partition))
        if covered is None and partition > max(map(int, marker.dest_offsets)):
            return 0
        return covered

    def _is_due(self, partition: int, step: Marker | _Removal, reached: int) -> bool:
        if isinstance(step, _Removal):
            return step.ends.get(partition, 0) <= reached
        covered = self._covered(partition, step)
        return covered is None or covered <= reached

    def _apply(self, one: _Partition[R], marker: Marker, *, placed: bool) -> list[Signal]:
        """Give a marker to the valve: ACTIVE, then its watermark, then IDLE or the end (R26)."""
        channel, token, valve, said = channel_of(marker), _token(marker), one.valve, Status(marker.status)
        stream, before = self._streams.get(marker.stream), one.said.get(channel)
        if stream is not None and marker.incarnation < stream.incarnation:
            return []
        if before is not None and _order(marker) < _order(before):
            return []  # told in-band already, or by a former owner
        signals: list[Signal] = []
        if valve.channel(channel) is None:
            if stream is None:
                return []
            signals += valve.add(channel, epoch=token)
        if said is Status.ACTIVE:
            signals += valve.input_status(channel, said, token)
        if not placed:
            if said is not Status.ACTIVE or marker.marker == "WATERMARK":
                self.unplaced += 1
            else:
                one.said[channel] = marker
            return signals
        one.said[channel] = marker
        if marker.watermark is not None and said is not Status.FINISHED:  # MAX among idle channels would decide (R17)
            signals += valve.input_watermark(channel, marker.watermark, token)
        if said is Status.IDLE and channel in self._held:
            signals += valve.input_status(channel, Status.ACTIVE, token)
        elif said is not Status.ACTIVE:
            signals += valve.input_status(channel, said, token)
        return signals


def _token(marker: Marker) -> Epoch:
    return (marker.incarnation, marker.epoch, marker.claim or 0)


def _order(marker: Marker) -> Epoch:
    return (*_token(marker), marker.seq)


def _counted(name: str, stream: _Stream) -> frozenset[ChannelId]:
    """Return the channels of a stream that hold; one that stands for all while they are not known."""
    return frozenset({ChannelId(name, UNKNOWN_TOPIC, 0)}) if stream.channels is None else stream.channels
