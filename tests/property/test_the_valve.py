"""Whatever channels say, in whatever order: the valve keeps its promises, and does what the plainest valve does."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate_events.idleness.channel_heap import NOWHERE, ChannelHeap
from headgate_events.idleness.channel_set import ChannelState
from headgate_events.idleness.combiner import WatermarkCombiner
from headgate_events.idleness.gate import OutputGate
from headgate_events.idleness.signals import MAX, MIN, Edge, Signal, Status, Watermark
from headgate_events.idleness.valve import Join, Profile, WatermarkValve
from tests.property.naive_valve import NaiveCombiner, NaiveValve, Out

CHANNELS = st.integers(0, 4)
SMALL = st.integers(-5, 25)
VALUES = st.one_of(SMALL, SMALL, SMALL, st.sampled_from([MIN, MIN + 1, MAX - 1, MAX]))
STATUSES = st.sampled_from(["IDLE", "ACTIVE"])
PLAIN = st.one_of(
    st.tuples(st.just("watermark"), CHANNELS, SMALL, st.none()),
    st.tuples(st.just("watermark"), CHANNELS, VALUES, st.none()),
    st.tuples(st.just("status"), CHANNELS, STATUSES, st.none()),
)
EPOCHS = st.sampled_from([None, None, None, 1, 2, 3])
EXTENDED = st.one_of(
    st.tuples(st.just("watermark"), CHANNELS, SMALL, EPOCHS),
    st.tuples(st.just("watermark"), CHANNELS, VALUES, EPOCHS),
    st.tuples(st.just("status"), CHANNELS, STATUSES, EPOCHS),
    st.tuples(
        st.just("add"), CHANNELS, st.tuples(st.one_of(st.none(), VALUES), STATUSES, st.sampled_from(Join)), EPOCHS
    ),
    st.tuples(st.just("remove"), CHANNELS, st.none(), EPOCHS),
    st.tuples(st.just("finish"), CHANNELS, st.none(), EPOCHS),
    st.tuples(st.just("open"), CHANNELS, st.none(), st.none()),
)
Operation = tuple[str, int, Any, int | None]


def apply(valve: WatermarkValve[int], operation: Operation) -> list[Signal]:
    op, channel, value, number = operation
    epoch = None if number is None else (number,)
    match op:
        case "watermark":
            return valve.input_watermark(channel, value, epoch)
        case "status":
            return valve.input_status(channel, Status(value), epoch)
        case "add":
            seed, status, join = value
            return valve.add(channel, watermark=seed, status=Status(status), join=join, epoch=epoch)
        case "remove":
            return valve.remove(channel, epoch)
        case "finish":
            return valve.finish(channel, epoch)
        case _:
            return valve.open()


def apply_naively(valve: NaiveValve, operation: Operation) -> Out:
    op, channel, value, epoch = operation
    match op:
        case "watermark":
            return valve.input_watermark(channel, value, epoch)
        case "status":
            return valve.input_status(channel, value, epoch)
        case "add":
            seed, status, join = value
            return valve.add(channel, seed, status, join is Join.HOLD, epoch)
        case "remove":
            return valve.remove(channel, epoch)
        case "finish":
            return valve.finish(channel, epoch)
        case _:
            return valve.open()


def plainly(signals: list[Signal]) -> Out:
    return [("watermark", s.value) if isinstance(s, Watermark) else ("status", s.status.value) for s in signals]


def states(valve: WatermarkValve[int]) -> list[ChannelState]:
    return [state for state in (valve.channel(number) for number in range(5)) if state is not None]


class Watched:
    """Holds one output to what every output promises."""

    def __init__(self) -> None:
        self.watermark = MIN
        self.status = Status.ACTIVE

    def see(self, signals: list[Signal]) -> None:
        kinds = [type(signal) for signal in signals]
        assert len(kinds) == len(set(kinds)), "a step emits one watermark and one edge at most"
        for signal in signals:
            if isinstance(signal, Watermark):
                assert self.status is Status.ACTIVE, "no watermark leaves between IDLE and ACTIVE"
                assert signal.value > self.watermark, "the output strictly rises"
                self.watermark = signal.value
            else:
                assert signal.status is not self.status, "the output's status strictly alternates"
                self.status = signal.status


@settings(max_examples=400)
@given(st.integers(1, 5), st.sampled_from(Profile), st.lists(PLAIN, max_size=60))
def test_a_plain_valve_does_what_the_plainest_valve_does(
    channels: int, profile: Profile, operations: list[Operation]
) -> None:
    valve = WatermarkValve(range(channels), profile=profile)
    naive = NaiveValve(list(range(channels)), released=profile is Profile.RELEASED)
    for operation in operations:
        if operation[1] < channels:
            assert plainly(apply(valve, operation)) == apply_naively(naive, operation), operation


@settings(max_examples=300)
@given(st.integers(0, 3), st.lists(EXTENDED, max_size=60))
def test_a_valve_with_changing_channels_does_what_the_plainest_valve_does(
    channels: int, operations: list[Operation]
) -> None:
    valve = WatermarkValve(range(channels))
    naive = NaiveValve(list(range(channels)))
    for operation in operations:
        assert plainly(apply(valve, operation)) == apply_naively(naive, operation), operation
        for number, row in naive.rows.items():
            state = valve.channel(number)
            assert state is not None
            assert (state.watermark, state.status.value, state.aligned) == (row.watermark, row.status, row.aligned)
            assert state.epoch == (None if row.epoch is None else (row.epoch,))
        assert len(valve) == len(naive.rows)


@given(st.integers(1, 5), st.sampled_from(Profile), st.lists(PLAIN, max_size=60))
def test_the_invariants_hold_over_fixed_channels(channels: int, profile: Profile, operations: list[Operation]) -> None:
    valve = WatermarkValve(range(channels), profile=profile)
    watched = Watched()
    for operation in operations:
        if operation[1] >= channels:
            continue
        watched.see(apply(valve, operation))
        here = states(valve)
        assert (valve.status is Status.ACTIVE) is any(each.status is Status.ACTIVE for each in here)
        assert (watched.watermark, watched.status) == (valve.watermark, valve.status)
        for each in here:
            assert each.aligned or each.status is Status.IDLE or each.watermark < valve.watermark
        aligned = [each.watermark for each in here if each.aligned]
        if aligned and profile is Profile.MAIN:
            assert min(aligned) == valve.watermark


@settings(max_examples=300)
@given(st.integers(0, 3), st.lists(EXTENDED, max_size=60))
def test_the_invariants_hold_over_changing_channels(channels: int, operations: list[Operation]) -> None:
    valve = WatermarkValve(range(channels))
    watched = Watched()
    watched.see(valve.open())
    for operation in operations:
        emitted = apply(valve, operation)
        watched.see(emitted)
        here = states(valve)
        if operation[0] == "remove":
            assert Watermark(MAX) not in emitted, "a removal never leads to MAX"
        if valve.closed:
            assert watched.watermark == MAX
            continue
        assert (valve.status is Status.ACTIVE) is any(each.status is Status.ACTIVE for each in here)
        for each in here:
            assert each.aligned is False or each.status is Status.ACTIVE
            assert each.aligned or each.status is not Status.ACTIVE or each.watermark < valve.watermark
        aligned = [each.watermark for each in here if each.aligned]
        # Only a MAX that a removal set free may stand above the output, and only a holder below it.
        assert not aligned or min(aligned) <= valve.watermark or min(aligned) == MAX


@given(st.permutations(range(5)), st.lists(st.integers(0, 100), min_size=5, max_size=5))
def test_the_last_watermark_does_not_depend_on_the_order_of_departure(order: list[int], values: list[int]) -> None:
    valve = WatermarkValve(range(5))
    for channel, value in enumerate(values):
        valve.input_watermark(channel, value)
    for channel in order:
        valve.input_status(channel, Status.IDLE)
    assert valve.watermark == max(values)
    assert valve.status is Status.IDLE


@given(st.lists(EXTENDED, max_size=60))
def test_repeating_a_step_changes_nothing(operations: list[Operation]) -> None:
    """Heartbeats repeat what was said, so repeating a status or a watermark must be without effect (R3, R5)."""
    valve = WatermarkValve(range(3))
    for operation in operations:
        apply(valve, operation)
        if operation[0] in ("watermark", "status", "finish"):
            before = states(valve), valve.watermark, valve.status
            assert apply(valve, operation) == []
            assert (states(valve), valve.watermark, valve.status) == before


@given(
    st.integers(1, 4),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 3), st.one_of(st.none(), VALUES), STATUSES), max_size=60),
)
def test_a_combiner_does_what_the_plainest_combiner_does(
    inputs: int, flush: bool, steps: list[tuple[int, int | None, str]]
) -> None:
    combiner = WatermarkCombiner(inputs, flush_on_all_idle=flush)
    naive = NaiveCombiner(inputs, flush)
    for number, value, status in steps:
        if number >= inputs:
            continue
        if value is None:
            got = combiner.input_status(number, Status(status))
            assert plainly(got) == naive.step(number, None, status == "IDLE")
        else:
            assert plainly(combiner.input_watermark(number, value)) == naive.step(number, value, False)
        assert (combiner.watermark, combiner.status is Status.IDLE) == (naive.watermark, naive.idle)


@given(st.lists(st.one_of(st.integers(-5, 25).map(Watermark), STATUSES.map(Status)), max_size=60))
def test_nothing_gets_past_an_announced_idle(inputs: list[Watermark | Status]) -> None:
    gate = OutputGate()
    status = Status.ACTIVE
    for each in inputs:
        signal: Signal = Edge(each) if isinstance(each, Status) else each
        expected = status is Status.ACTIVE if isinstance(signal, Watermark) else signal.status is not status
        assert gate.passes(signal) is expected
        if not isinstance(signal, Watermark):
            status = signal.status


class Member:
    def __init__(self) -> None:
        self.place = NOWHERE


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(-20, 20)), max_size=80))
def test_the_heap_knows_its_least_whoever_moves_or_leaves(steps: list[tuple[int, int]]) -> None:
    members = [Member() for _ in range(10)]
    keys: dict[int, int] = {}
    heap: ChannelHeap[Member] = ChannelHeap()
    for number, key in steps:
        member = members[number]
        if number not in keys:
            heap.add(member, key)
            keys[number] = key
        elif key >= keys[number]:
            heap.raise_key(member, key)
            keys[number] = key
        else:
            heap.remove(member)
            del keys[number]
        assert heap.least() == min(keys.values(), default=None)
        assert len(heap) == len(keys)


def test_a_heap_from_whose_middle_members_left_still_empties_in_order() -> None:
    """A member that fills a gap has to rise only in a deep heap, and only emptying it shows a mistake."""
    chance = random.Random(7728)
    for _ in range(300):
        members = [Member() for _ in range(40)]
        keys = {number: chance.randrange(1_000) for number in range(40)}
        heap: ChannelHeap[Member] = ChannelHeap()
        for number, key in keys.items():
            heap.add(members[number], key)
        for number in chance.sample(range(40), 15):
            heap.remove(members[number])
            del keys[number]
        for number in sorted(keys, key=keys.__getitem__):
            assert heap.least() == keys[number]
            heap.remove(members[number])
        assert heap.least() is None


@pytest.mark.parametrize("profile", Profile)
def test_many_channels_give_what_the_plainest_valve_gives(profile: Profile) -> None:
    """Small sets hardly sift a heap; so once with many channels, in a fixed random order."""
    chance = random.Random(40475)
    channels = 60
    valve = WatermarkValve(range(channels), profile=profile)
    naive = NaiveValve(list(range(channels)), released=profile is Profile.RELEASED)
    emitted: Counter[str] = Counter()
    for step in range(12_000):
        # By turns nearly all or nearly none are awake, so flushes, alignment and jumps all come to pass.
        awake = 0.9 if step // 3_000 % 2 else 0.01
        channel = chance.randrange(channels)
        operation: Operation = (
            ("watermark", channel, step // 4 + chance.randrange(-50, 100), None)
            if chance.random() < 0.7
            else ("status", channel, "ACTIVE" if chance.random() < awake else "IDLE", None)
        )
        got = plainly(apply(valve, operation))
        assert got == apply_naively(naive, operation)
        emitted.update(kind for kind, _ in got)
    assert emitted["watermark"] > 50 and emitted["status"] > 10, emitted
