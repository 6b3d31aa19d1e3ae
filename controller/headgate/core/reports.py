"""Reports: the part of the decider that judges what workers and the observer saw.

A report of another incarnation or another epoch is stale: kept, and without any effect. For the others the cell of
`lifecycle.REPORTS` says where they lead; the functions below say whether their content fits the state. One that does
not (a receipt that stands already, an error that is gone) is answered as without effect, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from headgate.core import auto_pause
from headgate.core.commands import carry_out, delete, drain_timeout_ms
from headgate.core.conditions import can_hold
from headgate.core.flapping import ends_at_ms, words
from headgate.core.lifecycle import (
    DELETED,
    DRAINING,
    FAILED,
    REPORTED_CONDITIONS,
    REPORTS,
    RUNNING,
    SAME,
    Leads,
    Nothing,
    report_row,
)
from headgate.core.policy import Policy
from headgate.core.revisions import in_effect
from headgate.core.turn import Asked, Turn

Payload = Mapping[str, Any]
UNASSIGNED_ERROR_ID: Final = "unassigned"
STOPPED: Final = "The stream is stopped until somebody recovers it."
STANDS: Final = "It stands until somebody recovers the stream."


def decide_report(turn: Turn, policy: Policy) -> None:
    """Decide the report at hand: write its transitions, the outcomes of commands that it decided, and its own."""
    state, payload = turn.state, turn.item.payload
    if state is None:
        return turn.answer("stale", code="stream.not_found", message="There is no such stream.")
    if payload["incarnation"] != state["incarnation"]:
        return turn.answer("stale", code="report.other_incarnation", message="It is about another incarnation.")
    if payload["epoch"] != state["epoch"]:
        code = "report.older_epoch" if payload["epoch"] < state["epoch"] else "report.unknown_epoch"
        return turn.answer("stale", code=code, message=f"Its epoch is {payload['epoch']}, not {state['epoch']}.")
    row = report_row(turn.item.kind, payload)
    if state["status"] == DELETED:
        unchanged = _after_deletion(turn, row, payload)
    else:
        cell = REPORTS[row][state["status"]]
        if isinstance(cell, Leads) and cell.of_auto_pause and auto_pause.silence_of(state) is None:
            cell = Nothing("It was not auto-pause that paused it.")
        if isinstance(cell, Leads) and cell.carrying and not state.get("carries_on"):
            cell = Nothing(STOPPED)
        unchanged = cell.why if isinstance(cell, Nothing) else _JUDGES[row](turn, cell, payload, policy)
    if unchanged is None:
        _note_flapping(turn)
        return turn.accept()
    return turn.answer("without_effect", message=unchanged)


def _note_flapping(turn: Turn) -> None:
    """Say that the stream flaps, when what was just decided is one change of status by itself too many."""
    state = turn.state
    if state is None or state["status"] == DELETED or "flapping" in state["conditions"]:
        return
    ends_ms = ends_at_ms(state, turn.item.at_ms)
    if ends_ms is not None:
        turn.emit(
            "condition-raised", asked=turn.by_input, condition="flapping", message=words(state), deadline_ms=ends_ms
        )


def _flapping_overdue(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    held = turn.present["conditions"].get("flapping")
    if held is None or held["deadline_ms"] != payload["due_ms"]:
        return _MOVED
    # Judged at the deadline's own time: when it is heard of may be later, and must not matter.
    ends_ms = ends_at_ms(turn.present, payload["due_ms"])
    if ends_ms is None:
        turn.emit(cell.transition, asked=turn.by_input, condition="flapping")
    else:
        message = words(turn.present)
        turn.emit("condition-raised", asked=turn.by_input, condition="flapping", message=message, deadline_ms=ends_ms)
    return None


def _after_deletion(turn: Turn, row: str, payload: Payload) -> str | None:
    if row == "deadline-passed: forget":
        if payload["due_ms"] != turn.present["deadline_ms"]:
            return _MOVED
        turn.emit("stream-forgotten", asked=turn.by_input)
        return None
    return _fenced(turn, Leads(SAME, "condition-cleared"), payload, Policy()) if row == "fenced" else "It is deleted."


_MOVED: Final = "That deadline does not stand (any more)."


def _validated(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    desired = turn.present["revision"]["desired"]
    if payload["revision"] != desired:
        return f"It is about revision {payload['revision']}; {desired} is desired."
    data: dict[str, Any] = {"checks": _checks(payload)}
    passed = cell.transition == "stream-started"
    if passed:
        data["partitions"] = payload.get("partitions", {})
        data["positions"] = payload.get("positions", {})
        if ends := payload.get("ends"):
            data["ends"] = ends
    asked = _who_asked(turn) if passed else turn.by_input
    turn.emit(cell.transition, cell.status, asked=asked, new_epoch=True, **data)
    return None


def _who_asked(turn: Turn) -> Asked:
    """Return the report as the cause, on behalf of whoever brought the stream into its present status, and why."""
    last = turn.present["last"]
    return replace(turn.by_input, actor=last["actor"], reason=last["reason"])


def _checks(payload: Payload) -> list[dict[str, Any]]:
    blank = {"code": None, "message": "", "hint": ""}
    return [
        {key: check.get(key, blank.get(key)) for key in ("name", "result", *blank)}
        for check in payload.get("checks", ())
    ]


def _source_listed(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    state, drain = turn.present, turn.present["drain"]
    awaited = state["status"] == DRAINING and not drain["listed"]
    if payload["partitions"] == state["partitions"] and not awaited:
        return "The source is listed so already."
    turn.emit(cell.transition, asked=turn.by_input, partitions=payload["partitions"])
    _complete_drain(turn, policy)
    return None


def _partition_drained(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    given = payload["receipt"]
    keys = ("topic", "partition", "start", "end", "read", "written", "worker")
    receipt = {
        **{key: given[key] for key in keys},
        "set_aside": given.get("set_aside", 0),
        "digest": given.get("digest"),
    }
    standing = turn.present["drain"]["receipts"].get(receipt["topic"], {}).get(str(receipt["partition"]))
    if standing is not None and standing["end"] >= receipt["end"]:
        return "The partition has its receipt already."
    turn.emit(cell.transition, asked=turn.by_input, receipt=receipt)
    _complete_drain(turn, policy)
    if turn.present["status"] == DRAINING and "stalled" in turn.present["conditions"]:
        # It moves again, and has as long as it had at first.
        deadline_ms = turn.item.at_ms + drain_timeout_ms(turn)
        turn.emit("condition-cleared", asked=turn.by_input, condition="stalled", deadline_ms=deadline_ms)
    return None


def _complete_drain(turn: Turn, policy: Policy) -> None:
    """Say PAUSED (or delete) when every partition of the source, as listed in this epoch, has its receipt."""
    state = turn.present
    drain = state["drain"]
    if state["status"] != DRAINING or not drain["listed"]:
        return
    for topic, count in state["partitions"].items():
        receipts = drain["receipts"].get(topic, {})
        if any(str(partition) not in receipts for partition in range(count)):
            return
    done = REPORTS["all partitions drained"][DRAINING]
    assert isinstance(done, Leads)
    if drain["then"] == "deleted":
        delete(turn, _who_asked(turn), policy, drained=True)
    else:
        turn.emit(done.transition, done.status, asked=_who_asked(turn), unclean=False)


def _task_started(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    state, worker = turn.present, payload.get("worker")
    if worker is None:
        return "It names no worker."
    task = state["tasks"].get(worker)
    if task is not None and (task["revision"], task["epoch"]) == (payload["revision"], state["epoch"]):
        return "The task is known already."
    if payload["revision"] > state["revision"]["desired"]:
        return f"Revision {payload['revision']} is not known here."
    turn.emit(cell.transition, asked=turn.by_input, worker=worker, revision=payload["revision"])
    _clear_error(turn, UNASSIGNED_ERROR_ID)
    # A task begins anew under a new epoch and says again what still stands; what was said under an older one is void.
    for error_id, error in state["errors"].items():
        if error["epoch"] < state["epoch"] and error["recoverable"]:
            _clear_error(turn, error_id)
    return None


def _task_stopped(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    silent = turn.item.kind == "worker-silent"
    worker = payload["lost"] if silent else payload.get("worker")
    if worker not in turn.present["tasks"]:
        return "That worker has no task of this stream."
    turn.emit(cell.transition, asked=turn.by_input, worker=worker, silent=silent)
    _run_again(turn)
    return None


def _run_again(turn: Turn) -> None:
    """Say RUNNING of a failed stream whose errors went with the tasks that had them."""
    if turn.present["status"] == FAILED and not turn.present["errors"]:
        turn.emit("error-cleared", RUNNING, asked=turn.by_input, error_id=None)


def _revision_rejected(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    revision = turn.present["revision"]
    if payload["revision"] != revision["desired"] or payload["revision"] == revision["rejected"]:
        return f"Revision {payload['revision']} is not awaited."
    turn.emit(cell.transition, asked=turn.by_input, revision=payload["revision"], checks=_checks(payload))
    return None


def _error_raised(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    blank = {"worker": None, "topic": None, "partition": None, "offset": None, "count": 1, "next_retry_ms": None}
    given = payload["error"]
    keys = ("id", "code", "recoverable", "message", "first_seen_ms", "last_seen_ms")
    error = {**{key: given[key] for key in keys}, **{key: given.get(key, value) for key, value in blank.items()}}
    if error["recoverable"]:
        if _stands(turn, error["id"]):
            return STANDS
        turn.emit(cell.transition, cell.status, asked=turn.by_input, error=error)
        return None
    stops = _stops_all(turn.present, error)
    transition = "stream-failed-permanently" if stops else cell.transition
    turn.emit(transition, cell.status, asked=turn.by_input, new_epoch=stops, error=error)
    return None


def _stops_all(state: Payload, error: Payload) -> bool:
    """Say whether an error that waiting cannot mend stops every partition: the tasks are fenced by a new epoch then."""
    alone = error["topic"] is not None and error["partition"] is not None
    return not alone or state["config"].get("isolate", "partition") != "partition" or state["status"] == DRAINING


def _error_cleared(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    if _stands(turn, payload["error_id"]):
        return STANDS
    return None if _clear_error(turn, payload["error_id"]) else "There is no such error."


def _stands(turn: Turn, error_id: str) -> bool:
    """Say whether an error stands that only a person ends, whatever is reported under its id later."""
    standing = turn.present["errors"].get(error_id)
    return standing is not None and not standing["recoverable"]


def _clear_error(turn: Turn, error_id: str) -> bool:
    """Take one error away; when it was the last one, a failed stream runs again."""
    state = turn.present
    if error_id not in state["errors"]:
        return False
    last = len(state["errors"]) == 1
    to_status = RUNNING if last and state["status"] == FAILED else SAME
    turn.emit("error-cleared", to_status, asked=turn.by_input, error_id=error_id)
    return True


def _positions_checked(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    state = turn.present
    pending = state["checking"]
    if pending is None or pending["command_id"] != payload["command_id"]:
        return "No command waits for this check."
    asked = Asked.by_pending(pending)
    if not payload["passed"]:
        turn.answer(
            "refused",
            code=payload.get("code") or "position.lost",
            message=payload.get("message") or "The positions are not in the log any more.",
            hint=_how_on(turn, pending["command"], payload),
            gap=payload.get("gap", 0),
            asked=asked,
        )
        return None
    positions = payload.get("positions", {})
    if pending.get("dry_run"):
        where = where_words(positions) or "the committed positions"
        turn.answer("accepted", message=f"It would go on at {where}: {_counts(payload, would=True)}.", asked=asked)
        return None
    if pending["command"] == "resume":
        turn.emit(cell.transition, cell.status, asked=asked, new_epoch=True, positions=positions)
    else:
        draining = state["failed_from"] == DRAINING
        turn.emit(
            cell.transition,
            DRAINING if draining else cell.status,
            asked=asked,
            new_epoch=True,
            positions=positions,
            policy=pending["payload"].get("positions", {"policy": "committed"}),
            deadline_ms=turn.item.at_ms + drain_timeout_ms(turn) if draining else None,
        )
    moves = payload.get("reread", 0) or payload.get("skipped", 0)
    version = turn.present["version"]
    turn.answer("accepted", version=version, message=_counts(payload, would=False) + "." if moves else "", asked=asked)
    return None


def _how_on(turn: Turn, command: str, payload: Payload) -> str:
    """Say which command accepts what is missing, word for word."""
    code = payload.get("code") or "position.lost"
    if code == "position.lost":
        return (
            f"`headgate {command} {turn.item.stream} --at earliest` goes on at the oldest record left; --at with"
            " a time, --offsets and --skip choose another place, and --dry-run counts what each would skip."
        )
    return f"See `headgate {command} --help` for how a place to go on is written."


def _counts(payload: Payload, *, would: bool) -> str:
    """Say how many records are read again and how many never."""

    def verb(count: int) -> str:
        return "would be" if would else "is" if count == 1 else "are"

    reread, skipped = payload.get("reread", 0), payload.get("skipped", 0)
    noun = "record" if reread == 1 else "records"
    return f"{reread:,} {noun} {verb(reread)} read again, {skipped:,} {verb(skipped)} skipped"


def _fenced(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    if "fence_pending" not in turn.present["conditions"]:
        return "Nothing waits to be fenced."
    turn.emit(cell.transition, asked=turn.by_input, condition="fence_pending")
    return None


def _condition_raised(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    state, condition = turn.present, payload["condition"]
    if condition not in REPORTED_CONDITIONS or not can_hold(condition, state):
        return f"{condition} is not reported of a stream that is {state['status']}."
    message, held = payload.get("message", ""), state["conditions"].get(condition)
    if held is not None and (condition != "position_at_risk" or held["message"] == message):
        return "The condition holds already."
    deadline_ms = turn.item.at_ms + policy.unassigned_grace_ms if condition == "unassigned" else None
    turn.emit(cell.transition, asked=turn.by_input, condition=condition, message=message, deadline_ms=deadline_ms)
    return None


def _condition_cleared(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    condition = payload["condition"]
    if condition not in REPORTED_CONDITIONS:
        return f"{condition} is not cleared by a report."
    if condition not in turn.present["conditions"]:
        return "The condition does not hold."
    turn.emit(cell.transition, asked=turn.by_input, condition=condition)
    if condition == "unassigned":
        _clear_error(turn, UNASSIGNED_ERROR_ID)
    return None


def _validation_overdue(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    if payload["due_ms"] != turn.present["deadline_ms"]:
        return _MOVED
    check = {
        "name": "worker",
        "result": "failed",
        "code": "worker.none",
        "message": "No worker validated the stream in time.",
        "hint": "Start a worker (headgate worker), then start the stream again.",
    }
    turn.emit(cell.transition, cell.status, asked=turn.by_input, new_epoch=True, checks=[check])
    return None


def _drain_overdue(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    if payload["due_ms"] != turn.present["drain"]["deadline_ms"]:
        return _MOVED
    message = "The drain has passed its deadline; it goes on, until it is cancelled or forced."
    turn.emit(cell.transition, asked=turn.by_input, condition="stalled", message=message, deadline_ms=None)
    return None


def _check_overdue(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    pending = turn.present["checking"]
    if pending is None or (pending["command_id"], pending["deadline_ms"]) != (
        payload.get("command_id"),
        payload["due_ms"],
    ):
        return _MOVED
    turn.answer(
        "refused",
        code="command.check_timeout",
        message="No worker checked the positions in time.",
        hint="See that a worker is alive (headgate worker), then ask again.",
        asked=Asked.by_pending(pending),
    )
    return None


def _time_has_come(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    pending = turn.present["scheduled"].get(payload.get("command_id"))
    if pending is None or pending["not_before_ms"] != payload["due_ms"]:
        return _MOVED
    if pending["when_idle"]:
        turn.emit("scheduled", asked=Asked.by_pending(pending), pending={**pending, "not_before_ms": None})
        return None
    carry_out(turn, pending["command"], pending["payload"], Asked.by_pending(pending), policy)
    return None


def _fact_has_come(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    pending = turn.present["scheduled"].get(payload["command_id"])
    if pending is None or not pending["when_idle"] or pending["not_before_ms"] is not None:
        return "No command waits for this fact."
    carry_out(turn, pending["command"], pending["payload"], Asked.by_pending(pending), policy)
    return None


def _silence_reached(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    state, config = turn.present, in_effect(turn.present)["config"]
    if auto_pause.after_s(config) is None:
        return "Auto-pause is off."
    if any(pending["when_idle"] for pending in state["scheduled"].values()):
        return "A command waits for the stream to be idle, and is not to find it paused."
    turn.emit(
        cell.transition,
        cell.status,
        asked=_by_itself(turn, auto_pause.reason(config)),
        new_epoch=True,
        deadline_ms=turn.item.at_ms + drain_timeout_ms(turn),
        then="paused",
        silence=payload.get("ends", {}),
    )
    return None


def _source_moved(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    if turn.present["checking"] is not None:
        return "A command is being checked."
    asked = _by_itself(turn, payload.get("message") or "The source moved.")
    turn.emit(cell.transition, cell.status, asked=asked, new_epoch=True, positions=payload.get("positions", {}))
    return None


def _by_itself(turn: Turn, reason: str) -> Asked:
    """Return the report as the cause, on behalf of auto-pause."""
    return replace(turn.by_input, actor=auto_pause.ACTOR, reason=reason)


def _unassigned_overdue(turn: Turn, cell: Leads, payload: Payload, policy: Policy) -> str | None:
    held = turn.present["conditions"].get("unassigned")
    if held is None or payload["due_ms"] != held["deadline_ms"]:
        return _MOVED
    error = {
        "id": UNASSIGNED_ERROR_ID,
        "code": "worker.none",
        "recoverable": True,
        "message": "No live worker runs the stream.",
        "worker": None,
        "topic": None,
        "partition": None,
        "offset": None,
        "first_seen_ms": held["since_ms"],
        "last_seen_ms": turn.item.at_ms,
        "count": 1,
        "next_retry_ms": None,
    }
    turn.emit(cell.transition, cell.status, asked=turn.by_input, error=error)
    return None


PLACES_SHOWN: Final = 3


def where_words(positions: Mapping[str, Mapping[str, int]]) -> str:
    """Write positions as a sentence has room for them."""
    places = [
        f"{topic}[{number}]: {position:,}"
        for topic, numbers in sorted(positions.items())
        for number, position in sorted(numbers.items(), key=lambda each: int(each[0]))
    ]
    more = len(places) - PLACES_SHOWN
    return ", ".join(places[:PLACES_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


_JUDGES: Final[Mapping[str, Callable[[Turn, Leads, Payload, Policy], str | None]]] = {
    "validation-passed": _validated,
    "validation-failed": _validated,
    "source-listed": _source_listed,
    "partition-drained": _partition_drained,
    "task-started": _task_started,
    "task-stopped": _task_stopped,
    "revision-rejected": _revision_rejected,
    "recoverable error": _error_raised,
    "unrecoverable error": _error_raised,
    "error-cleared": _error_cleared,
    "positions-checked": _positions_checked,
    "fenced": _fenced,
    "condition-raised": _condition_raised,
    "condition-cleared": _condition_cleared,
    "worker-silent": _task_stopped,
    "deadline-passed: validation": _validation_overdue,
    "deadline-passed: drain": _drain_overdue,
    "deadline-passed: check": _check_overdue,
    "deadline-passed: not_before": _time_has_come,
    "deadline-passed: unassigned": _unassigned_overdue,
    "deadline-passed: flapping": _flapping_overdue,
    "idle-reached": _fact_has_come,
    "silence-reached": _silence_reached,
    "source-moved": _source_moved,
}
"""For each row: the transitions that the report leads to, or why it has no effect."""
