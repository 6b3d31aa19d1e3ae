"""Idempotence, expected versions, waiting commands, incarnations, epochs, revisions: what the tables do not show."""

from __future__ import annotations

import pytest

from headgate.core.deadlines import deadlines, next_due_ms
from headgate.core.decider import DEFAULT_POLICY, fold, forwarded, refuse_unreadable
from headgate.core.evolve import COMMAND_WINDOW, ERRORS_MAX
from headgate.core.revisions import in_effect
from headgate_events.chain import digest, find_break
from headgate_events.codec import validate
from headgate_events.records import Unreadable
from tests.spec.story import SOURCE, Story, config, drained, error, outcomes, receipt, transitions, validated


def test_a_command_repeated_with_its_id_gets_the_same_outcome_and_no_second_transition() -> None:
    story = Story().at("NOT_STARTED")
    first = outcomes(story.command("start", id="s"))[0]
    again = story.command("start", id="s")

    assert transitions(again) == []
    (answer,) = outcomes(again)
    assert answer["repeated"] is True
    assert [answer[key] for key in ("outcome", "version", "code")] == [
        first[key] for key in ("outcome", "version", "code")
    ]


def test_a_refused_command_repeated_with_its_id_is_refused_again_although_it_would_be_possible_now() -> None:
    story = Story().at("NOT_STARTED")
    story.command("pause", id="p")
    story.command("start")
    validated(story)

    (answer,) = outcomes(story.command("pause", id="p"))

    assert (answer["outcome"], answer["code"], story.status) == ("refused", "stream.is_not_started", "RUNNING")


def test_a_dry_run_with_the_id_of_a_command_that_waits_takes_nothing_of_it_away() -> None:
    story = Story().at("PAUSED")
    story.command("resume", id="r")
    (answer,) = outcomes(story.command("pause", id="r", dry_run=True))
    assert (answer["code"], answer["repeated"], answer["dry_run"]) == ("command.pending", True, True)
    assert story.state["checking"]["command_id"] == "r"
    story.report("positions-checked", command_id="r", passed=True)
    assert story.status == "RUNNING"


def test_ids_are_remembered_for_a_bounded_window_of_commands() -> None:
    story = Story().at("NOT_STARTED")
    story.command("pause", id="old")
    for _ in range(COMMAND_WINDOW):
        story.command("pause")

    assert len(story.state["commands"]) == COMMAND_WINDOW
    assert outcomes(story.command("pause", id="old"))[0]["repeated"] is False


def test_an_input_that_was_folded_already_yields_nothing() -> None:
    story = Story().at("RUNNING")
    for item in story.inputs:
        again = fold(story.state, item)
        assert again.records == () and again.changed is False and again.state is story.state


@pytest.mark.parametrize("expected", [0, 3, 5, 99])
def test_a_command_with_another_expected_version_is_refused(expected: int) -> None:
    story = Story().at("RUNNING")
    assert story.state["version"] == 4

    (answer,) = outcomes(story.command("pause", expect=expected))

    assert (answer["outcome"], answer["code"], story.status) == ("refused", "stream.version_mismatch", "RUNNING")


def test_the_expected_version_of_a_stream_that_does_not_exist_is_zero() -> None:
    assert outcomes(Story().command("create", expect=1))[0]["code"] == "stream.version_mismatch"
    assert outcomes(Story().command("create", expect=0))[0]["outcome"] == "accepted"


def test_a_scheduled_command_is_decided_when_its_time_has_come_on_behalf_of_who_sent_it() -> None:
    story = Story().at("RUNNING")
    story.command("pause", id="later", not_before="2199-01-01T00:00:00Z", reason="maintenance")
    (deadline,) = deadlines(story.state)

    due = story.report(
        "deadline-passed", worker=None, deadline="not_before", due_ms=deadline.due_ms, command_id=deadline.command_id
    )

    draining = due.records[0].payload
    assert (draining["kind"], draining["actor"], draining["reason"]) == (
        "stream-draining",
        "ada@example",
        "maintenance",
    )
    answers = {answer["input_id"]: answer for answer in outcomes(due)}
    assert answers["later"]["outcome"] == "accepted"
    assert answers["later"]["decided_by"]["topic"] == "headgate.reports"
    assert story.status == "DRAINING" and story.state["scheduled"] == {} and next_due_ms(story.state) is not None


def test_a_scheduled_command_that_is_not_possible_when_due_is_refused_then() -> None:
    story = Story().at("RUNNING")
    story.command("resume", id="later", not_before="2199-01-01T00:00:00Z")
    (deadline,) = deadlines(story.state)

    due = story.report(
        "deadline-passed", worker=None, deadline="not_before", due_ms=deadline.due_ms, command_id="later"
    )

    answer = next(answer for answer in outcomes(due) if answer["input_id"] == "later")
    assert (answer["outcome"], answer["code"]) == ("refused", "stream.is_running")
    assert story.state["scheduled"] == {}


def test_a_time_that_has_passed_already_does_not_make_a_command_wait() -> None:
    story = Story().at("RUNNING")
    assert transitions(story.command("pause", not_before="1970-01-01T00:00:01Z")) == ["stream-draining"]


def test_a_command_that_waits_for_time_and_idleness_waits_for_both() -> None:
    story = Story().at("RUNNING")
    story.command("pause", id="later", not_before="2199-01-01T00:00:00Z", when_idle=True)
    early = story.report("idle-reached", worker=None, command_id="later")
    assert outcomes(early)[0]["outcome"] == "without_effect"

    (deadline,) = deadlines(story.state)
    story.report("deadline-passed", worker=None, deadline="not_before", due_ms=deadline.due_ms, command_id="later")
    assert story.status == "RUNNING" and story.state["scheduled"]["later"]["not_before_ms"] is None

    story.report("idle-reached", worker=None, command_id="later")
    assert story.status == "DRAINING"


def test_a_waiting_command_can_be_cancelled_and_both_get_their_answer() -> None:
    story = Story().at("RUNNING")
    story.command("pause", id="later", when_idle=True)

    answers = {answer["input_id"]: answer for answer in outcomes(story.command("cancel", id="c", command_id="later"))}

    assert (answers["later"]["outcome"], answers["later"]["code"]) == ("refused", "command.cancelled")
    assert answers["c"]["outcome"] == "accepted" and story.state["scheduled"] == {}


def test_a_resend_of_a_waiting_command_says_that_it_waits() -> None:
    story = Story().at("PAUSED")
    story.command("resume", id="r")
    (answer,) = outcomes(story.command("resume", id="r"))
    assert (answer["outcome"], answer["code"], answer["repeated"]) == ("without_effect", "command.pending", True)


def test_only_so_many_commands_can_wait() -> None:
    story = Story().at("RUNNING")
    for _ in range(DEFAULT_POLICY.scheduled_max):
        story.command("pause", when_idle=True)
    assert outcomes(story.command("pause", when_idle=True))[0]["code"] == "command.too_many_scheduled"


def test_deleting_a_stream_refuses_what_still_waited() -> None:
    story = Story().at("PAUSED")
    story.command("resume", id="checked")
    story.command("delete", id="later", not_before="2199-01-01T00:00:00Z")

    answers = {answer["input_id"]: answer["code"] for answer in outcomes(story.command("delete", id="now"))}

    assert answers == {"checked": "command.superseded", "later": "command.superseded", "now": None}


def test_a_resume_whose_positions_are_lost_is_refused_with_the_size_of_the_gap() -> None:
    story = Story().at("PAUSED")
    story.command("resume", id="r")

    checked = story.report("positions-checked", command_id="r", passed=False, gap=42, message="42 records are gone.")

    answer = next(answer for answer in outcomes(checked) if answer["input_id"] == "r")
    assert (answer["outcome"], answer["code"], answer["gap"]) == ("refused", "position.lost", 42)
    assert story.status == "PAUSED" and story.state["checking"] is None and story.state["conditions"] == {}


def test_a_check_that_no_worker_answers_is_refused_after_a_bound() -> None:
    story = Story().at("PAUSED")
    story.command("resume", id="r")
    (deadline,) = deadlines(story.state)

    late = story.report("deadline-passed", worker=None, deadline="check", due_ms=deadline.due_ms, command_id="r")

    assert {answer["code"] for answer in outcomes(late)} == {"command.check_timeout", None}
    assert outcomes(story.command("resume", id="r2")) == []


def test_a_second_check_at_the_same_time_is_refused() -> None:
    story = Story().at("PAUSED")
    story.command("resume", id="r")
    assert outcomes(story.command("resume", id="r2"))[0]["code"] == "command.check_pending"


def test_a_recreated_name_is_another_incarnation_and_inherits_nothing_but_the_memory_of_commands() -> None:
    story = Story().at("DELETED")
    first, head = story.state["incarnation"], story.state["head"]

    created = story.command("create", id="again", config=config(parallelism=3)).records[0].payload

    assert story.state["incarnation"] > first
    assert (created["version"], created["previous"], created["from_status"]) == (1, head, None)
    assert story.status == "NOT_STARTED" and story.state["positions"] == {} and story.state["tasks"] == {}
    assert "create-commands-0" in {memory["id"] for memory in story.state["commands"]}
    (answer,) = outcomes(story.report("task-started", incarnation=first, revision=1))
    assert answer["code"] == "report.other_incarnation"


def test_a_deleted_stream_is_remembered_and_then_forgotten() -> None:
    story = Story().at("DELETED")
    (deadline,) = deadlines(story.state)
    assert deadline.kind == "forget"

    last = story.report("deadline-passed", worker=None, deadline="forget", due_ms=deadline.due_ms)

    assert transitions(last) == ["stream-forgotten"] and last.changed and story.state is None


def test_epochs_fence_every_start_and_stop_and_only_those() -> None:
    story, epochs = Story(), []
    for step in (
        lambda: story.command("create"),
        lambda: story.command("start"),
        lambda: validated(story),
        lambda: story.report("task-started", revision=1),
        lambda: story.command("modify", config=config(commit_interval_ms=7)),
        lambda: story.command("modify", config=config(parallelism=4)),
        lambda: story.report("error-raised", error=error()),
        lambda: story.report("error-cleared", error_id="e1"),
        lambda: story.command("pause"),
        lambda: story.command("cancel-drain"),
    ):
        step()
        epochs.append(story.state["epoch"])
    assert epochs == [1, 2, 3, 3, 3, 6, 6, 6, 9, 10]


def test_a_live_modify_keeps_the_tasks_and_a_new_source_restarts_them() -> None:
    story = Story().at("RUNNING")
    live = story.command("modify", config=config(commit_interval_ms=7)).records[0].payload
    restarting = story.command("modify", config=config(source={"topic": "other"})).records[0].payload

    assert (live["restart"], restarting["restart"]) == (False, True)
    assert story.state["revision"]["desired"] == 3 and story.state["restart_version"] == restarting["version"]
    assert story.state["started_epoch"] < story.state["epoch"], "positions stay: only the tasks restart"


def test_the_applied_revision_is_that_of_the_slowest_task() -> None:
    story = Story().at("RUNNING")
    story.command("modify", config=config(commit_interval_ms=7))
    story.report("task-started", worker="w2", revision=2)
    assert story.state["revision"]["applied"] == 1
    story.report("task-started", worker="w1", revision=2)
    assert story.state["revision"]["applied"] == 2


@pytest.mark.parametrize("gone", ["task-stopped", "worker-silent"])
def test_a_worker_that_is_gone_no_longer_holds_the_applied_revision_back(gone: str) -> None:
    story = Story().at("RUNNING")
    story.report("task-started", worker="w2", revision=1)
    story.command("modify", config=config(commit_interval_ms=200))
    story.report("task-started", worker="w2", revision=2)
    assert story.state["revision"]["applied"] == 1
    story.report(gone, **({"worker": None, "lost": "w1"} if gone == "worker-silent" else {"worker": "w1"}))
    assert (list(story.state["tasks"]), story.state["revision"]["applied"]) == (["w2"], 2)


def test_modifying_a_stream_to_what_it_is_has_no_effect() -> None:
    story = Story().at("RUNNING")
    (answer,) = outcomes(story.command("modify", config=config()))
    assert (answer["outcome"], answer["code"]) == ("without_effect", "stream.unchanged")


def test_a_revision_modified_while_starting_is_validated_afresh() -> None:
    story = Story().at("STARTING")
    epoch = story.state["epoch"]
    story.command("modify", config=config(commit_interval_ms=7))

    assert story.state["epoch"] > epoch
    (answer,) = outcomes(story.report("validation-passed", revision=1))
    assert answer["outcome"] == "without_effect" and story.status == "STARTING"
    validated(story)
    assert story.status == "RUNNING"


def test_paused_is_said_only_when_every_listed_partition_has_its_receipt() -> None:
    story = Story().at("DRAINING")
    story.report("partition-drained", receipt=receipt(0))
    story.report("partition-drained", receipt=receipt(1))
    assert story.status == "DRAINING", "nobody has listed the source in this epoch yet"
    story.report("source-listed", partitions={SOURCE: 3})
    assert story.status == "DRAINING", "the source has gained a partition"
    story.report("partition-drained", receipt=receipt(2))
    assert story.status == "PAUSED"


def test_running_and_paused_name_the_person_who_asked_and_why_although_a_worker_completed_them() -> None:
    story = Story().at("NOT_STARTED")
    story.command("start", reason="go live")
    validated(story)
    assert (story.state["last"]["actor"], story.state["last"]["reason"]) == ("ada@example", "go live")
    story.command("pause", reason="maintenance")
    paused = drained(story, 2).records[-2].payload
    assert (paused["kind"], paused["actor"], paused["reason"]) == ("stream-paused", "ada@example", "maintenance")
    assert paused["cause"]["type"] == "headgate.report.partition-drained.v1"
    assert story.state["last"]["reason"] == "maintenance"
    story.command("resume", id="r")
    story.report("positions-checked", command_id="r", passed=True)
    story.report("error-raised", error=error())
    assert story.state["last"]["actor"] == "worker:w1"


def test_a_source_without_partitions_drains_at_once() -> None:
    story = Story().at("DRAINING")
    story.report("source-listed", partitions={SOURCE: 0})
    assert story.status == "PAUSED"


def test_a_later_receipt_replaces_one_that_ends_earlier_and_never_the_other_way_round() -> None:
    story = Story().at("DRAINING")
    story.report("partition-drained", receipt=receipt(0, end=10))
    story.report("partition-drained", receipt=receipt(0, end=20))
    story.report("partition-drained", receipt=receipt(0, end=15))
    assert story.state["drain"]["receipts"][SOURCE]["0"]["end"] == 20


def test_a_drain_asked_for_by_a_delete_ends_in_deleted_without_a_fence() -> None:
    story = Story().at("RUNNING")
    story.command("delete", drain=True)
    drained(story)
    assert story.status == "DELETED" and story.state["conditions"] == {}


def test_a_forced_pause_is_unclean_and_waits_for_a_fence_before_it_resumes() -> None:
    story = Story().at("DRAINING")
    story.command("pause", force=True)
    assert story.status == "PAUSED" and set(story.state["conditions"]) == {"unclean", "fence_pending"}
    assert outcomes(story.command("resume"))[0]["code"] == "stream.fence_pending"
    story.report("fenced", worker="w2")
    assert set(story.state["conditions"]) == {"unclean"}
    story.command("resume", id="r")
    story.report("positions-checked", command_id="r", passed=True)
    assert story.status == "RUNNING" and story.state["conditions"] == {}


def test_a_forced_stop_is_fenced_although_its_workers_fell_silent_before() -> None:
    for command in ({"kind": "pause", "force": True}, {"kind": "delete"}):
        story = Story().at("RUNNING")
        story.report("worker-silent", worker=None, lost="w1")
        assert story.state["tasks"] == {}
        story.command(**command)
        assert "fence_pending" in story.state["conditions"]


def test_a_failure_while_draining_recovers_into_draining() -> None:
    story = Story().at("DRAINING")
    story.report("error-raised", error=error(recoverable=False))
    story.command("recover", id="r")
    story.report("positions-checked", command_id="r", passed=True)
    assert story.status == "DRAINING" and story.state["drain"]["receipts"] == {} and next_due_ms(story.state)


def test_a_recoverable_error_while_draining_stays_attached_and_never_unpauses() -> None:
    story = Story().at("DRAINING")
    story.report("error-raised", error=error())
    assert story.status == "DRAINING" and set(story.state["errors"]) == {"e1"}
    story.report("error-cleared", error_id="e1")
    assert story.status == "DRAINING" and story.state["errors"] == {}


def test_an_error_that_only_a_person_ends_does_not_become_one_that_passes_by_being_reported_again() -> None:
    story = Story().at("RUNNING")
    story.report("error-raised", error=error(recoverable=False))
    again = story.report("error-raised", error=error(recoverable=True))
    assert transitions(again) == [] and outcomes(again)[0]["outcome"] == "without_effect"
    assert story.status == "FAILED_PERMANENTLY" and story.state["errors"]["e1"]["recoverable"] is False


def test_a_failed_stream_runs_again_only_when_its_last_error_is_gone() -> None:
    story = Story().at("FAILED")
    story.report("error-raised", worker="w2", error=error(error_id="e2", worker="w2"))
    story.report("error-cleared", error_id="e1")
    assert story.status == "FAILED"
    story.report("worker-silent", worker=None, lost="w2")
    assert story.status == "FAILED", "that worker was never known to run it"
    story.report("error-cleared", error_id="e2")
    assert story.status == "RUNNING"


def test_a_restart_by_modify_keeps_the_errors_until_a_task_has_begun_anew() -> None:
    story = Story().at("FAILED")
    story.command("modify", config=config(parallelism=2))
    assert story.status == "FAILED" and set(story.state["errors"]) == {"e1"}
    story.report("error-raised", worker="w2", error=error(error_id="e2", worker="w2"))
    story.report("task-started", worker="w1", revision=2)
    assert story.status == "FAILED" and set(story.state["errors"]) == {"e2"}, "said under the new epoch, so it stands"
    story.report("error-cleared", worker="w2", error_id="e2")
    assert story.status == "RUNNING"


def test_an_error_seen_again_keeps_when_it_was_first_seen_and_the_list_is_bounded() -> None:
    story = Story().at("FAILED")
    story.report("error-raised", error=error(first_seen_ms=500, last_seen_ms=600, count=2))
    assert story.state["errors"]["e1"]["first_seen_ms"] == 1 and story.state["errors"]["e1"]["count"] == 2
    for number in range(ERRORS_MAX + 5):
        story.report("error-raised", error=error(error_id=f"n{number}"))
    assert len(story.state["errors"]) == ERRORS_MAX


def test_unassigned_fails_a_stream_after_its_grace_and_clears_by_itself() -> None:
    story = Story().at("RUNNING")
    story.report("condition-raised", condition="unassigned", worker=None)
    (deadline,) = deadlines(story.state)
    story.report("deadline-passed", worker=None, deadline="unassigned", due_ms=deadline.due_ms)
    assert story.status == "FAILED" and set(story.state["errors"]) == {"unassigned"}
    story.report("task-started", worker="w9", revision=1)
    assert story.status == "RUNNING" and story.state["conditions"] == {}


def test_a_drain_that_passes_its_deadline_is_stalled_and_goes_on() -> None:
    story = Story().at("DRAINING")
    (deadline,) = deadlines(story.state)
    story.report("deadline-passed", worker=None, deadline="drain", due_ms=deadline.due_ms)
    assert story.status == "DRAINING" and set(story.state["conditions"]) == {"stalled"}
    assert deadlines(story.state) == ()
    drained(story)
    assert story.status == "PAUSED" and story.state["conditions"] == {}


def test_every_transition_carries_the_hash_of_the_one_before_and_the_state_carries_the_head() -> None:
    story = Story().at("PAUSED")
    story.command("delete")
    story.command("create")
    chain = [
        (record.payload["incarnation"], record.payload["version"], record.payload["previous"], record.value)
        for record in story.history
        if record.kind != "outcome"
    ]
    assert find_break(chain, story.state["head"]) is None
    assert digest(chain[-1][3]) == story.state["head"]
    tampered = [*chain[:3], (*chain[3][:3], chain[3][3] + b" "), *chain[4:]]
    assert find_break(tampered, story.state["head"]) is not None
    assert find_break(chain[:2] + chain[3:], story.state["head"]) is not None


def test_an_unreadable_input_is_refused_with_its_offset_and_a_forwarding_says_where_to() -> None:
    bad = Unreadable("commands", "headgate.commands", 3, 17, 5, "command.malformed_json", "Not JSON.", "Send JSON.")
    payload = refuse_unreadable(bad).payload
    validate("history", payload)
    assert payload["outcome"] == "refused" and "offset 17" in payload["message"]
    story = Story().at("NOT_STARTED")
    moved = forwarded(story.inputs[0], 5)
    validate("history", moved.payload)
    assert moved.payload["to_partition"] == 5


def test_the_chain_of_a_name_that_was_forgotten_begins_again() -> None:
    story = Story().at("DELETED")
    (deadline,) = deadlines(story.state)
    story.report("deadline-passed", worker=None, deadline="forget", due_ms=deadline.due_ms)
    story.command("create")
    chain = [
        (record.payload["incarnation"], record.payload["version"], record.payload["previous"], record.value)
        for record in story.history
        if record.kind != "outcome"
    ]
    assert chain[-1][2] is None and find_break(chain, story.state["head"]) is None
    assert find_break([*chain[:-1], (chain[0][0], *chain[-1][1:])], None) is not None


def test_the_definition_before_is_kept_until_every_task_runs_the_new_one() -> None:
    story = Story().at("RUNNING")
    story.report("task-started", worker="w1", revision=1)
    assert story.state is not None
    first = story.state["config"]
    story.command("modify", config=config(commit_interval_ms=7))
    story.command("modify", config=config(commit_interval_ms=8))
    assert story.state["last_applied"] == {"revision": 1, "config": first}
    assert in_effect(story.state)["revision"] == 3
    story.report("revision-rejected", revision=3)
    assert in_effect(story.state) == {"revision": 1, "config": first}
    story.command("modify", config=config(commit_interval_ms=9))
    assert in_effect(story.state)["revision"] == 4
    story.report("task-started", worker="w1", revision=4)
    assert story.state["last_applied"] is None


def test_a_rejected_definition_may_be_desired_again_and_restarts_what_it_changes() -> None:
    story = Story().at("RUNNING")
    story.report("task-started", worker="w1", revision=1)
    elsewhere = config(destination={"kind": "kafka", "topic": "elsewhere"})
    story.command("modify", config=elsewhere)
    story.report("revision-rejected", revision=2)
    assert transitions(story.command("modify", config=elsewhere)) == ["stream-modified"]
    assert story.state is not None
    assert (story.state["revision"]["desired"], story.state["restart_version"]) == (3, story.state["version"])
    assert transitions(story.command("modify", config=elsewhere)) == [], "it is the same, and not rejected yet"
