"""Random histories of records and markers, fetched in random pieces: no reordering, nothing said too early."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from headgate_events.idleness.alignment import Alignment
from headgate_events.idleness.signals import MIN, Edge, Status, Watermark
from tests.support.markers import CHANNEL, Placed, aligned, marker

OTHER = CHANNEL._replace(stream="b")


@given(st.lists(st.integers(1, 4), max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_records_keep_their_order_and_no_watermark_precedes_what_it_covers(steps: list[int], pieces: list[int]) -> None:
    one = aligned("a")
    covered = 0
    for step in steps:
        covered += step
        one.take(marker("ACTIVE", covered, watermark=covered))
    position, found = 0, []
    for piece in pieces:
        batch = [Placed(position + each) for each in range(piece)]
        position += piece
        found += one.release(0, batch, position)
    records = [each for each in found if isinstance(each, Placed)]
    assert records == [Placed(each) for each in range(position)]
    passed, last = 0, MIN
    for each in found:
        if isinstance(each, Placed):
            passed = each.at + 1
        elif isinstance(each, Watermark):
            assert last < each.value <= passed
            last = each.value


class Writer(NamedTuple):
    """What two streams did to one partition, step by step: records, watermarks, silences and owners that change."""

    log: list[tuple[str, int]]
    markers: list[Any]


@st.composite
def histories(draw: st.DrawFn) -> Writer:
    """A writer is ACTIVE before its records, says a time that is true of all it writes later, and IDLE when it rests.

    A record's offset is its time, so a watermark W is true once everything before offset W + 1 was written.
    """
    log: list[tuple[str, int]] = []
    markers: list[Any] = [marker("ACTIVE", None, stream=name) for name in "ab"]
    said = dict.fromkeys("ab", Status.ACTIVE)
    claims = dict.fromkeys("ab", 1)
    for _ in range(draw(st.integers(1, 30))):
        name = draw(st.sampled_from("ab"))
        step = draw(st.sampled_from(["record", "watermark", "idle", "owner"]))
        if step == "record":
            if said[name] is Status.IDLE:
                said[name] = Status.ACTIVE
                markers.append(marker("ACTIVE", None, stream=name, claim=claims[name]))
            log.append((name, len(log)))
        elif step == "watermark" and said[name] is Status.ACTIVE:
            at = len(log)
            markers.append(marker("ACTIVE", at, watermark=at - 1, stream=name, claim=claims[name], kind="WATERMARK"))
        elif step == "idle" and said[name] is Status.ACTIVE:
            said[name] = Status.IDLE
            markers.append(marker("IDLE", len(log), stream=name, claim=claims[name]))
        elif step == "owner":
            claims[name] += 1
            said[name] = Status.ACTIVE
            markers.append(marker("ACTIVE", None, stream=name, claim=claims[name]))
            markers.append(marker("IDLE", 0, stream=name, claim=claims[name] - 1))  # a zombie's
    return Writer(log, markers)


@given(histories(), st.data())
def test_two_writers_give_no_late_record_no_watermark_while_idle_and_alternating_edges(
    written: Writer, data: st.DataObject
) -> None:
    """Watermarks are true of both writers here, so a record at or below one that was shown before it is a defect."""
    one = aligned("a", "b")
    held = data.draw(st.booleans())
    for each in written.markers:
        one.take(each)
    position, last, status = 0, MIN, Status.ACTIVE
    while position < len(written.log):
        size = data.draw(st.integers(1, 5))
        batch = [Placed(offset) for _, offset in written.log[position : position + size]]
        position += len(batch)
        if held:
            one.hold(data.draw(st.sampled_from([(), (CHANNEL,), (CHANNEL, OTHER)])))
        for each in one.release(0, batch, position):
            if isinstance(each, Placed):
                assert each.at > last, "late"
            elif isinstance(each, Watermark):
                assert status is Status.ACTIVE
                assert each.value > last
                last = each.value
            else:
                assert each.status is not status, "edges alternate"
                status = each.status
    if held:
        one.hold(())
        for channel in (CHANNEL, OTHER):
            one.confirm(channel, data.draw(st.integers(1, 3)), 0)
        one.release(0, [], position)
    resting = {name: [each for each in written.markers if each.stream == name][-1].status for name in "ab"}
    assert (one.status(0) is Status.IDLE) <= (set(resting.values()) <= {"IDLE"})


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12), st.integers(0, 6))
def test_one_that_begins_again_anywhere_says_nothing_that_is_too_early_there(ends: list[int], start: int) -> None:
    one: Alignment[Placed] = Alignment("t")
    one.expect("a", 1, [CHANNEL])
    one.begin(0, 0)
    covered = 0
    for step in ends:
        covered += step
        one.take(marker("ACTIVE", covered, watermark=covered - 1, kind="WATERMARK"))
    one.release(0, [], covered)
    begin = min(start, covered)
    one.begin(0, begin)
    passed = begin
    for each in one.release(0, [Placed(offset) for offset in range(begin, covered)], covered):
        if isinstance(each, Placed):
            passed = each.at + 1
        else:
            assert not isinstance(each, Edge)
            assert each.value < passed
    assert one.watermark(0) == covered - 1
