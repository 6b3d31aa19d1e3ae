"""When a stream that stands still is at risk, when a running one is stalled, and how rarely that is looked at."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.core.risk import Look, Sight, at_least, judge
from headgate.worker.rounds import Rounds
from headgate.worker.view import View, view_of
from headgate.worker.watching import StallWatch

HOUR_MS = 3_600_000
NOW = 1_000 * HOUR_MS


def look(at_ms: int = NOW, retention_ms: int | None = 48 * HOUR_MS, **sights: Sight) -> Look:
    return Look(at_ms, {f"orders[{name[1:]}]": sight for name, sight in sights.items()}, retention_ms)


def unread(age_h: float, **more: Any) -> Sight:
    return Sight(0, 100, 40, next_ms=NOW - round(age_h * HOUR_MS), **more)


def test_the_age_that_the_source_keeps_tells_how_long_is_left() -> None:
    assert judge(look(p0=unread(40)), None) == "About 6 h until the source drops records that were not read: orders[0]."
    assert judge(look(p0=unread(20)), None) is None, "28 h are further away than a day"
    assert str(judge(look(p0=unread(50)), None)).startswith("Less than a minute")
    assert judge(look(retention_ms=-1, p0=unread(900)), None) is None, "it keeps everything"


def test_a_source_that_keeps_little_is_no_risk_at_once() -> None:
    assert judge(look(retention_ms=HOUR_MS, p0=unread(0.1)), None) is None
    assert judge(look(retention_ms=HOUR_MS, p0=unread(0.6)), None) is not None


def test_what_is_read_to_its_end_is_at_no_risk() -> None:
    assert judge(look(p0=Sight(0, 40, 40, next_ms=None)), None) is None


def test_the_soonest_of_many_partitions_is_named() -> None:
    said = judge(look(p0=unread(40), p1=unread(46.9), p2=unread(1)), None)
    assert said == "About 1 h until the source drops records that were not read: orders[1] first of 2 partitions."


def test_the_pace_of_the_beginning_counts_where_it_is_faster() -> None:
    before = look(NOW - HOUR_MS, None, p0=Sight(0, 9_000, 400))
    now = look(NOW, None, p0=Sight(100, 9_000, 400))
    assert judge(now, before) == "About 3 h until the source drops records that were not read: orders[0]."
    assert judge(now, None) is None, "one look tells no pace"


def test_an_age_that_nobody_told_is_taken_from_the_oldest_record() -> None:
    sight = Sight(100, 9_000, 400, oldest_ms=NOW - 10 * HOUR_MS, next_ms=NOW - 8 * HOUR_MS)
    assert str(judge(look(NOW, None, p0=sight), None)).startswith("About 2 h")


def test_what_is_lost_already_is_said_in_steps() -> None:
    said = judge(look(p0=Sight(1_234, 9_000, 0), p1=Sight(10, 20, 9)), None)
    assert said == "The source has dropped at least 1,000 records that were not read: orders[0], orders[1]."
    assert [at_least(count) for count in (1, 4, 5, 19, 20, 99, 1_999)] == [1, 2, 5, 10, 20, 50, 1_000]


def running(*, held: bool = False) -> View:
    return view_of(
        {
            "stream": "orders",
            "incarnation": 1,
            "version": 5,
            "status": "RUNNING",
            "epoch": 3,
            "started_epoch": 3,
            "revision": {"desired": 1},
            "config": {"stalled_after_s": 60.0},
            "conditions": {"stalled": {"message": "m"}} if held else {},
        }
    )


def task(**more: Any) -> dict[str, Any]:
    base = {"phase": "running", "partitions": [["t", 0]], "last_progress_ms": 1, "records_read": 9, "at_end": False}
    return base | more


def test_a_task_that_neither_moves_nor_is_at_the_end_is_stalled_after_the_bound() -> None:
    watch = StallWatch()
    assert watch.judge(running(), {"a": task()}, 0.0) is None
    assert watch.judge(running(), {"a": task()}, 59.9) is None
    found = watch.judge(running(), {"a": task(waits_for="the destination")}, 60.0)
    assert found == (
        "condition-raised",
        "No record moved for 60 s, and the source is not at its end: a (it waits for the destination).",
    )
    assert watch.judge(running(held=True), {"a": task()}, 61.0) is None, "said already"
    assert watch.judge(running(held=True), {"a": task(last_progress_ms=2)}, 62.0) == ("condition-cleared", "")


@pytest.mark.parametrize(
    "quiet",
    [{"at_end": True}, {"last_progress_ms": None}, {"phase": "retrying"}, {"partitions": []}],
    ids=str,
)
def test_what_is_no_sign_of_being_stuck_is_never_stalled(quiet: dict[str, Any]) -> None:
    watch = StallWatch()
    for now_s in (0.0, 100.0, 200.0):
        assert watch.judge(running(), {"a": task(**quiet)}, now_s) is None


def test_one_stuck_task_is_named_among_those_that_move() -> None:
    watch = StallWatch()
    found = None
    for step in range(8):
        found = watch.judge(running(), {"a": task(), "b": task(records_read=step)}, step * 10.0)
    assert found is not None and found[1].endswith("not at its end: a.")


def test_a_worker_that_takes_the_watching_over_does_not_clear_what_it_has_not_seen_move() -> None:
    watch = StallWatch()
    assert watch.judge(running(held=True), {"a": task()}, 0.0) is None
    assert watch.judge(running(held=True), {"a": task()}, 30.0) is None
    assert watch.judge(running(held=True), {"a": task(at_end=True)}, 40.0) == ("condition-cleared", "")


def test_every_name_has_one_turn_in_a_period_and_they_are_spread() -> None:
    rounds = Rounds(60.0)
    names = [f"s{number}" for number in range(600)]
    for name in names:
        rounds.add(name, 0.0)
        rounds.add(name, 30.0)
    turns: list[str] = []
    for second in range(60):
        now = rounds.due(float(second), 100)
        assert len(now) < 40
        turns += now
    turns += rounds.due(59.999, 100)
    assert sorted(turns) == sorted(names)
    rounds.remove("s0")
    assert "s0" not in rounds.due(119.9, 1_000) and len(rounds) == 599
