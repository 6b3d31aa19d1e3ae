"""Every report in every status, against a table that is written here a second time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from headgate.core.decider import Folded
from headgate.core.lifecycle import REPORTS, STATUSES
from headgate_events.schema.reports import REPORT_KINDS
from tests.spec.story import SOURCE, Story, carrying_on, drained, error, flap, outcomes, receipt, transitions, validated

COLUMNS = ("NOT_STARTED", "STARTING", "RUNNING", "DRAINING", "PAUSED", "FAILED", "FAILED_PERMANENTLY")
# - no effect, = a transition and the status stays, (=) the same, only while the stream carries on
TABLE = """
validation-passed            -           RUNNING     -                  -                  - -                  -
validation-failed            -           NOT_STARTED -                  -                  - -                  -
source-listed                -           -           =                  =                  = =                  (=)
partition-drained            -           -           -                  =                  - -                  -
all partitions drained       -           -           -                  PAUSED             - -                  -
task-started                 -           -           =                  =                  - =                  (=)
task-stopped                 -           -           =                  =                  - RUNNING            (=)
revision-rejected            -           -           =                  =                  - =                  (=)
recoverable error            -           -           FAILED             =                  - =                  (=)
unrecoverable error          -           -           FAILED_PERMANENTLY FAILED_PERMANENTLY - FAILED_PERMANENTLY (=)
error-cleared                -           -           -                  =                  - RUNNING            (=)
fenced                       -           -           -                  -                  - -                  -
condition-raised             -           =           =                  =                  - =                  (=)
condition-cleared            -           =           =                  =                  - =                  (=)
worker-silent                -           -           =                  =                  - RUNNING            (=)
deadline-passed: validation  -           NOT_STARTED -                  -                  - -                  -
deadline-passed: drain       -           -           -                  =                  - -                  -
deadline-passed: check       -           -           -                  -                  = -                  =
deadline-passed: not_before  DELETED     DELETED     DELETED            DELETED            DELETED DELETED      DELETED
deadline-passed: unassigned  -           -           FAILED             -                  - -                  -
deadline-passed: flapping    =           =           =                  =                  = =                  =
deadline-passed: forget      -           -           -                  -                  - -                  -
idle-reached                 -           -           DELETED            -                  - DELETED            -
silence-reached              -           -           DRAINING           -                  - -                  -
source-moved                 -           -           -                  -                  RUNNING -            -
positions-checked            -           -           -                  -                  RUNNING -            RUNNING
"""


def cells() -> list[tuple[str, str, str]]:
    found = []
    for line in TABLE.strip().splitlines():
        name, marks = line[:29].strip(), line[29:].split()
        assert len(marks) == len(COLUMNS), line
        found += [(name, status, mark) for status, mark in zip(COLUMNS, marks, strict=True)]
    return found


def _worker_silent(story: Story) -> Folded:
    return story.report("worker-silent", worker=None, lost="w1")


def _revision_rejected(story: Story) -> Folded:
    story.command("modify", config={**story.state["config"], "commit_interval_ms": 999})
    return story.report("revision-rejected", revision=2)


def _error_cleared(story: Story) -> Folded:
    if story.status == "DRAINING":
        story.report("error-raised", error=error())
    return story.report("error-cleared", error_id="e1")


def _condition_cleared(story: Story) -> Folded:
    story.report("condition-raised", condition="unassigned", worker=None)
    return story.report("condition-cleared", condition="unassigned", worker=None)


def _deadline(kind: str) -> Callable[[Story], Folded]:
    def passed(story: Story) -> Folded:
        state, command_id = story.state, None
        due_ms = state["deadline_ms"] or 1
        if kind == "drain" and state["status"] == "DRAINING":
            due_ms = state["drain"]["deadline_ms"]
        if kind == "check":
            story.command("resume" if state["status"] == "PAUSED" else "recover", id="c")
            command_id = "c"
            due_ms = (story.state["checking"] or {"deadline_ms": 1})["deadline_ms"]
        if kind == "not_before":
            story.command("delete", id="c", not_before="2001-01-01T00:00:00Z")
            command_id, due_ms = "c", 978_307_200_000
        if kind == "unassigned":
            story.report("condition-raised", condition="unassigned", worker=None)
            due_ms = story.state["conditions"].get("unassigned", {"deadline_ms": 1})["deadline_ms"]
        if kind == "flapping":
            flap(story)
            due_ms = story.state["conditions"]["flapping"]["deadline_ms"]
        return story.report("deadline-passed", worker=None, deadline=kind, due_ms=due_ms, command_id=command_id)

    return passed


def _idle_reached(story: Story) -> Folded:
    story.command("delete", id="c", when_idle=True)
    return story.report("idle-reached", worker=None, command_id="c")


def _silence_reached(story: Story) -> Folded:
    if story.state is not None and "config" in story.state:
        config = story.state["config"]
        story.command("modify", config={**config, "idleness": {**config["idleness"], "auto_pause_after_s": 60.0}})
    return story.report("silence-reached", worker=None, ends={SOURCE: {"0": 10, "1": 10}})


def _source_moved(story: Story) -> Folded:
    state = story.state
    if state is not None and state["drain"] is not None:
        story.state = {**state, "drain": {**state["drain"], "silence": {SOURCE: {"0": 10}}}}
    return story.report("source-moved", worker=None, positions={SOURCE: {"0": 10, "1": 10}}, message="It moved.")


def _positions_checked(story: Story) -> Folded:
    story.command("resume" if story.status == "PAUSED" else "recover", id="c")
    return story.report("positions-checked", command_id="c", passed=True, positions={SOURCE: {"0": 1}})


WHEN: dict[str, Callable[[Story], Folded]] = {
    "validation-passed": validated,
    "validation-failed": lambda story: story.report("validation-failed", revision=story.state["revision"]["desired"]),
    "source-listed": lambda story: story.report("source-listed", partitions={SOURCE: 3}),
    "partition-drained": lambda story: story.report("partition-drained", receipt=receipt()),
    "all partitions drained": drained,
    "task-started": lambda story: story.report("task-started", worker="w2", revision=1),
    "task-stopped": lambda story: story.report("task-stopped"),
    "revision-rejected": _revision_rejected,
    "recoverable error": lambda story: story.report("error-raised", error=error(error_id="e2")),
    "unrecoverable error": lambda story: story.report("error-raised", error=error(recoverable=False)),
    "error-cleared": _error_cleared,
    "positions-checked": _positions_checked,
    "fenced": lambda story: story.report("fenced"),
    "condition-raised": lambda story: story.report("condition-raised", condition="unassigned", worker=None),
    "condition-cleared": _condition_cleared,
    "worker-silent": _worker_silent,
    "deadline-passed: validation": _deadline("validation"),
    "deadline-passed: drain": _deadline("drain"),
    "deadline-passed: check": _deadline("check"),
    "deadline-passed: not_before": _deadline("not_before"),
    "deadline-passed: unassigned": _deadline("unassigned"),
    "deadline-passed: flapping": _deadline("flapping"),
    "deadline-passed: forget": _deadline("forget"),
    "idle-reached": _idle_reached,
    "silence-reached": _silence_reached,
    "source-moved": _source_moved,
}


def test_the_table_names_every_report_and_every_status() -> None:
    assert {name for name, _, _ in cells()} == set(REPORTS) == set(WHEN)
    kinds = {name.split(":")[0] for name in REPORTS}
    assert kinds - {"all partitions drained"} == (set(REPORT_KINDS) - {"error-raised"}) | {
        "recoverable error",
        "unrecoverable error",
    }
    for row in REPORTS.values():
        assert set(row) == set(STATUSES)


@pytest.mark.parametrize(("name", "status", "mark"), cells(), ids=str)
def test_a_report_leads_where_the_table_says(name: str, status: str, mark: str) -> None:
    story = Story().at(status)

    folded = WHEN[name](story)

    answer = outcomes(folded)[-1]
    assert answer["input"]["topic"] == "headgate.reports"
    if mark in ("-", "(=)"):
        assert (answer["outcome"], transitions(folded)) == ("without_effect", [])
        assert answer["message"]
        assert story.status == status
    else:
        assert answer["outcome"] == "accepted"
        assert story.status == (status if mark == "=" else mark)


@pytest.mark.parametrize("name", [name for name, _, mark in cells() if mark == "(=)"])
def test_a_report_is_kept_of_a_stream_that_carries_on(name: str) -> None:
    story = carrying_on()
    if name == "error-cleared":
        story.report("error-raised", error=error(error_id="e1"))

    folded = WHEN[name](story)

    assert outcomes(folded)[-1]["outcome"] == "accepted"
    assert story.status == "FAILED_PERMANENTLY" and story.state["carries_on"] is (name != "unrecoverable error")


@pytest.mark.parametrize("status", COLUMNS)
@pytest.mark.parametrize("name", [name for name in WHEN if not name.startswith(("deadline", "idle", "all"))])
def test_a_report_of_an_older_epoch_is_stale_and_changes_nothing(name: str, status: str) -> None:
    story = Story().at(status)
    WHEN[name](story)
    before, last = story.state, story.inputs[-1]
    if story.status == "DELETED":
        return

    payload = {key: value for key, value in last.payload.items() if key != "kind"}
    folded = story.report(last.kind, **{**payload, "epoch": before["epoch"] - 1})

    (answer,) = outcomes(folded)
    assert (answer["outcome"], answer["code"]) == ("stale", "report.older_epoch")
    assert story.state == {**before, "inputs": story.state["inputs"]}


@pytest.mark.parametrize("status", COLUMNS)
def test_a_report_of_another_incarnation_is_stale(status: str) -> None:
    story = Story().at(status)

    (answer,) = outcomes(story.report("task-started", incarnation=77, revision=1))

    assert (answer["outcome"], answer["code"], story.status) == ("stale", "report.other_incarnation", status)


def test_a_report_about_no_stream_is_stale() -> None:
    (answer,) = outcomes(Story().report("task-started", revision=1))
    assert (answer["outcome"], answer["code"]) == ("stale", "stream.not_found")
