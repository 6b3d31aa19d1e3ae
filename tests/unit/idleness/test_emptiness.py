"""A partition is empty when six things are known to hold, and each alone keeps it from being so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headgate.core.idleness.emptiness import FetchEvidence, Judging, Situation, Unmet, unmet

NOW_MS = 1_000_000
AT_END = FetchEvidence(position=10, last_stable=10, high=10, at_ms=NOW_MS - 50)
QUIET = Situation(
    assigned=(1, 2, 3),
    current=(1, 2, 3),
    start=0,
    paused=False,
    polled_at_ms=NOW_MS - 20,
    connected=True,
    buffered=0,
    in_flight=0,
)
COMMITTED = Judging()
UNCOMMITTED = Judging(isolation="read_uncommitted")


def test_it_is_empty_when_all_six_hold() -> None:
    assert unmet(QUIET, AT_END, NOW_MS, COMMITTED) == frozenset()
    assert unmet(QUIET, AT_END, NOW_MS, UNCOMMITTED) == frozenset()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"assigned": None}, Unmet.NOT_ASSIGNED),
        ({"current": None}, Unmet.NOT_ASSIGNED),
        ({"assigned": (1, 2, 2)}, Unmet.NOT_ASSIGNED),
        ({"start": None}, Unmet.START_UNRESOLVED),
        ({"paused": True}, Unmet.PAUSED),
        ({"paused": None}, Unmet.PAUSED),
        ({"polled_at_ms": None}, Unmet.POLL_STALE),
        ({"polled_at_ms": NOW_MS - 2_001}, Unmet.POLL_STALE),
        ({"polled_at_ms": NOW_MS + 1}, Unmet.POLL_STALE),
        ({"connected": False}, Unmet.DISCONNECTED),
        ({"connected": None}, Unmet.DISCONNECTED),
        ({"buffered": 1}, Unmet.BUFFERED),
        ({"buffered": None}, Unmet.BUFFERED),
        ({"in_flight": 1}, Unmet.IN_FLIGHT),
        ({"in_flight": None}, Unmet.IN_FLIGHT),
        ({"high": 11}, Unmet.OPEN_TRANSACTION),
    ],
)
def test_each_condition_of_the_situation_is_asked(change: dict[str, Any], reason: Unmet) -> None:
    assert unmet(replace(QUIET, **change), AT_END, NOW_MS, COMMITTED) == {reason}


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        (None, Unmet.NO_EVIDENCE),
        (replace(AT_END, position=9), Unmet.BEHIND),
        (replace(AT_END, last_stable=None), Unmet.END_UNKNOWN),
        (replace(AT_END, high=None), Unmet.END_UNKNOWN),
        (replace(AT_END, high=9), Unmet.END_UNKNOWN),
        (replace(AT_END, high=12), Unmet.OPEN_TRANSACTION),
    ],
)
def test_each_condition_of_the_end_is_asked_under_read_committed(evidence: FetchEvidence | None, reason: Unmet) -> None:
    assert unmet(QUIET, evidence, NOW_MS, COMMITTED) == {reason}


def test_under_read_uncommitted_the_end_is_the_high_watermark_and_transactions_do_not_count() -> None:
    assert unmet(QUIET, replace(AT_END, last_stable=5), NOW_MS, UNCOMMITTED) == frozenset()
    assert unmet(QUIET, replace(AT_END, last_stable=None), NOW_MS, UNCOMMITTED) == frozenset()
    assert unmet(QUIET, replace(AT_END, high=None), NOW_MS, UNCOMMITTED) == {Unmet.END_UNKNOWN}
    assert unmet(QUIET, replace(AT_END, high=11), NOW_MS, UNCOMMITTED) == {Unmet.BEHIND}
    assert unmet(replace(QUIET, high=11), AT_END, NOW_MS, UNCOMMITTED) == {Unmet.BEHIND}


def test_a_position_beyond_the_end_is_at_the_end() -> None:
    """Control records at the tail move the position of some clients past the last stable offset that they knew."""
    passed = FetchEvidence(position=12, last_stable=11, high=12, at_ms=NOW_MS)
    assert unmet(QUIET, passed, NOW_MS, COMMITTED) == frozenset()


def test_an_empty_topic_is_empty() -> None:
    assert unmet(QUIET, FetchEvidence(0, 0, 0, NOW_MS), NOW_MS, COMMITTED) == frozenset()


def test_nothing_known_is_far_from_empty() -> None:
    nothing = Situation(None, None, None, None, None, None, None, None)
    assert unmet(nothing, None, NOW_MS, COMMITTED) == {
        Unmet.NOT_ASSIGNED,
        Unmet.START_UNRESOLVED,
        Unmet.PAUSED,
        Unmet.POLL_STALE,
        Unmet.DISCONNECTED,
        Unmet.NO_EVIDENCE,
        Unmet.BUFFERED,
        Unmet.IN_FLIGHT,
    }
