"""Watermarks of one channel: bounded disorder, strictly rising, late records counted, nothing overflows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.idleness.watermark import WatermarkGenerator
from headgate_events.idleness.signals import MAX, MIN


def test_it_stays_behind_the_newest_by_the_disorder_and_one() -> None:
    generator = WatermarkGenerator(10)
    generator.observe(100)
    assert generator.due() == 89
    assert generator.due() is None
    generator.observe(95)
    assert generator.due() is None
    generator.observe(101)
    assert generator.due() == 90


def test_a_record_as_old_as_allowed_is_on_time_and_an_older_one_late() -> None:
    generator = WatermarkGenerator(10)
    generator.observe(100)
    generator.due()
    assert generator.observe(90) is False
    assert generator.observe(89) is True
    assert (generator.seen, generator.late) == (3, 1)


def test_records_of_the_newest_time_again_are_on_time_without_disorder() -> None:
    generator = WatermarkGenerator(0)
    generator.observe(100)
    generator.due()
    assert generator.observe(100) is False


@given(
    st.integers(0, 5),
    st.lists(st.tuples(st.lists(st.one_of(st.none(), st.integers(0, 30)), max_size=8), st.booleans()), max_size=8),
)
def test_records_in_a_row_count_as_they_would_one_by_one(
    disorder_ms: int, batches: list[tuple[list[int | None], bool]]
) -> None:
    together, singly = WatermarkGenerator(disorder_ms), WatermarkGenerator(disorder_ms)
    for times, due in batches:
        known = [each for each in times if each is not None]
        assert together.observe_all(known, len(times) - len(known)) == sum(singly.observe(each) for each in times)
        if due:
            assert together.due() == singly.due()
        assert (together.seen, together.late, together.without_time) == (singly.seen, singly.late, singly.without_time)
    assert together.due() == singly.due()


def test_late_is_judged_by_what_was_announced() -> None:
    generator = WatermarkGenerator(0)
    generator.observe(100)
    assert generator.observe(50) is False
    assert generator.due() == 99
    assert generator.observe(50) is True


def test_a_record_without_a_time_is_counted_and_moves_nothing() -> None:
    generator = WatermarkGenerator(0)
    assert generator.observe(None) is False
    assert generator.due() is None
    assert (generator.seen, generator.late, generator.without_time) == (1, 0, 1)


def test_an_heir_goes_on_above_the_seed() -> None:
    generator = WatermarkGenerator(0, seed=50)
    assert generator.observe(50) is True
    assert generator.due() is None
    generator.observe(60)
    assert generator.due() == 59


def test_only_the_end_is_max() -> None:
    generator = WatermarkGenerator(0)
    generator.observe(MAX)
    assert generator.due() == MAX - 1
    assert generator.finish() == MAX
    assert generator.finish() is None
    assert generator.observe(MAX) is True


def test_while_empty_it_may_follow_the_clock_without_going_back() -> None:
    generator = WatermarkGenerator(10)
    assert generator.due_while_empty(1_000, margin_ms=100) == 889
    assert generator.due_while_empty(900, margin_ms=100) is None
    generator.observe(500)
    assert generator.due() is None


def test_disorder_is_not_negative() -> None:
    with pytest.raises(ValueError, match="zero means in order"):
        WatermarkGenerator(-1)


@given(st.integers(0, MAX), st.lists(st.one_of(st.none(), st.integers(MIN, MAX), st.integers(0, 50))))
def test_it_strictly_rises_within_64_bits_and_a_late_record_is_one_at_or_below_it(
    disorder: int, times: list[int | None]
) -> None:
    generator = WatermarkGenerator(disorder)
    last = MIN
    for time in times:
        assert generator.observe(time) is (time is not None and time <= last)
        due = generator.due()
        if due is not None:
            assert last < due < MAX
            last = due


def test_an_heir_begins_with_what_was_reached_announced_or_not_and_an_end_is_not_handed_on() -> None:
    first = WatermarkGenerator(10)
    assert first.reached == MIN
    first.observe(100)
    assert (first.announced, first.reached) == (MIN, 89)
    first.due()
    first.finish()
    assert (first.announced, first.reached) == (MAX, 89)
    heir = WatermarkGenerator(10, seed=first.reached)
    heir.observe(50)
    assert heir.due() is None
    assert (heir.announced, heir.reached, heir.late) == (89, 89, 1)
