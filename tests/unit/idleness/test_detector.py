"""Slow to IDLE, instant to ACTIVE: the detector through the situations that have fooled others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.idleness.detector import Cause, EmptinessDetector, Judgement, OpenTransactions
from headgate.core.idleness.emptiness import FetchEvidence, Situation, Unmet
from headgate.core.idleness.grace import GraceClock, GraceSettings
from headgate_events.idleness.signals import Status

GRACE_MS = 1_000
POLL_MS = 100
QUIET = Situation(
    assigned=(1,), current=(1,), start=0, paused=False, polled_at_ms=0, connected=True, buffered=0, in_flight=0
)


class Loop:
    """A worker's loop around one detector: it polls every 100 ms and steps after each poll."""

    def __init__(self, grace: GraceSettings | None = None, transactions: OpenTransactions | None = None) -> None:
        settings = grace or GraceSettings(grace_ms=GRACE_MS, poll_interval_ms=POLL_MS, damping=False)
        self.detector = EmptinessDetector(grace=settings, transactions=transactions)
        self.now_ms = 1_000
        self.situation = QUIET

    def eof(self, end: int, high: int | None = None) -> None:
        self.detector.fetch_answered(FetchEvidence(end, end, end if high is None else high, self.now_ms))

    def turn(self, after_ms: int = POLL_MS) -> Judgement | None:
        self.now_ms += after_ms
        return self.detector.step(self.now_ms, replace(self.situation, polled_at_ms=self.now_ms))

    def run(self, for_ms: int) -> list[Status]:
        edges = []
        for _ in range(for_ms // POLL_MS):
            edge = self.turn()
            if edge is not None:
                edges.append(edge.status)
        return edges

    def record(self, next_position: int) -> Judgement | None:
        return self.detector.record_fetched(next_position, self.now_ms)

    def until_idle(self, end: int = 0) -> None:
        self.eof(end)
        assert self.run(2 * GRACE_MS) == [Status.IDLE]


def test_silence_without_evidence_is_never_idle() -> None:
    loop = Loop()
    assert loop.run(600_000) == []
    assert loop.detector.unmet == {Unmet.NO_EVIDENCE}


def test_it_is_idle_after_the_grace_and_not_before() -> None:
    loop = Loop()
    loop.turn()
    loop.eof(0)
    assert loop.turn() is None  # the first look that finds it empty: the grace begins
    assert loop.run(GRACE_MS - POLL_MS) == []
    edge = loop.turn()
    assert edge is not None
    assert edge.status is Status.IDLE
    assert loop.run(60_000) == []


def test_the_edge_carries_its_proof() -> None:
    loop = Loop()
    loop.eof(7)
    edges = [edge for edge in (loop.turn() for _ in range(20)) if edge is not None]
    (edge,) = edges
    assert (edge.status, edge.cause, edge.alert) == (Status.IDLE, Cause.EMPTY, False)
    assert edge.evidence is not None
    assert (edge.evidence.position, edge.evidence.last_stable) == (7, 7)


def test_the_first_record_is_active_at_once_and_once() -> None:
    loop = Loop()
    loop.until_idle()
    edge = loop.record(1)
    assert edge is not None
    assert (edge.status, edge.cause) == (Status.ACTIVE, Cause.RESUMED)
    assert loop.record(2) is None
    assert loop.turn() is None


def test_an_eof_and_then_a_record_in_one_poll_is_no_emptiness() -> None:
    loop = Loop()
    loop.eof(5)
    loop.record(6)
    assert loop.run(10_000) == []


def test_an_eof_from_before_the_last_record_is_left_aside() -> None:
    loop = Loop()
    loop.record(6)
    loop.eof(5)
    assert loop.run(10_000) == []
    loop.eof(6)
    assert loop.run(10_000) == [Status.IDLE]


def test_an_older_answer_does_not_replace_a_newer_one() -> None:
    loop = Loop()
    loop.eof(5)
    loop.detector.fetch_answered(FetchEvidence(4, 4, 4, loop.now_ms))
    assert loop.detector.evidence == FetchEvidence(5, 5, 5, loop.now_ms)


@pytest.mark.parametrize("unfinished", [replace(QUIET, in_flight=1), replace(QUIET, buffered=1)])
def test_read_is_not_done(unfinished: Situation) -> None:
    """Numaflow 3399: all read, one output unacknowledged."""
    loop = Loop()
    loop.record(5)
    loop.eof(5)
    loop.situation = unfinished
    assert loop.run(60_000) == []
    loop.situation = QUIET
    assert loop.run(GRACE_MS - POLL_MS) == []
    assert loop.run(GRACE_MS) == [Status.IDLE]


def test_emptiness_has_to_last_without_a_break() -> None:
    loop = Loop()
    for position in range(1, 20):
        loop.eof(position)
        assert loop.run(GRACE_MS - 2 * POLL_MS) == []
        loop.record(position + 1)


def test_a_paused_partition_never_becomes_idle() -> None:
    loop = Loop()
    loop.eof(0)
    loop.situation = replace(QUIET, paused=True)
    assert loop.run(60_000) == []
    loop.situation = QUIET
    loop.detector.resumed()
    assert loop.run(60_000) == []
    loop.eof(0)
    assert loop.run(2 * GRACE_MS) == [Status.IDLE]


def test_paused_while_empty_and_then_grown_is_active() -> None:
    loop = Loop()
    loop.until_idle(5)
    loop.situation = replace(QUIET, paused=True)
    assert loop.detector.end_listed(5, loop.now_ms) is None
    assert loop.run(10_000) == []
    edge = loop.detector.end_listed(6, loop.now_ms)
    assert edge is not None
    assert edge.status is Status.ACTIVE


def test_growth_is_seen_after_a_resume_and_a_second_pause_too() -> None:
    loop = Loop()
    loop.record(5)
    loop.until_idle(5)
    loop.detector.resumed()
    assert loop.run(1_000) == []
    assert loop.detector.end_listed(5, loop.now_ms) is None
    assert loop.detector.end_listed(6, loop.now_ms) is not None


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.IDLE])
def test_without_a_broker_it_stays_as_it_was(status: Status) -> None:
    loop = Loop()
    if status is Status.IDLE:
        loop.until_idle()
    else:
        loop.eof(0)
    loop.situation = replace(QUIET, connected=False)
    assert loop.run(60_000) == []
    assert loop.detector.status is status


def test_a_loop_that_stalled_for_longer_than_the_grace_is_not_idle_on_waking() -> None:
    loop = Loop()
    loop.eof(5)
    assert loop.run(GRACE_MS - 2 * POLL_MS) == []
    assert loop.turn(after_ms=60_000) is None
    assert loop.record(6) is None
    assert loop.run(GRACE_MS * 3) == []


def test_after_a_long_stall_the_grace_begins_anew() -> None:
    loop = Loop()
    loop.eof(5)
    assert loop.run(GRACE_MS) == []
    assert loop.turn(after_ms=60_000) is None
    assert loop.turn() is None
    assert loop.run(GRACE_MS - POLL_MS) == []
    assert loop.run(2 * POLL_MS) == [Status.IDLE]


def test_a_short_stall_counts_little_and_is_looked_at_twice() -> None:
    loop = Loop()
    loop.eof(5)
    assert loop.turn() is None
    assert loop.run(GRACE_MS - 2 * POLL_MS) == []
    assert loop.turn(after_ms=1_500) is None
    edge = loop.turn()
    assert edge is not None
    assert edge.status is Status.IDLE


def test_a_loop_that_is_always_slow_gets_there_slowly() -> None:
    loop = Loop()
    loop.eof(5)
    edges = [loop.turn(after_ms=900) for _ in range(10)]
    assert [edge.status for edge in edges if edge] == [Status.IDLE]
    assert edges.index(next(edge for edge in edges if edge)) >= 5


def test_a_stale_poll_stops_the_clock() -> None:
    loop = Loop()
    loop.eof(5)
    loop.turn()
    for _ in range(100):
        loop.now_ms += POLL_MS
        assert loop.detector.step(loop.now_ms, replace(QUIET, polled_at_ms=loop.now_ms - 5_000)) is None
    assert loop.turn() is None


def test_back_pressure_stops_the_clock_without_beginning_anew() -> None:
    loop = Loop()
    loop.eof(5)
    loop.run(GRACE_MS // 2)
    loop.situation = replace(QUIET, blocked=True)
    assert loop.run(60_000) == []
    loop.situation = QUIET
    assert loop.run(GRACE_MS // 2 + 2 * POLL_MS) == [Status.IDLE]


def test_an_open_transaction_holds_and_its_commit_brings_old_records() -> None:
    loop = Loop()
    loop.eof(5, high=7)
    assert loop.run(60_000) == []
    assert loop.detector.unmet == {Unmet.OPEN_TRANSACTION}
    loop.record(7)
    loop.eof(8)
    assert loop.run(2 * GRACE_MS) == [Status.IDLE]


def test_a_transaction_that_opens_while_idle_makes_it_active() -> None:
    loop = Loop()
    loop.until_idle(5)
    loop.situation = replace(QUIET, high=6)
    edge = loop.turn()
    assert edge is not None
    assert (edge.status, edge.cause) == (Status.ACTIVE, Cause.OPEN_TXN)


def test_an_open_transaction_may_be_let_go_after_the_cap_with_an_alert() -> None:
    loop = Loop(transactions=OpenTransactions("ignore", cap_ms=10_000))
    loop.eof(5, high=7)
    assert loop.run(10_000) == []
    edges = [edge for edge in (loop.turn() for _ in range(30)) if edge is not None]
    assert [(edge.status, edge.alert) for edge in edges] == [(Status.IDLE, True)]


def test_the_cap_is_not_used_up_by_a_loop_that_does_not_poll() -> None:
    loop = Loop(transactions=OpenTransactions("ignore", cap_ms=10_000))
    loop.eof(5, high=7)
    for _ in range(200):
        loop.now_ms += POLL_MS
        loop.detector.step(loop.now_ms, replace(QUIET, polled_at_ms=loop.now_ms - 5_000))
    assert loop.run(5_000) == []


def test_another_transaction_begins_the_cap_anew() -> None:
    loop = Loop(transactions=OpenTransactions("ignore", cap_ms=10_000))
    for end in range(5, 50):
        loop.eof(end, high=end + 2)
        assert loop.run(9_000) == []


def test_a_seek_makes_it_active_and_needs_new_evidence() -> None:
    loop = Loop()
    loop.until_idle(5)
    assert loop.detector.sought(0, loop.now_ms) is not None
    assert loop.run(10_000) == []
    loop.eof(5)
    assert loop.run(10_000) == [Status.IDLE]


def test_a_marker_of_ours_neither_wakes_nor_delays() -> None:
    """D2."""
    loop = Loop()
    loop.eof(5)
    loop.run(GRACE_MS // 2)
    loop.detector.marker_passed(6)
    assert loop.run(GRACE_MS // 2 + 2 * POLL_MS) == [Status.IDLE]
    loop.detector.marker_passed(7)
    assert loop.run(10_000) == []


def test_a_lost_partition_says_nothing() -> None:
    loop = Loop()
    loop.until_idle(5)
    loop.situation = replace(QUIET, current=(2,), in_flight=None)
    assert loop.run(10_000) == []
    assert loop.detector.status is Status.IDLE


def flap(loop: Loop, position: int) -> int:
    """Go idle, wake by a record, and return how long going idle took."""
    loop.eof(position)
    began_ms = loop.now_ms
    while loop.turn() is None:
        assert loop.now_ms - began_ms < 120_000
    took_ms = loop.now_ms - began_ms
    loop.record(position + 1)
    return took_ms


def test_flapping_makes_it_wait_longer_up_to_a_minute_and_calm_makes_it_forget() -> None:
    loop = Loop(GraceSettings(grace_ms=5_000, poll_interval_ms=POLL_MS))
    took = [flap(loop, position) // 5_000 for position in range(9)]
    assert took == [1, 1, 1, 1, 2, 4, 8, 12, 12]
    loop.run(600_000)
    assert 30_000 <= flap(loop, 20) < 31_000
    loop.run(6 * 600_000)
    assert 5_000 <= flap(loop, 30) < 6_000


def test_few_flaps_in_a_long_time_are_no_flapping() -> None:
    loop = Loop(GraceSettings(grace_ms=5_000, poll_interval_ms=POLL_MS))
    for position in range(8):
        assert flap(loop, position) // 5_000 == 1
        loop.run(200_000)


def test_a_clock_that_was_set_back_counts_nothing() -> None:
    clock = GraceClock(200)
    for now_ms in (1_000, 1_100, 400, 500):
        clock.run(now_ms)
    assert clock.counted_ms == 200


def test_without_damping_the_grace_stays() -> None:
    loop = Loop(GraceSettings(grace_ms=5_000, poll_interval_ms=POLL_MS, damping=False))
    assert {flap(loop, position) // 5_000 for position in range(9)} == {1}


CHANGES: dict[str, Callable[[Situation], Situation]] = {
    "pause": lambda now: replace(now, paused=True),
    "unpause": lambda now: replace(now, paused=False),
    "busy": lambda now: replace(now, in_flight=1),
    "done": lambda now: replace(now, in_flight=0),
    "cut": lambda now: replace(now, connected=False),
    "joined": lambda now: replace(now, connected=True),
    "blocked": lambda now: replace(now, blocked=True),
    "free": lambda now: replace(now, blocked=False),
}
EVENTS = st.lists(
    st.one_of(st.sampled_from(["record", "eof", "eof", "open", *CHANGES]), st.integers(0, 25)), max_size=60
)


@given(EVENTS)
def test_its_edges_alternate_and_idle_means_that_a_newer_fetch_was_at_the_end(events: list[str | int]) -> None:
    loop = Loop()
    position = high = 0
    fetched_at_end = False
    status = Status.ACTIVE
    for event in events:
        edges: list[Judgement | None] = []
        if isinstance(event, int):
            loop.situation = replace(loop.situation, high=high)
            edges = [loop.turn() for _ in range(event)]
        elif event == "record":
            position += 1
            high = max(high, position)
            fetched_at_end = False
            edges = [loop.record(position)]
        elif event == "eof":
            loop.eof(position, high)
            fetched_at_end = True
        elif event == "open":
            high = position + 2
        else:
            loop.situation = CHANGES[event](loop.situation)
            if event == "unpause":
                loop.detector.resumed()
                fetched_at_end = False
        for edge in filter(None, edges):
            assert edge.status is not status
            status = edge.status
            if status is Status.IDLE:
                assert fetched_at_end
                assert position == high
                assert replace(loop.situation, high=None) == QUIET
