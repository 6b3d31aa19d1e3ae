"""Who is alive, what a report is called, what an error says, and which order counts."""

from __future__ import annotations

import queue
from typing import Any

import orjson
import pytest

from headgate.ports.connectors import ConnectorUnavailable, Kinds, UnknownKind
from headgate.ports.errors import LogUnavailable, NotAuthorized, PositionLost, RecordTooLarge
from headgate.worker.failures import classify
from headgate.worker.fleet import Fleet
from headgate.worker.mailbox import Mailbox, Order, Outbox, Report
from headgate.worker.view import View, view_of
from headgate_events.codec import validate

STATE: dict[str, Any] = {
    "stream": "orders",
    "incarnation": 7,
    "version": 9,
    "status": "RUNNING",
    "epoch": 5,
    "started_epoch": 3,
    "revision": {"desired": 2, "applied": 1, "rejected": None},
    "config": {"parallelism": 1},
    "tasks": {"a": {"epoch": 5}, "b": {"epoch": 3}},
    "errors": {"e1": {"worker": "a"}},
    "conditions": {},
}


class Beat:
    def __init__(self, worker: str, at_ms: int = 0, value: bytes | None = b"", **more: Any) -> None:
        self._key, self._at = worker.encode(), at_ms
        beat = {"interval_ms": 1_000, "instance": "i1", "stopping": False, "tasks": [], **more}
        self._value = orjson.dumps(beat) if value == b"" else value

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def timestamp(self) -> tuple[int, int]:
        return 1, self._at


def fleet_of(*beats: Beat, now_s: float = 100.0, caught_up: bool = True, now_ms: int = 50_000) -> Fleet:
    fleet = Fleet("me", 3.0)
    for beat in beats:
        fleet.take(beat, now_s, now_ms, caught_up=caught_up)  # type: ignore[arg-type]
    return fleet


def test_a_worker_is_alive_while_its_heartbeats_come() -> None:
    fleet = fleet_of(Beat("a"))
    assert fleet.live(102.9, me=True) == {"a", "me"}
    assert fleet.live(103.1, me=True) == {"me"}
    assert fleet.live(103.1, me=False) == frozenset()


def test_one_that_beats_rarely_is_given_three_of_its_own_intervals() -> None:
    assert fleet_of(Beat("a", interval_ms=10_000)).live(125.0, me=False) == {"a"}


def test_one_that_is_stopping_is_gone_at_once() -> None:
    assert fleet_of(Beat("a", stopping=True)).live(100.0, me=False) == frozenset()


def test_heartbeats_of_long_ago_do_not_raise_the_dead() -> None:
    assert fleet_of(Beat("a", at_ms=40_000), Beat("b", at_ms=49_000), caught_up=False).live(100.0, me=False) == {"b"}


def test_what_a_silent_worker_left_open_is_known_and_what_a_live_one_has_is_not_touched() -> None:
    task = {"stream": "orders", "incarnation": 7, "transactional_ids": ["x-a", "x-b"]}
    fleet = fleet_of(Beat("a", tasks=[task, {**task, "incarnation": 6, "transactional_ids": ["old"]}]))
    assert fleet.left_open("orders", 7, 100.0) == ()
    assert fleet.left_open("orders", 7, 110.0) == (("x-a", "i1"), ("x-b", "i1"))
    assert fleet.transactional_ids("orders", 7) == ["x-a", "x-b"]


@pytest.mark.parametrize("value", [b"{", b"[]", b"{}", b'{"interval_ms":"soon"}', None])
def test_a_heartbeat_that_cannot_be_read_says_nothing(value: bytes | None) -> None:
    assert fleet_of(Beat("a", value=value)).live(100.0, me=False) == frozenset()


def test_the_view_holds_what_steers() -> None:
    view = view_of(STATE)
    assert (view.tasks, view.errors) == ({"a"}, {"e1": "a"})
    assert view.runs
    assert view.wants_tasks
    assert not view.drains


@pytest.mark.parametrize(
    ("status", "asks"),
    [
        ("NOT_STARTED", False),
        ("STARTING", True),
        ("RUNNING", True),
        ("DRAINING", True),
        ("FAILED", True),
        ("PAUSED", False),
        ("FAILED_PERMANENTLY", False),
        ("DELETED", False),
    ],
)
def test_only_some_states_ask_a_worker_for_something(status: str, asks: bool) -> None:
    assert view_of(STATE | {"status": status}).asks_something is asks
    assert view_of(STATE | {"status": status, "conditions": {"fence_pending": {}}}).asks_something
    assert view_of(STATE | {"status": status, "checking": {"command_id": "c"}}).asks_something


def test_a_report_that_is_made_twice_has_one_id_and_is_valid() -> None:
    view = view_of(STATE)
    first, again = (Report.of(view, "a", "task-started", {"revision": 2}, "1") for _ in range(2))
    assert first.id == again.id == "a-orders-7-5-task-started-1"
    assert validate("report", first.payload).revision == 2
    long = Report.of(view, "w" * 120, "task-started", {"revision": 2}, "1")
    assert len(long.id) <= 128


def test_an_order_to_leave_is_not_taken_back() -> None:
    view: View = view_of(STATE)
    mailbox = Mailbox()
    mailbox.put(Order(view, leave="finish"))
    mailbox.put(Order(view))
    assert mailbox.take() == Order(view, leave="finish")
    assert mailbox.take() is None


def test_reports_that_find_no_room_wait_in_order() -> None:
    view = view_of(STATE)
    line: queue.Queue[Report] = queue.Queue(1)
    outbox = Outbox(line)
    reports = [Report.of(view, "a", "task-started", {"revision": 2}, str(number)) for number in range(3)]
    for report in reports:
        outbox.add(report)
    got = []
    for _ in reports:
        outbox.push()
        got.append(line.get_nowait())
    assert got == reports


@pytest.mark.parametrize(
    ("error", "code", "recoverable"),
    [
        (LogUnavailable("away"), "log.unavailable", True),
        (ConnectorUnavailable("away"), "connector.unavailable", True),
        (NotAuthorized("no"), "log.not_authorized", False),
        (RecordTooLarge("big"), "log.record_too_large", False),
        (PositionLost("gone", topic="t", partition=1, position=5), "position.lost", False),
        (ZeroDivisionError("x"), "internal", False),
    ],
)
def test_every_error_has_a_class_and_a_sentence(error: Exception, code: str, recoverable: bool) -> None:
    failure = classify(error, worker="a", now_ms=5, about="orders|7")
    assert (failure.code, failure.recoverable) == (code, recoverable)
    payload = {"kind": "error-raised", "incarnation": 7, "epoch": 5, "worker": "a", "error": failure.payload()}
    assert validate("report", payload).error.count == 1
    again = failure.again(9)
    assert (again.id, again.count, again.first_seen_ms, again.last_seen_ms) == (failure.id, 2, 5, 9)


def test_a_kind_that_is_not_installed_names_those_that_are() -> None:
    kinds: Kinds[object] = Kinds("destination", "headgate.no-such-group", {"kafka": object, "discard": object})
    with pytest.raises(UnknownKind, match="mainframe") as raised:
        kinds.find("mainframe")
    assert raised.value.hint == "Installed: discard, kafka."
    assert kinds.find("kafka") is kinds.find("kafka")


def test_of_two_workers_with_one_name_the_later_one_learns_it() -> None:
    def heard(*instances: str, **more: Any) -> Any:
        fleet = Fleet("me", 3.0, "mine")
        for instance in instances:
            fleet.take(Beat("me", instance=instance, **more), 100.0, 50_000, caught_up=True)  # type: ignore[arg-type]
        return fleet.namesake

    assert heard("other", "mine", "mine") is None, "it died before we began"
    assert heard("other", "mine", "other") == "older"
    assert heard("mine", "other") == "newer"
    assert heard("other", "mine", "other", stopping=True) is None, "it only says goodbye"
