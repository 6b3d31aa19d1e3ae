"""What the markers say, folded: each channel's status, watermark and proof, and through the valve each stream's.

Pure, fed with records of the markers topic in their order, so that reader and tests drive the same code. A claim alone
changes nothing: a former owner's may arrive late, and only a marker under it shows that its owner could commit.
"""

from __future__ import annotations

from dataclasses import dataclass

from headgate_events.idleness.channel_set import Epoch
from headgate_events.idleness.signals import MIN, Edge, Signal, Status
from headgate_events.idleness.valve import WatermarkValve
from headgate_events.markers import ChannelId, channel_of, decode_marker
from headgate_events.records import Record
from headgate_events.schema.workers import Evidence, Marker


@dataclass(frozen=True, slots=True)
class ChannelActivity:
    """One channel as it was last spoken of. `watermark` is None where the stream has no event time, or none yet.

    `since_ms` is when the status was said, `evidence` its proof (an ACTIVE has none), `told_ms` when the newest marker
    was sent.
    """

    channel: ChannelId
    status: Status
    since_ms: int
    watermark: int | None
    reason: str | None
    evidence: Evidence | None
    worker: str
    token: Epoch
    told_ms: int


@dataclass(frozen=True, slots=True)
class ActivityEdge:
    """A status changed: that of one channel, or of a whole stream (`channel` is None)."""

    stream: str
    channel: ChannelId | None
    status: Status
    at_ms: int


class AlternatingEdges:
    """Tells the edges of channels from what is said again under a new claim, or too late by a former owner."""

    def __init__(self) -> None:
        self._last: dict[ChannelId, tuple[Epoch, str | None]] = {}

    def passes(self, marker: Marker) -> bool:
        """Say whether a marker is an edge: another status than its channel's last, by an owner who is not replaced."""
        channel, token = channel_of(marker), (marker.incarnation, marker.epoch, marker.claim or 0)
        last = self._last.get(channel)
        if last is not None and token < last[0]:
            return False
        self._last[channel] = (token, marker.status)
        return last is None or marker.status != last[1]


class ActivityTable:
    """All channels of all streams, by the newest marker of each. Belongs to one thread.

    `flush_on_all_idle` is the valves' switch; None takes what each stream says for itself.
    """

    def __init__(self, *, flush_on_all_idle: bool | None = None) -> None:
        self._flush = flush_on_all_idle
        self._channels: dict[str, dict[ChannelId, ChannelActivity]] = {}
        self._valves: dict[str, WatermarkValve[ChannelId]] = {}
        self._incarnations: dict[str, int] = {}
        self._since_ms: dict[str, int] = {}
        self._told: dict[tuple[str, ChannelId | None], Status] = {}

    def channels(self, stream: str) -> list[ChannelActivity]:
        """Return a stream's channels in order; none for a stream of which nothing was said."""
        return [each for _, each in sorted(self._channels.get(stream, {}).items())]

    def streams(self) -> list[str]:
        """Return the streams of which something was said, sorted."""
        return sorted(self._channels)

    def status(self, stream: str) -> Status | None:
        """Return a stream's status, IDLE only when every channel is; None when nothing was said."""
        valve = self._valves.get(stream)
        if valve is None:
            return None
        return Status.FINISHED if valve.closed else valve.status

    def watermark(self, stream: str) -> int | None:
        """Return how far a stream's event time has come; None where it has none."""
        valve = self._valves.get(stream)
        return None if valve is None or valve.watermark == MIN else valve.watermark

    def since_ms(self, stream: str) -> int | None:
        """Return when a stream's status became what it is; None when nothing was said."""
        return self._since_ms.get(stream)

    def apply(self, record: Record) -> list[ActivityEdge]:
        """Take one record in; return the edges that it made, the channel's before the stream's."""
        marker = decode_marker(record)
        if marker is None or marker.status is None or marker.marker == "CLAIM":
            return []
        channel = channel_of(marker)
        stream = channel.stream
        begins = marker.incarnation > self._incarnations.get(stream, -1)
        if begins:
            self._begin(stream, marker.incarnation)
        elif marker.incarnation < self._incarnations[stream]:
            return []
        known = self._channels[stream].get(channel)
        token = (marker.incarnation, marker.epoch, marker.claim or 0)
        if known is not None and token < known.token:
            return []
        said = Status(marker.status)
        since_ms = marker.emitted_at_ms if marker.since_ms is None else marker.since_ms
        self._channels[stream][channel] = ChannelActivity(
            channel,
            said,
            since_ms,
            marker.watermark,
            marker.reason,
            marker.evidence,
            marker.worker,
            token,
            marker.emitted_at_ms,
        )
        edges = []
        if known is None or known.status is not said:
            edges.append(ActivityEdge(stream, channel, said, since_ms))
        if begins:  # all of it counts as ACTIVE again until something else is said (R28)
            edges.append(ActivityEdge(stream, None, Status.ACTIVE, since_ms))
        edges += [ActivityEdge(stream, None, each, since_ms) for each in self._changes(marker, channel, said, token)]
        edges = [each for each in edges if self._is_news(each)]
        if any(each.channel is None for each in edges):
            self._since_ms[stream] = since_ms
        return edges

    def _is_news(self, edge: ActivityEdge) -> bool:
        """Say whether an edge is another than the one before it, of a namesake's too; a stream begins ACTIVE (R3)."""
        key = (edge.stream, edge.channel)
        before = self._told.get(key, Status.ACTIVE if edge.channel is None else None)
        self._told[key] = edge.status
        return before is not edge.status

    def _changes(self, marker: Marker, channel: ChannelId, said: Status, token: Epoch) -> list[Status]:
        """Return what becomes of the stream's status, step by step."""
        changes = []
        valve = self._valves[channel.stream]
        if valve.closed and said is not Status.FINISHED and self._reopened(channel, token):
            changes.append(Status.ACTIVE)
        valve = self._valves[channel.stream]
        was_closed = valve.closed
        changes += [
            each.status for each in self._through_the_valve(marker, channel, said, token) if isinstance(each, Edge)
        ]
        if valve.closed and not was_closed:
            changes.append(Status.FINISHED)
        return changes

    def _reopened(self, channel: ChannelId, token: Epoch) -> bool:
        """Begin the valve of a stream anew that had ended, where a later owner reads on (its end was moved, say)."""
        stream = channel.stream
        known = self._valves[stream].channel(channel)
        if known is not None and known.epoch is not None and token <= known.epoch:
            return False
        channels = self._channels[stream]
        self._valves[stream] = valve = WatermarkValve(channels)
        for each in channels:
            if each != channel:
                valve.finish(each, channels[each].token)
        return True

    def _begin(self, stream: str, incarnation: int) -> None:
        """Begin a stream that was created, or created again: nothing of its namesake counts."""
        self._incarnations[stream] = incarnation
        self._channels[stream] = {}
        self._valves[stream] = WatermarkValve(())
        self._since_ms.pop(stream, None)

    def _expected(self, marker: Marker, channel: ChannelId) -> list[Signal]:
        """Take on the stream's channels of which nothing was said yet: each is ACTIVE and holds the output (R23)."""
        valve, total = self._valves[channel.stream], marker.channels_total
        signals: list[Signal] = []
        if total is not None and total > len(valve):
            for number in range(total):
                each = channel._replace(partition=number)
                if each != channel and valve.channel(each) is None:
                    signals += valve.add(each)
        return signals

    def _through_the_valve(self, marker: Marker, channel: ChannelId, said: Status, token: Epoch) -> list[Signal]:
        """Give a marker to the valve: ACTIVE, then its watermark, then IDLE or the end (R26).

        The watermark of an end is left out: MAX among channels that are idle would decide alone (R17).
        """
        valve = self._valves[channel.stream]
        said_none = marker.flush_on_all_idle == "none"
        valve.flush_on_all_idle = not said_none if self._flush is None else self._flush
        self._since_ms.setdefault(channel.stream, marker.emitted_at_ms)
        signals = self._expected(marker, channel)
        if valve.channel(channel) is None:
            joins = Status.ACTIVE if said is Status.FINISHED else said
            seed = None if said is Status.FINISHED else marker.watermark
            signals += valve.add(channel, watermark=seed, status=joins, epoch=token)
        if said is Status.ACTIVE:
            signals += valve.input_status(channel, said, token)
        if marker.watermark is not None and said is not Status.FINISHED:
            signals += valve.input_watermark(channel, marker.watermark, token)
        if said is not Status.ACTIVE:
            signals += valve.input_status(channel, said, token)
        return signals
