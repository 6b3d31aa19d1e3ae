"""The ends of a bounded stream stand in the state from its first start on, and nobody moves them unseen."""

from __future__ import annotations

from typing import Any

import pytest

from headgate_events.schema.common import MAX_TIME_MS
from tests.spec.story import SOURCE, Story, config, drained, outcomes

ENDS = {SOURCE: {"0": 7, "1": 0}}


def bounded(until: Any = "end", **more: Any) -> dict[str, Any]:
    return config(source={"kind": "kafka", "topic": SOURCE, "until": until, **more})


def running(until: Any = "end") -> Story:
    story = Story()
    story.command("create", config=bounded(until))
    story.command("start")
    story.report(
        "validation-passed",
        revision=1,
        partitions={SOURCE: 2},
        positions={SOURCE: {"0": 0, "1": 0}},
        ends=ENDS,
    )
    assert story.status == "RUNNING"
    return story


def test_the_ends_that_were_found_at_the_start_survive_a_pause_and_a_resume() -> None:
    story = running()
    assert story.state is not None and story.state["ends"] == ENDS
    story.command("pause")
    drained(story)
    story.command("resume", id="on")
    story.report("positions-checked", command_id="on", passed=True, positions={SOURCE: {"0": 7}})
    assert story.status == "RUNNING"
    assert story.state["ends"] == ENDS


def test_a_stream_without_an_end_has_none_in_its_state() -> None:
    assert "ends" not in (Story().at("RUNNING").state or {})


@pytest.mark.parametrize("until", ["end", {"timestamp_ms": 5}, {"timestamp_ms": MAX_TIME_MS}])
def test_an_end_that_would_have_to_be_found_anew_is_refused_once_the_stream_has_started(until: Any) -> None:
    story = Story().at("RUNNING")
    before = story.state
    (answer,) = outcomes(story.command("modify", config=bounded(until)))
    assert (answer["outcome"], answer["code"]) == ("refused", "source.until_stays")
    assert story.state is not None and before is not None and story.state["version"] == before["version"]


def test_the_source_of_a_stream_cannot_be_changed_under_an_end_that_was_found_in_it() -> None:
    story = running()
    (answer,) = outcomes(story.command("modify", config=bounded(topic="others")))
    assert answer["code"] == "source.until_stays"


@pytest.mark.parametrize("until", [None, {"offsets": {SOURCE: {"0": 9}}}])
def test_an_end_can_be_taken_away_or_given_as_offsets_at_any_time(until: Any) -> None:
    story = running()
    (answer,) = outcomes(story.command("modify", config=bounded(until)))
    assert answer["outcome"] == "accepted"
    assert story.state is not None and story.state["config"]["source"]["until"] == until


def test_other_settings_of_a_bounded_stream_can_be_changed() -> None:
    story = running()
    changed = {**bounded(), "commit_interval_ms": 50}
    (answer,) = outcomes(story.command("modify", config=changed))
    assert answer["outcome"] == "accepted"


def test_before_the_start_everything_about_the_end_can_be_changed() -> None:
    story = Story().at("NOT_STARTED")
    (answer,) = outcomes(story.command("modify", config=bounded({"timestamp_ms": 5})))
    assert answer["outcome"] == "accepted"


def test_a_definition_from_before_there_were_ends_is_no_reason_to_restart() -> None:
    story = Story().at("RUNNING")
    assert story.state is not None
    old = {name: value for name, value in story.state["config"]["source"].items() if name != "until"}
    story.state = {**story.state, "config": {**story.state["config"], "source": old}}
    folded = story.command("modify", config={**config(), "commit_interval_ms": 50})
    (modified,) = [record.payload for record in folded.records if record.kind == "stream-modified"]
    assert modified["restart"] is False
