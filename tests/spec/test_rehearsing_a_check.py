"""A dry run of resume and recover waits for the worker's look at the positions, and nothing has happened afterwards."""

from __future__ import annotations

import pytest

from headgate.core.deadlines import deadlines
from tests.spec.story import SOURCE, Story, outcomes, transitions

BOTH = pytest.mark.parametrize(("status", "command"), [("PAUSED", "resume"), ("FAILED_PERMANENTLY", "recover")])


def _rehearsing(status: str, command: str) -> Story:
    story = Story().at(status)
    assert transitions(story.command(command, id="dry", dry_run=True)) == ["checking"]
    assert story.state["checking"]["dry_run"] and story.status == status
    assert "dry run" in story.state["conditions"]["checking"]["message"]
    return story


@BOTH
def test_it_is_answered_with_where_it_would_go_on_and_in_records(status: str, command: str) -> None:
    story = _rehearsing(status, command)
    before = story.state

    checked = story.report(
        "positions-checked",
        command_id="dry",
        passed=True,
        positions={SOURCE: {"0": 12, "1": 7}},
        reread=1_200,
        skipped=1,
    )

    assert transitions(checked) == []
    answer = next(answer for answer in outcomes(checked) if answer["input_id"] == "dry")
    assert (answer["outcome"], answer["dry_run"], answer["version"]) == ("accepted", True, None)
    assert answer["message"] == (
        "It would go on at flights[0]: 12, flights[1]: 7: 1,200 records would be read again, 1 would be skipped."
    )
    assert story.state == {**before, "checking": None, "conditions": {}, "inputs": story.state["inputs"]} | {
        "due_ms": None
    }
    assert "dry" not in {memory["id"] for memory in story.state["commands"]}


@BOTH
def test_positions_that_are_gone_refuse_it_with_the_command_that_would_accept_the_gap(
    status: str, command: str
) -> None:
    story = _rehearsing(status, command)
    checked = story.report("positions-checked", command_id="dry", passed=False, gap=15, message="15 are gone.")
    answer = next(answer for answer in outcomes(checked) if answer["input_id"] == "dry")
    assert (answer["outcome"], answer["dry_run"], answer["gap"]) == ("refused", True, 15)
    assert f"`headgate {command} departures --at earliest`" in answer["hint"]
    assert story.status == status and story.state["checking"] is None


@BOTH
def test_nobody_who_looks_is_said_after_a_bound(status: str, command: str) -> None:
    story = _rehearsing(status, command)
    (deadline,) = deadlines(story.state)
    late = story.report("deadline-passed", worker=None, deadline="check", due_ms=deadline.due_ms, command_id="dry")
    answer = next(answer for answer in outcomes(late) if answer["input_id"] == "dry")
    assert (answer["outcome"], answer["code"], answer["dry_run"]) == ("refused", "command.check_timeout", True)


@BOTH
def test_the_command_itself_does_not_wait_for_its_rehearsal(status: str, command: str) -> None:
    story = _rehearsing(status, command)
    real = story.command(command, id="real")
    (superseded,) = outcomes(real)
    assert (superseded["input_id"], superseded["code"], superseded["dry_run"]) == ("dry", "command.superseded", True)
    assert story.state["checking"]["command_id"] == "real" and not story.state["checking"]["dry_run"]
    assert outcomes(story.command(command, id="dry2", dry_run=True))[0]["code"] == "command.check_pending"

    checked = story.report(
        "positions-checked", command_id="real", passed=True, positions={SOURCE: {"0": 1}}, reread=1, skipped=0
    )
    answer = next(answer for answer in outcomes(checked) if answer["input_id"] == "real")
    assert answer["message"] == "1 record is read again, 0 are skipped."
    assert story.status == "RUNNING" and answer["version"] == story.state["version"]


def test_deleting_answers_the_rehearsal_too() -> None:
    story = _rehearsing("PAUSED", "resume")
    answers = {answer["input_id"]: answer for answer in outcomes(story.command("delete", id="now"))}
    assert answers["dry"]["code"] == "command.superseded" and answers["dry"]["dry_run"] is True
