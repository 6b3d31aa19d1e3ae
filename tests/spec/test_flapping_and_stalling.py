"""Flapping comes and goes by the times of changes, and a drain that moves again is no longer stalled."""

from __future__ import annotations

from headgate.core.deadlines import deadlines
from headgate.core.evolve import refold
from headgate_events.codec import encode
from tests.spec.story import SOURCE, Story, config, error, outcomes, receipt, started, transitions

FLAPPING = config(flapping={"changes": 3, "minutes": 1.0})


def _running() -> Story:
    story = Story()
    story.command("create", config=FLAPPING)
    story.command("start")
    started(story)
    return story


def _fails_and_runs(story: Story, times: int) -> list[str]:
    found = []
    for number in range(times):
        found += transitions(story.report("error-raised", error=error(error_id=f"e{number}")))
        found += transitions(story.report("error-cleared", error_id=f"e{number}"))
    return found


def test_a_stream_that_changes_too_often_by_itself_flaps() -> None:
    story = _running()
    assert "condition-raised" not in _fails_and_runs(story, 1)
    assert _fails_and_runs(story, 1) == ["stream-failed", "error-cleared", "condition-raised"]
    held = story.state["conditions"]["flapping"]
    assert held["message"] == "The status changed more than 3 times within 1 minute, by itself."
    assert [deadline.kind for deadline in deadlines(story.state)] == ["flapping"]


def test_what_people_ask_for_is_never_flapping() -> None:
    story = _running()
    for _ in range(5):
        story.command("pause")
        story.command("cancel-drain")
    assert story.state["changes_ms"] == [] and story.state["conditions"] == {}


def test_changes_that_lie_far_apart_are_not_flapping() -> None:
    story = _running()
    for _ in range(6):
        _fails_and_runs(story, 1)
        story.now_ms += 60_000
    assert story.state["conditions"] == {} and len(story.state["changes_ms"]) <= 4


def test_it_ends_at_a_time_that_was_known_and_later_when_it_went_on() -> None:
    story = _running()
    _fails_and_runs(story, 2)
    (first,) = deadlines(story.state)
    _fails_and_runs(story, 1)
    story.now_ms = first.due_ms + 500
    again = story.report("deadline-passed", worker=None, deadline="flapping", due_ms=first.due_ms)
    assert transitions(again) == ["condition-raised"]
    (second,) = deadlines(story.state)
    assert second.due_ms > first.due_ms
    stale = story.report("deadline-passed", worker=None, deadline="flapping", due_ms=first.due_ms)
    assert outcomes(stale)[0]["outcome"] == "without_effect"

    ended = story.report("deadline-passed", worker=None, deadline="flapping", due_ms=second.due_ms)

    assert transitions(ended) == ["condition-cleared"] and story.state["conditions"] == {}
    assert encode(refold(story.history)) == encode(story.state)


def test_a_flapping_stream_that_fails_for_good_still_says_that_it_flapped() -> None:
    story = _running()
    _fails_and_runs(story, 2)
    story.report("error-raised", error=error(recoverable=False))
    assert story.status == "FAILED_PERMANENTLY" and set(story.state["conditions"]) == {"flapping"}


def test_a_stalled_drain_that_moves_again_is_not_stalled_and_has_a_new_deadline() -> None:
    story = Story().at("DRAINING")
    (deadline,) = deadlines(story.state)
    story.report("deadline-passed", worker=None, deadline="drain", due_ms=deadline.due_ms)
    story.report("source-listed", partitions={SOURCE: 2})
    assert set(story.state["conditions"]) == {"stalled"}

    moved = story.report("partition-drained", receipt=receipt(0))

    assert transitions(moved) == ["partition-drained", "condition-cleared"]
    assert story.state["conditions"] == {}
    (later,) = deadlines(story.state)
    assert later.due_ms == story.now_ms + 300_000
    done = story.report("partition-drained", receipt=receipt(1))
    assert transitions(done) == ["partition-drained", "stream-paused"] and story.state["conditions"] == {}


def test_a_risk_is_said_again_only_in_other_words_and_since_when_it_began() -> None:
    story = Story().at("PAUSED")
    story.report("condition-raised", condition="position_at_risk", message="About 12 h left.")
    since_ms = story.state["conditions"]["position_at_risk"]["since_ms"]
    same = story.report("condition-raised", condition="position_at_risk", message="About 12 h left.")
    assert outcomes(same)[0]["outcome"] == "without_effect"
    story.report("condition-raised", condition="position_at_risk", message="About 6 h left.")
    held = story.state["conditions"]["position_at_risk"]
    assert (held["message"], held["since_ms"]) == ("About 6 h left.", since_ms)
    story.report("condition-cleared", condition="position_at_risk")
    assert story.state["conditions"] == {}
