"""The lifecycle of a stream, as data: everything that decides a transition stands in this file.

A stream is in one status. A *command* (what somebody asks) either leads on by the cell that stands for it here, or is
refused with a stable code and a hint: there is no silent success. A *report* (what a worker or the observer saw) leads
on by its own table, and where its cell is empty it is kept in the history and changes nothing.

Two things stand outside the tables because they hold everywhere: a report of a lower epoch or of another incarnation is
stale, and idleness is no part of the lifecycle (the fold never sees IDLE or ACTIVE, only that a silence that somebody
waits for has lasted). A deleted stream that is still
remembered is ABSENT for commands.

One partition that fails does not stop the others: where every error that waiting cannot mend names its partition and
the stream isolates partitions, a FAILED_PERMANENTLY stream *carries on*. It keeps its tasks and its epoch, and they
move the partitions that are whole. Cells that hold only then say so (`carrying`).

`COMMANDS[row][status]` and `REPORTS[row][status]` are complete: a missing cell is a failing test. The diagram in
docs/lifecycle.md is generated from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from headgate_events.schema.common import Status

ABSENT: Final = "ABSENT"
NOT_STARTED: Final = Status.NOT_STARTED.value
STARTING: Final = Status.STARTING.value
RUNNING: Final = Status.RUNNING.value
DRAINING: Final = Status.DRAINING.value
PAUSED: Final = Status.PAUSED.value
FAILED: Final = Status.FAILED.value
FAILED_PERMANENTLY: Final = Status.FAILED_PERMANENTLY.value
DELETED: Final = Status.DELETED.value

STATUSES: Final = (NOT_STARTED, STARTING, RUNNING, DRAINING, PAUSED, FAILED, FAILED_PERMANENTLY)
"""The statuses of a stream that exists."""


@dataclass(frozen=True, slots=True)
class To:
    """The command is accepted and leads to a status (`SAME` keeps the present one) by a transition.

    `check`: a worker checks the positions first, and the outcome waits for its answer. `unless_strict`: an extension
    that the stream's `strict_lifecycle` switches off. `otherwise`: it holds only for a stream that auto-pause paused or
    drains, and any other is refused so.
    """

    status: str
    transition: str
    check: bool = False
    unless_strict: bool = False
    otherwise: Refused | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The command is refused: a stable code, and what to do instead."""

    code: str
    hint: str


@dataclass(frozen=True, slots=True)
class Wait:
    """The command is recorded as scheduled and decided when its time or its fact comes."""


SAME: Final = "SAME"
Cell = To | Refused | Wait
Row = Mapping[str, Cell]

_GONE: Final = Refused("stream.not_found", "Create it first.")


def _code(status: str) -> str:
    return f"stream.is_{status.lower()}"


def _row(hints: Mapping[str, str], **accepted: Cell) -> Row:
    """Complete a row: the accepted cells as given, every other one refused with its hint."""
    cells: dict[str, Cell] = {ABSENT: accepted.pop("ABSENT", _GONE)}
    for status in STATUSES:
        cells[status] = accepted.get(status, Refused(_code(status), hints[status]))
    assert accepted.keys() <= cells.keys(), f"unknown statuses: {sorted(accepted)}"
    return cells


_HOW_ON: Final = {
    NOT_STARTED: "It never ran: start it.",
    STARTING: "It is being validated: wait for RUNNING or NOT_STARTED.",
    RUNNING: "It is running already.",
    DRAINING: "It is draining: wait for PAUSED, or cancel-drain.",
    PAUSED: "It is paused: resume it.",
    FAILED: "It retries by itself: retry makes it do so at once.",
    FAILED_PERMANENTLY: "It waits for a person: recover it.",
}
_NOTHING_RUNS: Final = {
    **_HOW_ON,
    NOT_STARTED: "It is not running.",
    STARTING: "It is being validated and carries nothing yet; delete it, or wait.",
    PAUSED: "It is paused already.",
    FAILED_PERMANENTLY: "Recover or delete it; isolate: stream stops what still moves of it.",
}
_NO_DRAIN: Final = {
    **_NOTHING_RUNS,
    NOT_STARTED: "Nothing is in flight: delete it without drain.",
    STARTING: "Nothing is in flight: delete it without drain.",
    PAUSED: "It is drained already: delete it without drain.",
    FAILED_PERMANENTLY: "It cannot drain: delete it without drain, or recover it first.",
}
_NOT_DRAINING: Final = {**_HOW_ON, RUNNING: "It is not draining.", FAILED: "It is not draining."}
_NOT_FAILED: Final = {**_HOW_ON, DRAINING: "It retries by itself while it drains.", RUNNING: "It has not failed."}
_EXISTS: Final = dict.fromkeys(STATUSES, "Choose another name, or modify the stream that has it.")
_NOT_IDLE: Final = {
    NOT_STARTED: "Only a stream that carries data can become idle.",
    STARTING: "Only a stream that carries data can become idle: wait for RUNNING.",
    DRAINING: "A draining stream does not become idle: wait for PAUSED.",
    PAUSED: "A paused stream is not idle: leave when-idle out.",
    FAILED_PERMANENTLY: "A stopped stream does not become idle: leave when-idle out.",
}

COMMANDS: Final[Mapping[str, Row]] = {
    "create": {
        ABSENT: To(NOT_STARTED, "stream-created"),
        **{status: Refused("stream.exists", _EXISTS[status]) for status in STATUSES},
    },
    "start": _row(_HOW_ON, NOT_STARTED=To(STARTING, "stream-starting")),
    "pause": _row(
        _NOTHING_RUNS,
        RUNNING=To(DRAINING, "stream-draining"),
        DRAINING=To(SAME, "pause-kept", otherwise=Refused(_code(DRAINING), _NOTHING_RUNS[DRAINING])),
        PAUSED=To(SAME, "pause-kept", otherwise=Refused(_code(PAUSED), _NOTHING_RUNS[PAUSED])),
        FAILED=To(DRAINING, "stream-draining", unless_strict=True),
    ),
    "pause --force": _row(
        _NOTHING_RUNS,
        RUNNING=To(PAUSED, "stream-paused"),
        DRAINING=To(PAUSED, "stream-paused"),
        FAILED=To(PAUSED, "stream-paused"),
    ),
    "resume": _row(_HOW_ON, PAUSED=To(RUNNING, "stream-resumed", check=True)),
    "recover": _row(_HOW_ON, FAILED_PERMANENTLY=To(RUNNING, "stream-recovered", check=True)),
    "modify": {ABSENT: _GONE, **{status: To(SAME, "stream-modified") for status in STATUSES}},
    "delete": {ABSENT: _GONE, **{status: To(DELETED, "stream-deleted") for status in STATUSES}},
    "delete --drain": _row(
        _NO_DRAIN,
        RUNNING=To(DRAINING, "stream-draining"),
        DRAINING=To(DRAINING, "stream-draining"),
        FAILED=To(DRAINING, "stream-draining"),
    ),
    "cancel-drain": _row(_NOT_DRAINING, DRAINING=To(RUNNING, "stream-drain-cancelled")),
    "retry": _row(_NOT_FAILED, FAILED=To(SAME, "retry-requested")),
    "… not before": {
        ABSENT: Refused("stream.not_found", "Create it first, without a time; what follows may wait."),
        **dict.fromkeys(STATUSES, Wait()),
    },
    "… when idle": _row({**_NOT_IDLE, RUNNING: "", FAILED: ""}, RUNNING=Wait(), FAILED=Wait()),
    "cancel": {ABSENT: _GONE, **{status: To(SAME, "outcome") for status in STATUSES}},
}
"""What each command does in each status. `cancel` withdraws a waiting command wherever there is one."""


def command_row(kind: str, payload: Mapping[str, object]) -> str:
    """Name the row of a command that is decided now: its kind, with the flag that changes its meaning."""
    if kind == "pause" and payload.get("force"):
        return "pause --force"
    if kind == "delete" and payload.get("drain"):
        return "delete --drain"
    return kind


@dataclass(frozen=True, slots=True)
class Leads:
    """The report leads to a status (`SAME` keeps it) by a transition, where its content fits the state.

    `carrying`: only while the stream carries on with the partitions that have not failed. `of_auto_pause`: only where
    auto-pause paused the stream.
    """

    status: str
    transition: str
    carrying: bool = False
    of_auto_pause: bool = False


@dataclass(frozen=True, slots=True)
class Nothing:
    """The report has no effect here; `why` stands in its outcome."""

    why: str


ReportCell = Leads | Nothing
_NO_TASKS: Final = "The stream has no tasks in this status."


def _reports(transition: str, otherwise: str, **leads: str) -> Mapping[str, ReportCell]:
    return {status: Leads(leads[status], transition) if status in leads else Nothing(otherwise) for status in STATUSES}


def _kept(transition: str, otherwise: str, *statuses: str) -> Mapping[str, ReportCell]:
    return _reports(transition, otherwise, **dict.fromkeys(statuses, SAME))


def _tasks(transition: str) -> Mapping[str, ReportCell]:
    """Complete the row of a report that speaks of tasks: kept wherever there are some."""
    kept = _kept(transition, _NO_TASKS, RUNNING, DRAINING, FAILED)
    return {**kept, FAILED_PERMANENTLY: Leads(SAME, transition, carrying=True)}


_ANY: Final = STATUSES
REPORTS: Final[Mapping[str, Mapping[str, ReportCell]]] = {
    "validation-passed": _reports("stream-started", "Nothing is being validated.", STARTING=RUNNING),
    "validation-failed": _reports("stream-validation-failed", "Nothing is being validated.", STARTING=NOT_STARTED),
    "source-listed": {
        **_kept("source-listed", "It is listed when it starts.", RUNNING, DRAINING, FAILED, PAUSED),
        FAILED_PERMANENTLY: Leads(SAME, "source-listed", carrying=True),
    },
    "partition-drained": _kept("partition-drained", "The stream is not draining.", DRAINING),
    "all partitions drained": _reports("stream-paused", "The stream is not draining.", DRAINING=PAUSED),
    "task-started": _tasks("task-started"),
    "task-stopped": _tasks("task-stopped"),
    "revision-rejected": _tasks("revision-rejected"),
    "recoverable error": {**_tasks("error-noted"), RUNNING: Leads(FAILED, "stream-failed")},
    "unrecoverable error": {
        **_reports(
            "stream-failed-permanently",
            _NO_TASKS,
            RUNNING=FAILED_PERMANENTLY,
            FAILED=FAILED_PERMANENTLY,
            DRAINING=FAILED_PERMANENTLY,
        ),
        FAILED_PERMANENTLY: Leads(SAME, "error-noted", carrying=True),
    },
    "error-cleared": {
        **_reports("error-cleared", "There is no such error.", FAILED=RUNNING, DRAINING=SAME),
        FAILED_PERMANENTLY: Leads(SAME, "error-cleared", carrying=True),
    },
    "positions-checked": {
        **_kept("outcome", "No command waits for a check.", *_ANY),
        PAUSED: Leads(RUNNING, "stream-resumed"),
        FAILED_PERMANENTLY: Leads(RUNNING, "stream-recovered"),
    },
    "fenced": _kept("condition-cleared", "", *_ANY),
    "condition-raised": _kept("condition-raised", "", *_ANY),
    "condition-cleared": _kept("condition-cleared", "", *_ANY),
    "worker-silent": _tasks("task-stopped"),
    "deadline-passed: validation": _reports(
        "stream-validation-failed", "Nothing is being validated.", STARTING=NOT_STARTED
    ),
    "deadline-passed: drain": _kept("condition-raised", "The stream is not draining.", DRAINING),
    "deadline-passed: check": _kept("outcome", "No command waits for a check.", PAUSED, FAILED_PERMANENTLY),
    "deadline-passed: not_before": _kept("outcome", "", *_ANY),
    "deadline-passed: unassigned": _reports("stream-failed", "It is not running.", RUNNING=FAILED),
    "deadline-passed: flapping": _kept("condition-cleared", "", *_ANY),
    "deadline-passed: forget": dict.fromkeys(STATUSES, Nothing("The stream is not deleted.")),
    "idle-reached": _kept("outcome", "", *_ANY),
    "silence-reached": _reports("stream-draining", "It does not run.", RUNNING=DRAINING),
    "source-moved": {
        **_reports("stream-resumed", "It is not paused."),
        PAUSED: Leads(RUNNING, "stream-resumed", of_auto_pause=True),
    },
}
"""What each report does in each status, when it is not stale.

An unrecoverable error that stops a stream which carried on (it names no partition) is written as
`stream-failed-permanently` once more. `all partitions drained` is no record of its own: it is the fact that the last
receipt completes (and then leads to DELETED where the drain was asked for by a delete). `outcome` in place of a
transition means that a waiting command is decided now, by its own row.
"""

CONDITIONS: Final[Mapping[str, frozenset[str]]] = {
    "unassigned": frozenset({STARTING, RUNNING, DRAINING, FAILED, FAILED_PERMANENTLY}),
    "stalled": frozenset({RUNNING, DRAINING}),
    "position_at_risk": frozenset({PAUSED, FAILED, FAILED_PERMANENTLY}),
    "unclean": frozenset({PAUSED}),
    "fence_pending": frozenset({PAUSED, DELETED}),
    "checking": frozenset({PAUSED, FAILED_PERMANENTLY}),
    "flapping": frozenset(STATUSES),
}
"""In which statuses each condition can hold: a change to another status ends it."""

ONLY_CARRYING: Final = frozenset({"unassigned"})
"""Those that a FAILED_PERMANENTLY stream can have only while it carries on."""

REPORTED_CONDITIONS: Final = frozenset({"unassigned", "stalled", "position_at_risk"})
"""Those that reports raise and clear; the others follow from transitions alone."""

ReportRow = Literal["recoverable error", "unrecoverable error"]


def report_row(kind: str, payload: Mapping[str, object]) -> str:
    """Name the row of a report: its kind, with the part of its content that changes its meaning."""
    if kind == "error-raised":
        error = payload["error"]
        assert isinstance(error, Mapping)
        return "recoverable error" if error["recoverable"] else "unrecoverable error"
    if kind == "deadline-passed":
        return f"deadline-passed: {payload['deadline']}"
    return kind
