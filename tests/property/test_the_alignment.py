"""Random histories of records and markers, fetched in random pieces: no reordering, nothing said too early."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from headgate_events.idleness.alignment import Alignment
from headgate_events.idleness.signals import MIN, Edge, Status, Watermark
from headgate_events.markers import ChannelId
from headgate_events.schema.workers import Channel, Marker

CHANNEL = ChannelId("a", "source", 0)


class Placed(NamedTuple):
    at: int

    def offset(self) -> int:
        return self.at


def marker(status: Any, covered: int | None, watermark: int | None = None, claim: int = 1) -> Marker:
    return Marker(
        marker="STATUS",
        stream="a",
        channel=Channel(topic="source", partition=0),
        status=status,
        watermark=watermark,
        incarnation=1,
        epoch=1,
        claim=claim,
        worker="w",
        emitted_at_ms=1,
        dest_topic="t",
        dest_offsets=None if covered is None else {"0": covered},
    )


@given(st.lists(st.integers(1, 4), max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_records_keep_their_order_and_no_watermark_precedes_what_it_covers(steps: list[int], pieces: list[int]) -> None:
    aligned: Alignment[Placed] = Alignment("t", {0: 0}, ["a"])
    aligned.expect("a", [CHANNEL])
    covered = 0
    for step in steps:
        covered += step
        aligned.take(marker("ACTIVE", covered, watermark=covered))
    position, found = 0, []
    for piece in pieces:
        batch = [Placed(position + each) for each in range(piece)]
        position += piece
        found += aligned.release(0, batch, position)
    records = [each for each in found if isinstance(each, Placed)]
    assert records == [Placed(each) for each in range(position)]
    passed, last = 0, MIN
    for each in found:
        if isinstance(each, Placed):
            passed = each.at + 1
        elif isinstance(each, Watermark):
            assert last < each.value <= passed
            last = each.value


def test_idle_shows_after_the_records_before_it_and_active_before_those_after_it() -> None:
    aligned: Alignment[Placed] = Alignment("t", {0: 0}, ["a"])
    aligned.expect("a", [CHANNEL])
    aligned.take(marker("IDLE", 2, watermark=7))
    aligned.take(marker("ACTIVE", None))
    first, second, third = Placed(0), Placed(1), Placed(2)
    idle, active = Edge(Status.IDLE), Edge(Status.ACTIVE)
    assert aligned.release(0, [first, second, third], 3) == [first, second, Watermark(7), idle, active, third]


def test_neither_an_unheard_stream_nor_a_marker_without_a_place_nor_a_former_owner_makes_idle() -> None:
    aligned: Alignment[Placed] = Alignment("t", {0: 0}, ["a", "b"])
    aligned.expect("a", [CHANNEL])
    aligned.take(marker("IDLE", 0))
    assert aligned.release(0, [], 0) == []
    aligned.expect("b", [ChannelId("b", "source", 0)])
    assert aligned.release(0, [], 0) == []
    alone: Alignment[Placed] = Alignment("t", {0: 0}, ["a"])
    alone.expect("a", [CHANNEL])
    alone.take(marker("ACTIVE", None, claim=2))
    alone.take(marker("IDLE", 0, claim=1))
    alone.take(marker("IDLE", None, claim=2))
    assert alone.release(0, [], 9) == []
    assert (alone.status(0), alone.unplaced) == (Status.ACTIVE, 1)
