"""Commands: the part of the decider that answers what people and programs ask for.

The cell of `lifecycle.COMMANDS` decides whether a command is accepted and where it leads; the functions below only say
what its transition carries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from headgate.core.auto_pause import silence_of
from headgate.core.ends import end_stays
from headgate.core.idleness.possible import why_never_idle
from headgate.core.lifecycle import ABSENT, COMMANDS, DELETED, DRAINING, FAILED, RUNNING, STARTING, Refused, To, Wait
from headgate.core.lifecycle import command_row as row_of
from headgate.core.policy import Policy
from headgate.core.revisions import in_effect, restarts
from headgate.core.turn import Asked, Turn
from headgate_events.envelope import parse_rfc3339_ms
from headgate_events.schema.common import MAX_TIME_MS

Payload = Mapping[str, Any]


def decide_command(turn: Turn, policy: Policy) -> None:
    """Decide the command at hand: write its transitions and its final outcome, or that it waits."""
    item, state, asked = turn.item, turn.state, turn.by_input
    if state is not None:
        for memory in state["commands"]:
            if memory["id"] == item.id:
                again = {key: value for key, value in memory.items() if key != "id"}
                return turn.answer(**again, repeated=True)
        checking = state["checking"]
        if item.id in state["scheduled"] or (checking is not None and checking["command_id"] == item.id):
            return turn.answer(
                "without_effect",
                code="command.pending",
                message="The command with this id waits already; its outcome follows.",
                repeated=True,
            )
    version = state["version"] if state is not None and state["status"] != DELETED else 0
    if item.expected_version is not None and item.expected_version != version:
        return turn.answer(
            "refused",
            code="stream.version_mismatch",
            message=f"{item.stream} is at version {version}, not {item.expected_version}.",
            hint="Look at what changed, then send it with the present version.",
        )
    if item.kind == "cancel":
        return _cancel(turn)
    if (row := _waits(turn)) is not None:
        return _wait(turn, row, policy)
    carry_out(turn, item.kind, item.payload, asked, policy)
    return None


def carry_out(turn: Turn, kind: str, payload: Payload, asked: Asked, policy: Policy) -> None:
    """Decide a command whose time has come, on behalf of whoever asked for it, and answer it."""
    state, row = turn.state, row_of(kind, payload)
    status = ABSENT if state is None or state["status"] == DELETED else state["status"]
    cell = COMMANDS[row][status]
    if isinstance(cell, To) and cell.unless_strict and turn.present["config"]["strict_lifecycle"]:
        cell = Refused(f"stream.is_{status.lower()}", "The stream's strict_lifecycle forbids this; retry or delete it.")
    if isinstance(cell, To) and cell.otherwise is not None and silence_of(turn.present) is None:
        cell = cell.otherwise
    if isinstance(cell, Refused):
        return _refuse(turn, row, status, cell, asked)
    assert isinstance(cell, To), "a waiting row is never carried out"
    if cell.check:
        return _check(turn, kind, payload, asked, policy)
    whose = None if asked is turn.by_input else asked
    if kind == "modify" and (wrong := end_stays(turn.present, payload["config"])) is not None:
        return turn.answer("refused", code=wrong.code, message=wrong.message, hint=wrong.hint, asked=whose)
    unchanged = _TRANSITIONS[cell.transition](turn, cell, payload, asked, policy)
    if unchanged is not None:
        return turn.answer("without_effect", code="stream.unchanged", message=unchanged, asked=whose)
    return turn.accept(whose)


_WHEN: Final = frozenset({"not_before", "when_idle", "idle_for_s", "dry_run"})
"""What says when a command is decided, and not what it does."""


def pending_of(turn: Turn, kind: str, payload: Payload, asked: Asked, **when: Any) -> dict[str, Any]:
    """Describe a command that is decided later."""
    return {
        "command_id": asked.id,
        "command": kind,
        "payload": {key: value for key, value in payload.items() if key not in _WHEN},
        "actor": asked.actor,
        "reason": asked.reason,
        "type": asked.type,
        **asked.position(),
        "since_ms": turn.item.at_ms,
        "not_before_ms": None,
        "when_idle": False,
        "deadline_ms": None,
        "dry_run": False,
        **when,
    }


def _refuse(turn: Turn, row: str, status: str, cell: Refused, asked: Asked) -> None:
    stream = turn.item.stream
    message = f"There is no stream {stream}." if status == ABSENT else f"{stream} is {status}: {row} is not possible."
    whose = None if asked is turn.by_input else asked
    turn.answer("refused", code=cell.code, message=message, hint=cell.hint, asked=whose)


def _waits(turn: Turn) -> str | None:
    """Name the waiting row that applies, or None when the command is decided now."""
    payload = turn.item.payload
    if (not_before := payload.get("not_before")) is not None and _time_ms(not_before) > turn.item.at_ms:
        return "… not before"
    return "… when idle" if _for_idle(payload) else None


def _for_idle(payload: Payload) -> bool:
    return bool(payload.get("when_idle")) or payload.get("idle_for_s") is not None


def _time_ms(text: str) -> int:
    return min(max(0, parse_rfc3339_ms(text)), MAX_TIME_MS)


def _wait(turn: Turn, row: str, policy: Policy) -> None:
    item, state, asked = turn.item, turn.state, turn.by_input
    status = ABSENT if state is None or state["status"] == DELETED else state["status"]
    cell = COMMANDS[row][status]
    if item.kind == "create" and status != ABSENT:
        cell = COMMANDS["create"][status]
    if isinstance(cell, Refused):
        return _refuse(turn, f"{item.kind} {row[2:]}", status, cell, asked)
    assert isinstance(cell, Wait)
    if _for_idle(item.payload) and (why := why_never_idle(in_effect(turn.present)["config"])) is not None:
        return turn.answer(
            "refused",
            code="stream.never_idle",
            message=f"{item.stream} is never said to be idle: {why}.",
            hint="Leave when-idle out, or schedule the command for a time (not-before).",
        )
    if len(turn.present["scheduled"]) >= policy.scheduled_max:
        return turn.answer(
            "refused",
            code="command.too_many_scheduled",
            message=f"{policy.scheduled_max} commands of {item.stream} wait already.",
            hint="Cancel one of them first.",
        )
    not_before = item.payload.get("not_before")
    pending = pending_of(
        turn,
        item.kind,
        item.payload,
        asked,
        not_before_ms=_time_ms(not_before) if row == "… not before" and not_before is not None else None,
        when_idle=_for_idle(item.payload),
    )
    if (idle_for_s := item.payload.get("idle_for_s")) is not None:
        pending["idle_for_ms"] = round(float(idle_for_s) * 1_000)
    return turn.emit("scheduled", asked=asked, pending=pending)


def _cancel(turn: Turn) -> None:
    state, asked = turn.state, turn.by_input
    if state is None or state["status"] == DELETED:
        cell = COMMANDS["cancel"][ABSENT]
        assert isinstance(cell, Refused)
        return _refuse(turn, "cancel", ABSENT, cell, asked)
    pending = state["scheduled"].get(turn.item.payload["command_id"])
    if pending is None:
        return turn.answer(
            "refused",
            code="command.not_scheduled",
            message=f"No command of {turn.item.stream} waits under that id.",
            hint="Describe the stream to see what waits.",
        )
    turn.answer(
        "refused",
        code="command.cancelled",
        message=f"Cancelled by {asked.actor} before it was due.",
        asked=Asked.by_pending(pending),
    )
    return turn.accept()


def _check(turn: Turn, kind: str, payload: Payload, asked: Asked, policy: Policy) -> None:
    """Have a worker find the positions first; the command waits for its answer."""
    state, whose = turn.present, None if asked is turn.by_input else asked
    dry_run = bool(payload.get("dry_run"))
    if state["checking"] is not None and (dry_run or not state["checking"].get("dry_run")):
        return turn.answer(
            "refused",
            code="command.check_pending",
            message=f"A {state['checking']['command']} of {turn.item.stream} is being checked already.",
            hint="Wait for its outcome.",
            asked=whose,
        )
    if "fence_pending" in state["conditions"]:
        return turn.answer(
            "refused",
            code="stream.fence_pending",
            message=f"Workers that were cut off from {turn.item.stream} may still hold an open transaction.",
            hint="Wait until a live worker has fenced them; this takes seconds.",
            asked=whose,
        )
    if state["checking"] is not None:
        turn.answer(
            "refused",
            code="command.superseded",
            message=f"A {kind} that is no dry run came before this one was checked.",
            hint="Ask again.",
            asked=Asked.by_pending(state["checking"]),
        )
    deadline_ms = turn.item.at_ms + policy.check_timeout_ms
    pending = pending_of(turn, kind, payload, asked, deadline_ms=deadline_ms, dry_run=dry_run)
    return turn.emit("checking", asked=asked, pending=pending)


def _created(turn: Turn, cell: To, payload: Payload, asked: Asked, policy: Policy) -> str | None:
    turn.emit(cell.transition, cell.status, asked=asked, new_epoch=True, config=payload["config"])
    return None


def _starting(turn: Turn, cell: To, payload: Payload, asked: Asked, policy: Policy) -> str | None:
    deadline_ms = turn.item.at_ms + policy.validation_timeout_ms
    turn.emit(cell.transition, cell.status, asked=asked, new_epoch=True, deadline_ms=deadline_ms)
    return None


def _draining(turn: Turn, cell: To, payload: Payload, asked: Asked, policy: Policy) -> str | None:
    then = "deleted" if payload.get("drain") else "paused"
    deadline_ms = turn.item.at_ms + drain_timeout_ms(turn)
    turn.emit(cell.transition, cell.status, asked=asked, new_epoch=True, deadline_ms=deadline_ms, then=then)
    return None


def drain_timeout_ms(turn: Turn) -> int:
    """Return how long a drain of this stream may take before it counts as stalled."""
    return round(float(turn.present["config"]["drain_timeout_s"]) * 1_000)


def _force_paused(turn: Turn, cell: To, payload: Payload, asked: Asked, policy: Policy) -> str | None:
    turn.emit(cell.transition, cell.status, asked=asked, new_epoch=True, unclean=True)
    return None


def _drain_cancelled(turn: Turn, cell: To, payload: Payload, asked: Asked, policy: Policy) -> str | None:
    turn.emit(cell.transition, cell.status, asked=asked, new_epoch=True)
    return None


def _pause_kept(turn: Turn, cell: To, payload: Payload, asked: Asked, policy: Policy) -> str | None:
    turn.emit(cell.transition, asked=asked)
    return None


def _retry_requested(turn: Turn, cell: To, payload: Payload, asked: Asked, policy: Policy) -> str | None:
    turn.emit(cell.transition, asked=asked)
    return None


def _modified(turn: Turn, cell: To, payload: Payload, asked: Asked, policy: Policy) -> str | None:
    state, config = turn.present, payload["config"]
    revision = state["revision"]
    if config == state["config"] and revision["rejected"] != revision["desired"]:  # else it is tried again
        return "The definition is the same already."
    touched = restarts(in_effect(state)["config"], config)
    # A stream that carries on although partitions failed is stopped wholly when it is no longer to isolate them.
    stops = state.get("carries_on") and config["isolate"] != "partition"
    restart = stops or (touched and (state["status"] in (RUNNING, FAILED) or state.get("carries_on")))
    starting = state["status"] == STARTING
    turn.emit(
        cell.transition,
        asked=asked,
        new_epoch=restart or starting,
        revision=revision["desired"] + 1,
        restart=restart,
        config=config,
        deadline_ms=turn.item.at_ms + policy.validation_timeout_ms if starting else None,
    )
    return None


def _deleted(turn: Turn, cell: To, payload: Payload, asked: Asked, policy: Policy) -> str | None:
    state = turn.present
    has_tasks = state["status"] in (RUNNING, FAILED, DRAINING) or state.get("carries_on")
    delete(turn, asked, policy, drained=not has_tasks)
    return None


def delete(turn: Turn, asked: Asked, policy: Policy, *, drained: bool) -> None:
    """End a stream; the commands that still waited are refused, since what they waited for is gone."""
    state = turn.present
    waiting = [*state["scheduled"].values(), *([state["checking"]] if state["checking"] is not None else [])]
    forget_ms = turn.item.at_ms + policy.forget_after_ms
    turn.emit("stream-deleted", DELETED, asked=asked, new_epoch=True, forget_ms=forget_ms, drained=drained)
    for pending in waiting:
        if pending["command_id"] != asked.id:
            turn.answer(
                "refused",
                code="command.superseded",
                message=f"{turn.item.stream} was deleted before it was due.",
                asked=Asked.by_pending(pending),
            )


_TRANSITIONS: Final[Mapping[str, Callable[[Turn, To, Payload, Asked, Policy], str | None]]] = {
    "stream-created": _created,
    "stream-starting": _starting,
    "stream-draining": _draining,
    "stream-paused": _force_paused,
    "pause-kept": _pause_kept,
    "stream-drain-cancelled": _drain_cancelled,
    "retry-requested": _retry_requested,
    "stream-modified": _modified,
    "stream-deleted": _deleted,
}
"""What each accepted command's transition carries; a string says that nothing changed, and why."""
