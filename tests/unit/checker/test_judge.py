"""The judge of runs is judged: it names each fault that is planted, and nothing where there is none."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.checker.judge import judge
from tests.checker.model import Delivered, Pause, Place, Receipt, Run, Sent

KEYS = 3


def clean(counts: list[int], moments: list[int], gap: int) -> Run:
    """Make a run without a fault: `counts` records by partition, moved in turn, paused after each of `moments`.

    Between two records the source has `gap` offsets without one, as transaction markers leave them.
    """
    sent = [
        Sent(record=number * 1_000 + nth, place=Place("source", number, nth * (1 + gap)), key=b"%d" % (nth % KEYS))
        for number, count in enumerate(counts)
        for nth in range(count)
    ]
    in_turn = sorted(sent, key=lambda each: (each.place.offset, each.place.partition))
    lanes: defaultdict[str, int] = defaultdict(int)
    delivered: list[Delivered] = []
    pauses: list[Pause] = []
    ends = [0] * len(counts)
    starts = [0] * len(counts)
    moved = [0] * len(counts)

    def pause() -> None:
        receipts = tuple(
            Receipt("source", number, starts[number], ends[number], moved[number], moved[number])
            for number in range(len(counts))
        )
        pauses.append(Pause(epoch=len(pauses) + 5, seen=dict(lanes), until=dict(lanes), receipts=receipts))
        starts[:], moved[:] = ends, [0] * len(counts)

    for nth, each in enumerate(in_turn):
        lane = f"destination-{each.place.partition}"
        delivered.append(Delivered(each.record, lane, lanes[lane], each.key))
        lanes[lane] += 1
        ends[each.place.partition] = each.place.offset + 1
        moved[each.place.partition] += 1
        if nth in moments:
            pause()
    pause()
    pauses[-1] = replace(pauses[-1], until=None)
    return Run(tuple(sent), tuple(delivered), pauses=tuple(pauses), partitions={"source": len(counts)})


runs = st.builds(
    clean,
    counts=st.lists(st.integers(0, 12), min_size=1, max_size=3),
    moments=st.lists(st.integers(0, 30), max_size=3),
    gap=st.integers(0, 2),
)

paused_twice = st.builds(
    clean, counts=st.lists(st.integers(6, 12), min_size=1, max_size=2), moments=st.just([3]), gap=st.integers(0, 2)
)
"""Runs whose last pause has records of every partition, and a pause before it."""


def kinds(run: Run) -> set[str]:
    return {finding.kind for finding in judge(run)}


def without(run: Run, nth: int) -> tuple[Delivered, ...]:
    """Take one delivered record out, and close its lane behind it."""
    gone = run.delivered[nth]
    return tuple(
        replace(each, index=each.index - 1) if each.lane == gone.lane and each.index > gone.index else each
        for each in run.delivered
        if each is not gone
    )


def unpaused(run: Run) -> Run:
    return replace(run, pauses=())


@given(runs)
def test_a_run_that_kept_its_promises_gives_no_finding(run: Run) -> None:
    assert judge(run) == []


@given(runs, st.data())
def test_a_lost_record_is_found_and_named(run: Run, data: st.DataObject) -> None:
    assume(run.delivered)
    nth = data.draw(st.integers(0, len(run.delivered) - 1))
    found = judge(replace(unpaused(run), delivered=without(run, nth)))
    assert [finding.kind for finding in found] == ["lost"]
    assert f"record {run.delivered[nth].record} " in found[0].message


@given(runs, st.data())
def test_a_doubled_record_is_found_and_named(run: Run, data: st.DataObject) -> None:
    assume(run.delivered)
    again = data.draw(st.sampled_from(run.delivered))
    lane = data.draw(st.sampled_from([again.lane, "another"]))
    index = sum(each.lane == lane for each in run.delivered)
    found = judge(replace(unpaused(run), delivered=(*run.delivered, replace(again, lane=lane, index=index))))
    assert [finding.kind for finding in found] == ["doubled"]
    assert f"record {again.record} " in found[0].message


@given(runs, st.data())
def test_two_records_of_a_key_that_change_places_are_found(run: Run, data: st.DataObject) -> None:
    pairs = [
        (a, b)
        for a in run.delivered
        for b in run.delivered
        if a.lane == b.lane and a.key == b.key and a.index < b.index
    ]
    assume(pairs)
    a, b = data.draw(st.sampled_from(pairs))
    swapped = {a: replace(b, index=a.index), b: replace(a, index=b.index)}
    assert kinds(replace(unpaused(run), delivered=tuple(swapped.get(each, each) for each in run.delivered))) == {
        "reordered"
    }


@given(runs)
def test_records_of_different_keys_may_change_places(run: Run) -> None:
    pairs = [
        (a, b)
        for a in run.delivered
        for b in run.delivered
        if a.lane == b.lane and a.key != b.key and b.index == a.index + 1
    ]
    assume(pairs)
    a, b = pairs[0]
    swapped = {a: replace(b, index=a.index), b: replace(a, index=b.index)}
    assert not judge(replace(unpaused(run), delivered=tuple(swapped.get(each, each) for each in run.delivered)))


@given(runs, st.sampled_from([None, 999_999]))
def test_output_of_aborted_work_is_a_phantom(run: Run, record: int | None) -> None:
    phantom = Delivered(record, "destination-0", sum(each.lane == "destination-0" for each in run.delivered))
    assert kinds(replace(unpaused(run), delivered=(*run.delivered, phantom))) == {"phantom"}


@given(runs, st.data())
def test_a_record_that_arrives_changed_is_found(run: Run, data: st.DataObject) -> None:
    assume(run.delivered)
    nth = data.draw(st.integers(0, len(run.delivered) - 1))
    changed = replace(run.delivered[nth], **data.draw(st.sampled_from([{"key": b"other"}, {"content": b"other"}])))
    assert kinds(replace(run, delivered=(*run.delivered[:nth], changed, *run.delivered[nth + 1 :]))) == {"altered"}


@given(runs, st.data())
def test_what_becomes_visible_while_nobody_may_write_is_found(run: Run, data: st.DataObject) -> None:
    """A straggler's record of the ended epoch, committed after the pause was reported."""
    nth = data.draw(st.integers(0, len(run.pauses) - 1))
    pause = run.pauses[nth]
    lanes = [lane for lane, count in pause.seen.items() if count]
    assume(lanes)
    lane = data.draw(st.sampled_from(lanes))
    earlier = replace(pause, seen={**pause.seen, lane: pause.seen[lane] - 1}, forced=True, receipts=())
    assert kinds(replace(run, pauses=(*run.pauses[:nth], earlier, *run.pauses[nth + 1 :]))) == {"outside_epoch"}


def test_a_straggler_s_record_that_turns_up_after_the_resume_is_outside_its_epoch() -> None:
    run = clean([6], [3], 0)
    late = run.delivered[2]
    moved = [each for each in run.delivered if each is not late] + [late]
    delivered = tuple(replace(each, index=index) for index, each in enumerate(moved))
    first = replace(run.pauses[0], seen={"destination-0": 3}, until={"destination-0": 3})
    found = judge(replace(run, delivered=delivered, pauses=(first,)))
    assert any(finding.kind == "outside_epoch" and "belongs before epoch" in finding.message for finding in found)


@pytest.mark.parametrize("field", ["read", "written", "end", "start"])
@given(paused_twice, st.data())
def test_a_wrong_receipt_is_found(field: str, run: Run, data: st.DataObject) -> None:
    nth = len(run.pauses) - 1
    receipts = list(run.pauses[nth].receipts)
    at = data.draw(st.integers(0, len(receipts) - 1))
    receipt = receipts[at]
    if field == "end":
        receipts[at] = replace(receipt, end=receipt.end - 1)
    elif field == "start":
        receipts[at] = replace(receipt, start=receipt.start + 1)
    else:
        receipts[at] = replace(receipt, **{field: getattr(receipt, field) + 1})
    wrong = replace(run.pauses[nth], receipts=tuple(receipts))
    assert kinds(replace(run, pauses=(*run.pauses[:nth], wrong, *run.pauses[nth + 1 :]))) == {"wrong_receipt"}


@given(runs)
def test_a_partition_without_a_receipt_is_found(run: Run) -> None:
    last = replace(run.pauses[-1], receipts=run.pauses[-1].receipts[1:])
    assert kinds(replace(run, pauses=(*run.pauses[:-1], last))) == {"wrong_receipt"}


@given(runs, st.data())
def test_a_record_that_was_set_aside_is_not_lost_and_may_not_arrive_too(run: Run, data: st.DataObject) -> None:
    assume(run.delivered)
    nth = data.draw(st.integers(0, len(run.delivered) - 1))
    record = run.delivered[nth].record
    assert record is not None
    assert kinds(replace(unpaused(run), delivered=without(run, nth), set_aside=(record,))) == set()
    assert kinds(replace(unpaused(run), set_aside=(record,))) == {"doubled"}
    assert kinds(replace(unpaused(run), set_aside=(888_888,))) == {"phantom"}
