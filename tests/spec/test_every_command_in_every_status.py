"""Every command in every status, against a table that is written here a second time, in words of its own."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.core.lifecycle import ABSENT, COMMANDS, STATUSES
from headgate_events.schema.commands import COMMAND_KINDS
from tests.spec.story import Story, config, outcomes, transitions

COLUMNS = ("ABSENT", "NOT_STARTED", "STARTING", "RUNNING", "DRAINING", "PAUSED", "FAILED", "FAILED_PERMANENTLY")
# - refused, = accepted and the status stays, ~ accepted as scheduled, ?X checked by a worker first and then X
TABLE = """
create         NOT_STARTED -        -        -        -       -        -        -
start          -           STARTING -        -        -       -        -        -
pause          -           -        -        DRAINING -       -        DRAINING -
pause --force  -           -        -        PAUSED   PAUSED  -        PAUSED   -
resume         -           -        -        -        -       ?RUNNING -        -
recover        -           -        -        -        -       -        -        ?RUNNING
modify         -           =        =        =        =       =        =        =
delete         -           DELETED  DELETED  DELETED  DELETED DELETED  DELETED  DELETED
delete --drain -           -        -        DRAINING DRAINING -       DRAINING -
cancel-drain   -           -        -        -        RUNNING -        -        -
retry          -           -        -        -        -       -        =        -
not-before     -           ~        ~        ~        ~       ~        ~        ~
when-idle      -           -        -        ~        -       -        ~        -
cancel         -           =        =        =        =       =        =        =
"""
PAYLOADS: dict[str, tuple[str, dict[str, Any]]] = {
    "create": ("create", {"config": config()}),
    "pause --force": ("pause", {"force": True}),
    "modify": ("modify", {"config": config(commit_interval_ms=500)}),
    "delete --drain": ("delete", {"drain": True}),
    "not-before": ("pause", {"not_before": "2199-01-01T00:00:00Z"}),
    "when-idle": ("pause", {"when_idle": True}),
    "cancel": ("cancel", {"command_id": "waiting"}),
}


def cells() -> list[tuple[str, str, str]]:
    found = []
    for line in TABLE.strip().splitlines():
        name = line[:15].strip()
        marks = line[15:].split()
        assert len(marks) == len(COLUMNS), line
        found += [(name, status, mark) for status, mark in zip(COLUMNS, marks, strict=True)]
    return found


def test_the_table_names_every_command_and_every_status() -> None:
    written = {name for name, _, _ in cells()}
    assert {name.replace("not-before", "… not before").replace("when-idle", "… when idle") for name in written} == set(
        COMMANDS
    )
    assert {name.split(" ")[0] for name in COMMANDS if not name.startswith("…")} == set(COMMAND_KINDS)
    for row in COMMANDS.values():
        assert set(row) == {ABSENT, *STATUSES}


@pytest.mark.parametrize(("name", "status", "mark"), cells(), ids=str)
def test_a_command_is_answered_as_the_table_says(name: str, status: str, mark: str) -> None:
    story = Story().at(status)
    if name == "cancel" and status != "ABSENT":
        story.command("delete", id="waiting", not_before="2199-01-01T00:00:00Z")
    before = story.state
    kind, payload = PAYLOADS.get(name, (name, {}))

    folded = story.command(kind, id="asked", **payload)

    answers = [answer for answer in outcomes(folded) if answer["input_id"] == "asked"]
    if mark == "-":
        assert [answer["outcome"] for answer in answers] == ["refused"]
        assert answers[0]["code"] and answers[0]["message"] and answers[0]["hint"]
        assert transitions(folded) == []
        assert story.status == status
        assert before is None or story.state == {
            **before,
            "inputs": story.state["inputs"],
            "commands": story.state["commands"],
        }
    elif mark == "~":
        assert transitions(folded) == ["scheduled"] and answers == []
        assert story.status == status and set(story.state["scheduled"]) == {"asked"}
    elif mark.startswith("?"):
        assert transitions(folded) == ["checking"] and answers == []
        assert story.status == status and story.state["checking"]["command_id"] == "asked"
        found = story.report("positions-checked", command_id="asked", passed=True, positions={"flights": {"0": 3}})
        assert story.status == mark[1:]
        assert [answer["outcome"] for answer in outcomes(found) if answer["input_id"] == "asked"] == ["accepted"]
        assert story.state["positions"] == {"flights": {"0": 3}}
    else:
        assert [answer["outcome"] for answer in answers] == ["accepted"]
        assert answers[0]["version"] == story.state["version"]
        assert story.status == (status if mark == "=" else mark)


@pytest.mark.parametrize("status", [*COLUMNS, "DELETED"])
@pytest.mark.parametrize("kind", [kind for kind in COMMAND_KINDS if kind != "cancel"])
def test_a_dry_run_answers_as_the_command_would_and_changes_nothing(kind: str, status: str) -> None:
    story, twin = Story().at(status), Story().at(status)
    payload = PAYLOADS.get(kind, (kind, {}))[1]
    before = story.state

    rehearsed = story.command(kind, dry_run=True, **payload)
    real = twin.command(kind, **payload)

    if transitions(rehearsed) == ["checking"]:
        assert transitions(real) == ["checking"]
        return  # a worker is asked first; tests of its own tell how it goes on
    (answer,) = outcomes(rehearsed)
    assert transitions(rehearsed) == [] and answer["dry_run"] is True
    expected = outcomes(real)[-1]["outcome"] if outcomes(real) else "accepted"
    assert answer["outcome"] == expected
    assert before is None or story.state == {**before, "inputs": story.state["inputs"]}


def test_pause_from_failed_is_an_extension_that_strict_switches_off() -> None:
    story = Story()
    story.command("create", config=config(strict_lifecycle=True))
    for step in ("start",):
        story.command(step)
    story.report("validation-passed", revision=1, partitions={"flights": 1}, positions={})
    story.report("error-raised", error=_recoverable())

    (answer,) = outcomes(story.command("pause"))

    assert (answer["outcome"], answer["code"], story.status) == ("refused", "stream.is_failed", "FAILED")


def _recoverable() -> dict[str, Any]:
    return {"id": "e", "code": "a.b", "recoverable": True, "message": "m", "first_seen_ms": 1, "last_seen_ms": 1}
