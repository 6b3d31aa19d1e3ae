"""When the words of the workers show that a stream is idle, and how often that is reported."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from headgate.worker.fleet import Fleet
from headgate.worker.idle_watch import IdleWatch, Tasks, all_idle
from headgate.worker.mailbox import Report
from headgate.worker.view import View, view_of
from headgate_events.codec import validate


def a_view(*waiting: str, epoch: int = 5, **more: Any) -> View:
    scheduled = {name: {"when_idle": True, "not_before_ms": None} for name in waiting}
    state = {"stream": "orders", "incarnation": 7, "version": 9, "status": "RUNNING", "epoch": epoch}
    state |= {"started_epoch": 3, "revision": {"desired": 1}, "config": {}, "partitions": {"orders": 2}}
    return view_of(state | {"scheduled": scheduled} | more)


def task(*statuses: str | None, first: int = 0, **more: Any) -> dict[str, Any]:
    channels = [{"topic": "orders", "partition": first + n, "status": each} for n, each in enumerate(statuses)]
    return {"epoch": 5, "phase": "running", "channels": channels} | more


@pytest.mark.parametrize(
    ("tasks", "idle"),
    [
        ({"a": task("IDLE", "IDLE")}, True),
        ({"a": task("IDLE"), "b": task("FINISHED", first=1)}, True),
        ({"a": task("IDLE", "IDLE"), "spare": task()}, True),
        ({"a": task("IDLE", "ACTIVE")}, False),
        ({"a": task("IDLE", None)}, False),
        ({"a": task("IDLE")}, False),
        ({"a": task("IDLE", "IDLE"), "heir": task("ACTIVE")}, False),
        ({"a": task("IDLE", "IDLE"), "heir": task(phase="starting")}, False),
        ({"a": task("IDLE", "IDLE", phase="retrying")}, False),
        ({"a": task("IDLE", "IDLE", epoch=4)}, False),
        ({}, False),
    ],
)
def test_a_stream_is_idle_when_every_partition_is_said_to_be_and_nobody_contradicts(tasks: Tasks, idle: bool) -> None:
    assert all_idle(a_view(), tasks) is idle


def test_without_listed_partitions_nothing_is_known() -> None:
    assert not all_idle(a_view(partitions=None), {"a": task("IDLE", "IDLE")})
    assert not all_idle(a_view(partitions={"orders": 3}), {"a": task("IDLE", "IDLE")}), "one was added"


def test_what_waits_for_a_time_does_not_wait_for_idleness_yet() -> None:
    pending = {"when_idle": True, "not_before_ms": 1}, {"when_idle": False, "not_before_ms": None}
    assert a_view(scheduled=dict(zip("ab", pending, strict=True))).awaiting_idle == {}
    assert a_view("c").awaiting_idle == {"c": 0.0}


def test_each_command_is_reported_once_in_an_epoch_and_again_under_the_next() -> None:
    watch = IdleWatch()
    assert watch.judge(a_view("c", "d"), lambda _: {"a": task("IDLE", "ACTIVE")}, 1.0) == []
    assert watch.judge(a_view("c", "d"), lambda _: {"a": task("IDLE", "IDLE")}, 2.0) == ["c", "d"]
    assert watch.judge(a_view("c", "d"), lambda _: {"a": task("IDLE", "IDLE")}, 3.0) == []
    assert watch.judge(a_view("c", epoch=6), lambda _: {"a": task("IDLE", "IDLE", epoch=6)}, 4.0) == ["c"]
    failed = a_view("e", status="FAILED")
    assert watch.judge(failed, lambda _: {"a": task("IDLE", "IDLE")}, 5.0) == []


def waiting_for(seconds: float, **more: Any) -> View:
    pending = {"when_idle": True, "not_before_ms": None, "idle_for_ms": round(seconds * 1_000)}
    return a_view(scheduled={"c": pending}, **more)


def said(*since_ms: int, status: str = "IDLE", claim: int = 1) -> Tasks:
    channels = [
        {"topic": "orders", "partition": n, "status": status, "since_ms": each, "claim": claim, "end": 40 + n}
        for n, each in enumerate(since_ms)
    ]
    return {"a": task(channels=channels)}


def test_a_time_of_idleness_counts_from_when_the_command_was_seen_and_lasts_without_a_break() -> None:
    watch, view = IdleWatch(), waiting_for(60.0)
    assert watch.judge(view, lambda _: said(1, 1), 1_000.0) == [], "how long it was idle before is not known"
    assert watch.judge(view, lambda _: said(1, 1), 1_059.9) == []
    assert watch.judge(view, lambda _: said(1, 1), 1_060.0) == ["c"]
    assert watch.judge(view, lambda _: said(1, 1), 1_090.0) == [], "it is reported once"


@pytest.mark.parametrize(
    "between",
    [
        said(1, 1, status="ACTIVE"),
        said(1, 2),
        said(1, 1, claim=2),
        said(1),
        {},
        {"a": task("IDLE", "IDLE", phase="retrying")},
    ],
)
def test_an_edge_a_new_owner_or_a_word_that_is_missing_begins_the_time_anew(between: Tasks) -> None:
    watch, view = IdleWatch(), waiting_for(60.0)
    watch.judge(view, lambda _: said(1, 1), 1_000.0)
    watch.judge(view, lambda _: between, 1_059.0)
    assert watch.judge(view, lambda _: said(1, 1), 1_061.0) == []
    assert watch.judge(view, lambda _: said(1, 1), 1_120.0) == []
    assert watch.judge(view, lambda _: said(1, 1), 1_121.0) == ["c"]


def test_a_stream_that_does_not_run_for_a_moment_begins_the_time_anew() -> None:
    watch = IdleWatch()
    watch.judge(waiting_for(60.0), lambda _: said(1, 1), 1_000.0)
    watch.judge(waiting_for(60.0, status="FAILED"), lambda _: said(1, 1), 1_059.0)
    assert watch.judge(waiting_for(60.0), lambda _: said(1, 1), 1_061.0) == []


def sleepy(**more: Any) -> View:
    return a_view(config={"idleness": {"auto_pause_after_s": 60.0}}, **more)


def looked(watch: IdleWatch, view: View, words: Tasks, now_s: float) -> Any:
    assert watch.judge(view, lambda _: words, now_s) == []
    return watch.silence(view, lambda _: words, now_s)


def test_a_long_silence_is_reported_with_the_ends_and_again_where_it_has_no_effect() -> None:
    watch = IdleWatch()
    assert looked(watch, sleepy(), said(1, 1), 1_000.0) is None
    assert looked(watch, sleepy(), said(1, 1), 1_059.0) is None
    assert looked(watch, sleepy(), said(1, 1), 1_060.0) == {"orders": {"0": 40, "1": 41}}
    assert looked(watch, sleepy(), said(1, 1), 1_061.0) is None
    assert looked(watch, sleepy(), said(1, 1), 1_071.0) is not None
    assert looked(watch, sleepy(), said(2, 1), 1_090.0) is None
    assert looked(watch, a_view(), said(2, 1), 1_900.0) is None, "it is off"


def test_while_a_command_waits_for_idle_no_silence_is_reported() -> None:
    watch, later = IdleWatch(), {"c": {"when_idle": True, "not_before_ms": 9}}
    for now_s in (1_000.0, 1_100.0):
        assert looked(watch, sleepy(scheduled=later), said(1, 1), now_s) is None
    assert looked(watch, sleepy(), said(1, 1), 1_101.0) is not None


def test_a_stream_that_has_ended_is_not_paused_for_its_silence() -> None:
    watch = IdleWatch()
    for now_s in (1_000.0, 1_100.0):
        assert looked(watch, sleepy(), said(1, 1, status="FINISHED"), now_s) is None


class Beat:
    def __init__(self, worker: str, *tasks: dict[str, Any]) -> None:
        named = [{"stream": "orders", "incarnation": 7, **each} for each in tasks]
        self._key, self._value = worker.encode(), orjson.dumps({"interval_ms": 1_000, "tasks": named})

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes:
        return self._value


def test_only_words_that_were_sent_after_the_command_was_seen_count_and_of_every_worker() -> None:
    fleet, watch, view = Fleet("me", 30.0), IdleWatch(), a_view("c")

    def judged_after(now_s: float, *beats: Beat) -> list[str]:
        for each in beats:
            fleet.take(each, now_s, 0, caught_up=True)  # type: ignore[arg-type]
        return watch.judge(view, lambda since_s: fleet.tasks_of("orders", 7, now_s, since_s), now_s)

    a, b = Beat("a", task("IDLE")), Beat("b", task("IDLE", first=1))
    assert judged_after(10.0, a, b) == []
    assert judged_after(10.9, a, b) == [], "they may have been under way when the command came"
    assert judged_after(11.0, a) == [], "b has said nothing since"
    assert judged_after(11.5, b) == ["c"]


def test_the_report_is_the_same_whoever_makes_it() -> None:
    report = Report.of(a_view("c"), None, "idle-reached", {"command_id": "c"}, "c")
    assert report.id == "any-orders-7-5-idle-reached-c"
    validate("report", report.payload)
