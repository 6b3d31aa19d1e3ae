"""What --wait waits for: a judgement of a state, pure."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.cli.goals import goal_of, judge

CHECKS = [
    {
        "name": "source",
        "result": "failed",
        "code": "topic.missing",
        "message": "There is no topic.",
        "hint": "Make it.",
    },
    {"name": "destination", "result": "passed", "code": None, "message": "", "hint": ""},
]


def state(status: str, version: int = 5, **more: Any) -> dict[str, Any]:
    return {
        "incarnation": 7, "version": version, "status": status, "since_ms": 0, "checks": [], "errors": {},
        "partitions": {"flights": 3}, "drain": None,
        "revision": {"desired": 2, "applied": 1, "rejected": None, "checks": []},
        "last": {"actor": "ana", "reason": None}, **more,
    }  # fmt: skip


def verdict(kind: str, seen: dict[str, Any] | None, status: str | None = None) -> tuple[str, str]:
    goal = goal_of(kind, status)
    assert goal is not None
    found = judge(goal, seen, 7, 5)
    return found.kind, found.text


@pytest.mark.parametrize(
    ("kind", "status", "judged"),
    [
        ("start", "STARTING", "waiting"), ("start", "RUNNING", "reached"), ("start", "NOT_STARTED", "missed"),
        ("start", "FAILED", "waiting"), ("start", "FAILED_PERMANENTLY", "missed"), ("start", "DRAINING", "missed"),
        ("pause", "DRAINING", "waiting"), ("pause", "PAUSED", "reached"), ("pause", "RUNNING", "missed"),
        ("pause", "FAILED_PERMANENTLY", "missed"), ("resume", "RUNNING", "reached"), ("resume", "PAUSED", "missed"),
        ("recover", "RUNNING", "reached"), ("recover", "FAILED_PERMANENTLY", "missed"),
        ("cancel-drain", "RUNNING", "reached"), ("cancel-drain", "PAUSED", "missed"), ("retry", "FAILED", "waiting"),
        ("retry", "RUNNING", "reached"), ("delete", "DRAINING", "waiting"), ("delete", "RUNNING", "missed"),
    ],
)  # fmt: skip
def test_each_command_leads_somewhere(kind: str, status: str, judged: str) -> None:
    assert verdict(kind, state(status))[0] == judged


@pytest.mark.parametrize("kind", ["create", "cancel"])
def test_some_commands_have_no_goal_but_their_outcome(kind: str) -> None:
    assert goal_of(kind, "NOT_STARTED") is None


def test_a_stream_that_is_gone_is_deleted() -> None:
    assert verdict("delete", None) == ("reached", "deleted")
    assert verdict("pause", None) == ("missed", "was deleted")


def test_a_state_older_than_the_outcome_says_nothing() -> None:
    assert verdict("start", state("NOT_STARTED", version=4)) == ("waiting", "not yet visible")
    assert verdict("start", state("NOT_STARTED", incarnation=6)) == ("waiting", "not yet visible")


def test_a_stream_that_was_made_again_is_another_one() -> None:
    assert verdict("delete", state("RUNNING", incarnation=9)) == ("reached", "deleted")
    assert verdict("pause", state("PAUSED", incarnation=9)) == ("missed", "was deleted and created again")


def test_a_failed_validation_lists_what_failed() -> None:
    goal = goal_of("start", "STARTING")
    assert goal is not None
    found = judge(goal, state("NOT_STARTED", checks=CHECKS), 7, 5)
    assert (found.kind, found.text) == ("missed", "did not pass its validation")
    assert found.details == ("FAILED: source: There is no topic. Make it. (topic.missing)",)


def test_the_progress_of_a_drain_is_told() -> None:
    draining = state("DRAINING", drain={"receipts": {"flights": {"0": {}, "2": {}}}})
    assert verdict("pause", draining) == ("waiting", "DRAINING, 2 of 3 partitions drained")


def test_recovering_a_stream_that_failed_while_draining_leads_to_paused() -> None:
    assert verdict("recover", state("PAUSED"), "DRAINING") == ("reached", "PAUSED")
    assert verdict("recover", state("DRAINING"), "DRAINING")[0] == "waiting"


def test_who_led_it_elsewhere_and_why_is_told() -> None:
    paused = state("PAUSED", last={"actor": "bob", "reason": "mainte\x1bnance"})
    assert verdict("start", paused)[1] == 'is PAUSED since 1970-01-01T00:00:00.000Z by bob ("mainte nance")'


def test_an_error_is_told_with_its_code_and_the_next_try() -> None:
    errors = {"e": {"message": "No answer.", "code": "log.unavailable", "last_seen_ms": 1, "next_retry_ms": 1_000}}
    assert verdict("start", state("FAILED", errors=errors))[1] == (
        "FAILED: No answer.; next try 1970-01-01T00:00:01.000Z"
    )
    assert verdict("start", state("FAILED_PERMANENTLY", errors=errors))[1] == (
        "is FAILED_PERMANENTLY: No answer. (log.unavailable)"
    )


@pytest.mark.parametrize(
    ("status", "revision", "judged"),
    [
        ("RUNNING", {"desired": 2, "applied": 1}, "waiting"),
        ("RUNNING", {"desired": 2, "applied": 2}, "reached"),
        ("RUNNING", {"desired": 2, "applied": 1, "rejected": 2, "checks": CHECKS}, "missed"),
        ("RUNNING", {"desired": 3, "applied": 1, "rejected": 2}, "waiting"),
        ("PAUSED", {"desired": 2, "applied": 1}, "reached"),
        ("NOT_STARTED", {"desired": 2, "applied": 0}, "reached"),
    ],
)
def test_a_modification_is_done_when_every_task_runs_it(status: str, revision: dict[str, Any], judged: str) -> None:
    assert verdict("modify", state(status, revision=revision))[0] == judged
