"""Markers and records made by hand, for whoever tests what becomes of them."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from headgate_events.idleness.alignment import Alignment
from headgate_events.markers import ChannelId
from headgate_events.schema.workers import Channel, Marker

CHANNEL = ChannelId("a", "source", 0)
SECOND = ChannelId("a", "source", 1)


class Placed(NamedTuple):
    """A record of which only the offset matters."""

    at: int

    def offset(self) -> int:
        return self.at


def aligned(*streams: str, position: int = 0) -> Alignment[Placed]:
    """Partition 0 of topic `t`, written by these streams, each with one channel."""
    one: Alignment[Placed] = Alignment("t")
    for name in streams:
        one.expect(name, 1, [ChannelId(name, "source", 0)])
    one.begin(0, position)
    return one


def marker(
    status: Any,
    covered: int | dict[str, int] | None,
    watermark: int | None = None,
    *,
    stream: str = "a",
    partition: int = 0,
    incarnation: int = 1,
    claim: int = 1,
    seq: int = 0,
    kind: Literal["STATUS", "WATERMARK", "FINISH"] = "STATUS",
) -> Marker:
    """A marker of a channel of `stream` that covers these ends of topic `t`; an int is the end of partition 0."""
    return Marker(
        marker=kind,
        stream=stream,
        channel=Channel(topic="source", partition=partition),
        status=status,
        watermark=watermark,
        incarnation=incarnation,
        epoch=1,
        claim=claim,
        seq=seq,
        worker="w",
        emitted_at_ms=1,
        dest_topic="t",
        dest_offsets={"0": covered} if isinstance(covered, int) else covered,
    )
