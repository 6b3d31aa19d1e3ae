"""One partition that fails does not stop the others, the stream shows which, and only a person ends it."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.core.evolve import ERRORS_MAX
from headgate.ports.log import TopicPartition
from headgate.worker.view import view_of
from tests.spec.story import SOURCE, Story, carrying_on, config, error, outcomes, transitions


def _lost(partition: int = 0, error_id: str = "p", **more: Any) -> dict[str, Any]:
    return error(recoverable=False, error_id=f"{error_id}{partition}", topic=SOURCE, partition=partition, **more)


@pytest.mark.parametrize("status", ["RUNNING", "FAILED"])
def test_an_error_of_one_partition_keeps_the_epoch_and_the_tasks(status: str) -> None:
    story = Story().at(status)
    epoch, tasks = story.state["epoch"], story.state["tasks"]

    story.report("error-raised", error=_lost(offset=7))

    assert (story.status, story.state["epoch"], story.state["tasks"]) == ("FAILED_PERMANENTLY", epoch, tasks)
    view = view_of(story.state)
    assert view.wants_tasks and view.runs and view.carries_on and not view.drains
    assert view.failed == {TopicPartition(SOURCE, 0)} and view.unrecoverable == {"p0"}


def test_a_second_partition_that_fails_is_noted_beside_the_first() -> None:
    story = carrying_on()
    assert transitions(story.report("error-raised", worker="w2", error=_lost(1, worker="w2"))) == ["error-noted"]
    assert view_of(story.state).failed == {TopicPartition(SOURCE, 0), TopicPartition(SOURCE, 1)}


@pytest.mark.parametrize("status", ["RUNNING", "FAILED"])
def test_an_error_without_a_partition_stops_everything(status: str) -> None:
    story = Story().at(status)
    story.report("error-raised", error=error(recoverable=False))
    assert story.state["epoch"] == story.state["version"] and story.state["tasks"] == {}
    assert not view_of(story.state).wants_tasks and not story.state["carries_on"]


def test_an_error_without_a_partition_stops_what_still_carried_on() -> None:
    story = carrying_on()
    folded = story.report("error-raised", error=error(recoverable=False, error_id="gone"))
    assert transitions(folded) == ["stream-failed-permanently"]
    assert story.state["epoch"] == story.state["version"] and story.state["tasks"] == {}
    assert set(story.state["errors"]) == {"p0", "gone"} and not view_of(story.state).wants_tasks


def test_a_stream_that_does_not_isolate_stops_with_its_first_partition() -> None:
    story = Story()
    story.command("create", config=config(isolate="stream"))
    story.command("start")
    story.report("validation-passed", revision=1, partitions={SOURCE: 2}, positions={})
    story.report("task-started", revision=1)
    story.report("error-raised", error=_lost())
    assert story.state["tasks"] == {} and not view_of(story.state).runs


def test_a_drain_is_stopped_by_one_partition_since_it_could_never_be_complete() -> None:
    story = Story().at("DRAINING")
    story.report("error-raised", error=_lost())
    assert story.status == "FAILED_PERMANENTLY" and story.state["tasks"] == {} and not story.state["carries_on"]


def test_no_report_ends_an_error_that_only_a_person_can_end() -> None:
    story = carrying_on()
    (answer,) = outcomes(story.report("error-cleared", error_id="p0"))
    assert answer["outcome"] == "without_effect" and "recovers" in answer["message"]
    story.report("task-started", worker="w2", revision=1)
    story.report("worker-silent", worker=None, lost="w1")
    assert set(story.state["errors"]) == {"p0"} and story.status == "FAILED_PERMANENTLY"
    assert set(story.state["tasks"]) == {"w2"}, "the heir knows which partition stands still"


def test_what_passes_by_itself_comes_and_goes_beside_it() -> None:
    story = carrying_on()
    story.report("error-raised", error=error(error_id="slow"))
    assert set(story.state["errors"]) == {"p0", "slow"}
    story.report("error-cleared", error_id="slow")
    assert set(story.state["errors"]) == {"p0"} and story.status == "FAILED_PERMANENTLY"


def test_a_new_source_restarts_the_tasks_of_a_stream_that_carries_on() -> None:
    story = carrying_on()
    (record, _) = story.command("modify", config=config(destination={"kind": "kafka", "topic": "other"})).records
    assert record.payload["restart"] and story.state["epoch"] == story.state["version"]
    story.report("task-started", revision=2)
    assert set(story.state["errors"]) == {"p0"} and view_of(story.state).runs


def test_isolating_no_longer_stops_what_carried_on() -> None:
    story = carrying_on()
    story.command("modify", config=config(isolate="stream"))
    assert story.state["epoch"] == story.state["version"] and story.state["tasks"] == {}
    assert not view_of(story.state).wants_tasks


def test_recover_runs_every_partition_again_under_a_new_epoch() -> None:
    story = carrying_on()
    story.command("recover", id="r")
    story.report("positions-checked", command_id="r", passed=True, positions={SOURCE: {"0": 5}})
    assert story.status == "RUNNING" and story.state["errors"] == {} and not story.state["carries_on"]
    assert story.state["started_epoch"] == story.state["epoch"] == story.state["version"]


def test_deleting_a_stream_that_carries_on_has_its_tasks_fenced() -> None:
    story = carrying_on()
    story.command("delete")
    assert "fence_pending" in story.state["conditions"] and not story.state["carries_on"]


def test_unassigned_holds_while_it_carries_on_and_ends_when_it_is_stopped() -> None:
    story = carrying_on()
    story.report("condition-raised", condition="unassigned", worker=None)
    assert "unassigned" in story.state["conditions"]
    story.report("error-raised", error=error(recoverable=False, error_id="gone"))
    assert story.state["conditions"] == {}
    assert outcomes(story.report("condition-raised", condition="unassigned"))[0]["outcome"] == "without_effect"


def test_the_errors_that_name_failed_partitions_are_the_last_to_be_forgotten() -> None:
    story = carrying_on()
    for number in range(ERRORS_MAX + 3):
        story.report("error-raised", error=error(error_id=f"n{number}"))
    assert len(story.state["errors"]) == ERRORS_MAX and "p0" in story.state["errors"]
