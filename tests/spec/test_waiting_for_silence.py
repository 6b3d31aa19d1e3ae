"""Commands that wait for a time of idleness, and auto-pause: what pauses by itself, what wakes it, what never does."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.core.decider import Folded
from headgate.core.evolve import refold
from tests.spec.story import SOURCE, Story, config, drained, error, outcomes, receipt, started, transitions

ENDS = {SOURCE: {"0": 10, "1": 11}}


def running(**changes: Any) -> Story:
    story = Story()
    story.command("create", config=config(**changes))
    story.command("start")
    started(story)
    return story


def with_auto_pause() -> Story:
    return running(idleness={"auto_pause_after_s": 60.0})


def silent(story: Story) -> Folded:
    return story.report("silence-reached", worker=None, ends=ENDS)


def moved(story: Story) -> Folded:
    where = {SOURCE: {"0": 10, "1": 10}}
    return story.report("source-moved", worker=None, positions=where, message="flights[1] moved from 11 to 12.")


def asleep() -> Story:
    story = with_auto_pause()
    silent(story)
    drained(story)
    assert story.status == "PAUSED"
    return story


def test_a_command_for_a_time_of_idleness_waits_visibly_and_drains_before_it_deletes() -> None:
    story = running()
    assert transitions(story.command("delete", id="d", drain=True, idle_for_s=600)) == ["scheduled"]
    pending = story.state["scheduled"]["d"]
    assert (pending["when_idle"], pending["idle_for_ms"]) == (True, 600_000)
    assert pending["payload"] == {"kind": "delete", "drain": True}

    folded = story.report("idle-reached", worker=None, command_id="d")
    assert transitions(folded) == ["stream-draining"]
    assert [answer["outcome"] for answer in outcomes(folded)] == ["accepted", "accepted"]
    assert (story.status, story.state["drain"]["then"], story.state["scheduled"]) == ("DRAINING", "deleted", {})
    drained(story)
    assert story.status == "DELETED"


def test_what_waits_for_a_time_of_idleness_can_be_cancelled_and_rehearsed() -> None:
    story = running()
    (dry,) = outcomes(story.command("delete", drain=True, idle_for_s=600, dry_run=True))
    assert (dry["outcome"], dry["message"]) == ("accepted", "It would be scheduled and decided when due.")
    story.command("delete", id="d", drain=True, idle_for_s=600)
    story.command("cancel", command_id="d")
    (late,) = outcomes(story.report("idle-reached", worker=None, command_id="d"))
    assert (late["outcome"], story.status) == ("without_effect", "RUNNING")


@pytest.mark.parametrize("when", [{"when_idle": True}, {"idle_for_s": 5}])
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"idleness": {"markers": "off"}}, "its markers are off (idleness.markers)"),
        ({"source": {"kind": "ticker"}}, "its source is of the kind ticker"),
    ],
)
def test_nothing_waits_for_an_idleness_that_can_never_be_said(
    when: dict[str, Any], changes: dict[str, Any], why: str
) -> None:
    story = running(**changes)
    for later in ({}, {"not_before": "2199-01-01T00:00:00Z"}):
        (answer,) = outcomes(story.command("pause", **when, **later))
        assert (answer["outcome"], answer["code"]) == ("refused", "stream.never_idle")
        assert answer["message"].startswith(f"departures is never said to be idle: {why}")
        assert answer["hint"]


def test_a_silence_pauses_by_a_drain_with_receipts_in_the_name_of_auto_pause() -> None:
    story = with_auto_pause()
    before = story.state["epoch"]
    assert transitions(silent(story)) == ["stream-draining"]
    assert (story.status, story.state["drain"]["silence"]) == ("DRAINING", ENDS)
    assert story.state["epoch"] > before, "the tasks are told to drain"
    folded = drained(story)
    assert transitions(folded) == ["partition-drained", "stream-paused"]
    last = story.state["last"]
    assert (last["actor"], last["reason"]) == (
        "auto-pause",
        "Idle for 60 s; it goes on when its source moves.",
    )
    assert story.state["tasks"] == {}
    assert refold(story.history) == story.state


def test_the_source_that_moves_wakes_the_stream_where_it_stood() -> None:
    story = asleep()
    assert transitions(moved(story)) == ["stream-resumed"]
    assert (story.status, story.state["positions"]) == ("RUNNING", {SOURCE: {"0": 10, "1": 10}})
    assert (story.state["last"]["actor"], story.state["last"]["reason"]) == (
        "auto-pause",
        "flights[1] moved from 11 to 12.",
    )
    assert story.state["drain"] is None
    assert refold(story.history) == story.state
    assert outcomes(moved(story))[0]["outcome"] == "without_effect", "said twice"


def test_a_stream_that_a_person_paused_is_never_woken() -> None:
    story = with_auto_pause()
    story.command("pause")
    drained(story)
    (answer,) = outcomes(moved(story))
    assert (answer["outcome"], answer["message"]) == ("without_effect", "It was not auto-pause that paused it.")
    assert story.status == "PAUSED"


@pytest.mark.parametrize("draining", [True, False])
def test_a_person_takes_the_pause_over_and_then_it_is_never_woken(draining: bool) -> None:
    story = with_auto_pause()
    silent(story)
    if not draining:
        drained(story)
    folded = story.command("pause", reason="stays off")
    assert (transitions(folded), outcomes(folded)[0]["outcome"]) == (["pause-kept"], "accepted")
    assert (story.state["last"]["actor"], story.state["last"]["reason"]) == ("ada@example", "stays off")
    if draining:
        drained(story)
    assert story.status == "PAUSED"
    assert outcomes(moved(story))[0]["outcome"] == "without_effect"
    (again,) = outcomes(story.command("pause"))
    assert (again["outcome"], again["code"], again["hint"]) == ("refused", "stream.is_paused", "It is paused already.")
    assert refold(story.history) == story.state


def test_a_forced_pause_in_the_middle_of_an_auto_pause_is_a_persons() -> None:
    story = with_auto_pause()
    silent(story)
    story.command("pause", force=True)
    story.report("fenced")
    assert outcomes(moved(story))[0]["outcome"] == "without_effect"
    assert story.status == "PAUSED"


def test_an_auto_pause_that_failed_and_was_recovered_is_a_persons() -> None:
    story = with_auto_pause()
    silent(story)
    story.report("error-raised", error=error(recoverable=False))
    story.command("recover", id="r")
    story.report("positions-checked", command_id="r", passed=True, positions={})
    assert story.status == "DRAINING"
    drained(story)
    assert outcomes(moved(story))[0]["outcome"] == "without_effect"


def test_the_drain_of_an_auto_pause_is_cancelled_and_its_pause_resumed_like_any_other() -> None:
    story = with_auto_pause()
    silent(story)
    story.command("cancel-drain")
    assert (story.status, story.state["drain"]) == ("RUNNING", None)
    asleep_by_now = asleep()
    asleep_by_now.command("resume", id="r")
    (checking,) = outcomes(moved(asleep_by_now))
    assert (checking["outcome"], checking["message"]) == ("without_effect", "A command is being checked.")
    asleep_by_now.report("positions-checked", command_id="r", passed=True, positions={})
    assert (asleep_by_now.status, asleep_by_now.state["last"]["actor"]) == ("RUNNING", "ada@example")


def test_a_stream_whose_auto_pause_is_off_or_for_whose_idleness_a_command_waits_is_not_paused() -> None:
    (off,) = outcomes(silent(running()))
    assert (off["outcome"], off["message"]) == ("without_effect", "Auto-pause is off.")
    story = with_auto_pause()
    story.command("delete", id="d", drain=True, idle_for_s=600)
    assert outcomes(silent(story))[0]["outcome"] == "without_effect"
    story.command("cancel", command_id="d")
    assert transitions(silent(story)) == ["stream-draining"]


def test_switching_auto_pause_off_leaves_no_stream_asleep() -> None:
    story = asleep()
    story.command("modify", config=config())
    moved(story)
    assert story.status == "RUNNING"


def test_a_delete_with_a_drain_takes_an_auto_pause_over() -> None:
    story = with_auto_pause()
    silent(story)
    story.command("delete", drain=True)
    assert "silence" not in story.state["drain"]
    story.report("source-listed", partitions={SOURCE: 1})
    story.report("partition-drained", receipt=receipt())
    assert story.status == "DELETED"
