"""What the observer has to say, given a state, the workers that are heard and the time."""

from __future__ import annotations

from typing import Any

from headgate.core.observing import Workers, missed, overdue
from headgate_events.ids import MAX_ID_LENGTH

NOBODY = Workers(frozenset(), frozenset())
STATE: dict[str, Any] = {
    "stream": "orders",
    "incarnation": 3,
    "version": 7,
    "epoch": 5,
    "status": "RUNNING",
    "deadline_ms": None,
    "drain": None,
    "checking": None,
    "scheduled": {},
    "conditions": {},
    "tasks": {"w1": {"revision": 1, "epoch": 5, "since_ms": 0}},
}


def heard(*names: str, leaving: tuple[str, ...] = ()) -> Workers:
    return Workers(frozenset((*names, *leaving)), frozenset(names))


def test_nothing_is_said_while_the_workers_are_heard_and_no_deadline_has_passed() -> None:
    assert missed(STATE, heard("w1")) == ()
    assert overdue(STATE, 10**15) == ()


def test_a_silent_worker_is_named_for_each_stream_that_it_ran() -> None:
    (said,) = missed(STATE, heard("w2"))
    assert (said.kind, said.payload["lost"], said.payload["epoch"]) == ("worker-silent", "w1", 5)


def test_a_stream_without_any_live_worker_is_unassigned_and_one_with_a_worker_is_not_any_more() -> None:
    said = {each.kind for each in missed(STATE, NOBODY)}
    assert said == {"worker-silent", "condition-raised"}
    held = {**STATE, "tasks": {}, "conditions": {"unassigned": {"since_ms": 1, "message": ""}}}
    assert missed(held, NOBODY) == ()
    (cleared,) = missed(held, heard("w2"))
    assert (cleared.kind, cleared.payload["condition"]) == ("condition-cleared", "unassigned")


def test_a_worker_that_is_leaving_is_not_silent_and_does_not_count_as_live() -> None:
    (said,) = missed(STATE, heard(leaving=("w1",)))
    assert said.kind == "condition-raised"


def test_a_paused_or_deleted_stream_needs_no_worker() -> None:
    assert missed({**STATE, "status": "PAUSED", "tasks": {}}, NOBODY) == ()
    assert missed({**STATE, "status": "DELETED"}, NOBODY) == ()


def test_every_deadline_that_has_passed_is_said_with_the_time_at_which_it_stood() -> None:
    long_id = "x" * 128
    waiting = {
        "a": {"not_before_ms": 50, "command_id": "a"},
        long_id: {"not_before_ms": 60, "command_id": long_id},
        "c": {"not_before_ms": 70, "command_id": "c"},
    }
    said = overdue({**STATE, "stream": "s" * 63, "scheduled": waiting}, 60)
    assert [(each.payload["due_ms"], each.payload["command_id"]) for each in said] == [(50, "a"), (60, long_id)]
    assert all(len(each.id) <= MAX_ID_LENGTH for each in said)
    assert len({each.id for each in said}) == 2


def test_two_observers_say_one_thing() -> None:
    assert missed(STATE, NOBODY) == missed(dict(STATE), NOBODY)
