"""Who runs a stream, and how long a failed task waits: pure functions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headgate.core.backoff import ceiling_s, delay_s
from headgate.core.placement import ranked

WORKERS = st.sets(st.text("abcdefgh-0123456789", min_size=1, max_size=12), min_size=1, max_size=12)


def test_the_ranking_is_the_same_everywhere_and_for_ever() -> None:
    assert ranked("orders", 7, ["a", "b", "c", "d"]) == ranked("orders", 7, ["d", "c", "b", "a", "a"])
    assert ranked("orders", 7, ["a", "b", "c", "d"]) == ["d", "b", "c", "a"]


def test_another_incarnation_may_rank_otherwise() -> None:
    workers = [f"w-{number}" for number in range(8)]
    assert len({tuple(ranked("orders", incarnation, workers)) for incarnation in range(20)}) > 15


@given(WORKERS)
def test_a_worker_that_goes_disturbs_nobody_elses_order(workers: set[str]) -> None:
    order = ranked("orders", 1, workers)
    for gone in workers:
        assert ranked("orders", 1, workers - {gone}) == [worker for worker in order if worker != gone]


def test_streams_are_spread_over_the_workers() -> None:
    first = [ranked(f"stream-{number}", 1, ["a", "b", "c", "d"])[0] for number in range(2_000)]
    assert all(400 < first.count(worker) < 600 for worker in "abcd")


def test_the_bound_of_a_wait_doubles_up_to_the_greatest() -> None:
    assert [ceiling_s(attempt, 0.5, 30) for attempt in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert ceiling_s(10**9, 0.5, 30) == 30


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_within_its_bounds_and_never_nothing(attempt: int, draw: float) -> None:
    assert 0 < delay_s(attempt, 0.5, 30, draw) <= ceiling_s(attempt, 0.5, 30)


def test_jitter_is_full() -> None:
    assert delay_s(3, 1, 30, 0.999) > 7.9
    assert delay_s(3, 1, 30, 0.1) < 0.9
