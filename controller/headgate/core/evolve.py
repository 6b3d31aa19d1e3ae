"""Evolve: how one record of the history changes a stream's state. The only place where a status is ever set.

The state follows from the history alone: `evolve` over a stream's transitions and outcomes, in order, gives the bytes
that stand on the state topic. It is pure, never raises for a record that the decider wrote, and changes nothing in
place: a new dictionary comes out, sharing what did not change.

A transition names the status it leads to, so `evolve` needs no table; what else it changes is one small function per
kind. A state is a plain dictionary of the shape `headgate_events.schema.state.StreamState`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from headgate.core.deadlines import next_due_ms
from headgate.core.flapping import BY_ITSELF, with_change
from headgate.core.lifecycle import CONDITIONS, ONLY_CARRYING
from headgate_events.chain import digest
from headgate_events.records import HistoryRecord

State = dict[str, Any]
Payload = Mapping[str, Any]

COMMAND_WINDOW: Final = 32
"""How many commands of a stream are remembered with their outcomes: the idempotence window."""
STRAGGLERS: Final = "Workers that were cut off, known ones or not, may still hold an open transaction."
ERRORS_MAX: Final = 256
"""How many errors of a stream are shown at once; the oldest go first."""


def evolve(state: State | None, record: HistoryRecord) -> State | None:
    """Fold one record of a stream's history into its state; None means that there is no such stream.

    Records that are not about the present stream (refusals of unreadable inputs, forwardings, answers given while it
    did not exist) change nothing.
    """
    payload = record.payload
    if record.kind == "forwarded":
        return state
    if record.kind == "outcome":
        if state is None or payload["incarnation"] != state["incarnation"]:
            return state
        state = _answered(state, payload)
        state["due_ms"] = next_due_ms(state)
        return state
    if record.kind == "stream-created":
        state = _created(state, payload)
    elif state is None or record.kind == "stream-forgotten":
        return None
    else:
        changed = _moved(state, payload)
        state = {**changed, **_CHANGES[record.kind](changed, payload)}
    state["version"] = payload["version"]
    state["epoch"] = payload["epoch"]
    state["updated_ms"] = payload["at_ms"]
    state["head"] = digest(record.value)
    state["inputs"] = _advanced(state["inputs"], payload["cause"])
    state["due_ms"] = next_due_ms(state)
    return state


def refold(records: Iterable[HistoryRecord], state: State | None = None) -> State | None:
    """Fold a stream's history, in order, into its state."""
    for record in records:
        state = evolve(state, record)
    return state


def _answered(state: State, outcome: Payload) -> State:
    changed = {**state, "inputs": _advanced(state["inputs"], outcome["input"])}
    if (decided_by := outcome["decided_by"]) is not None:
        changed["inputs"] = _advanced(changed["inputs"], decided_by)
    command_id = outcome["input_id"]
    if not outcome["input_type"].startswith("headgate.command.") or outcome["repeated"]:
        return changed
    if state["checking"] is not None and state["checking"]["command_id"] == command_id:
        changed["checking"] = None
        changed["conditions"] = _without(changed["conditions"], "checking")
    if outcome["dry_run"]:
        return changed
    remembered = {key: outcome[key] for key in ("outcome", "code", "message", "hint", "version") if outcome[key]}
    changed["commands"] = [*state["commands"], {"id": command_id, **remembered}][-COMMAND_WINDOW:]
    if command_id in state["scheduled"]:
        changed["scheduled"] = {key: value for key, value in state["scheduled"].items() if key != command_id}
    return changed


def _created(before: State | None, payload: Payload) -> State:
    """Begin an incarnation; of a remembered predecessor only its command ids and input positions live on."""
    return {
        "kind": "state",
        "due_ms": None,
        "stream": payload["stream"],
        "incarnation": payload["incarnation"],
        "version": 0,
        "epoch": 0,
        "started_epoch": 0,
        "status": payload["to_status"],
        "since_ms": payload["at_ms"],
        "created_ms": payload["at_ms"],
        "updated_ms": payload["at_ms"],
        "config": payload["config"],
        "revision": {"desired": 1, "applied": 0, "rejected": None, "checks": []},
        "restart_version": 0,
        "retry_version": 0,
        "positions": {},
        "partitions": None,
        "tasks": {},
        "deadline_ms": None,
        "drain": None,
        "errors": {},
        "failed_from": None,
        "carries_on": False,
        "changes_ms": [],
        "checks": [],
        "scheduled": {},
        "checking": None,
        "conditions": {},
        "commands": [] if before is None else before["commands"],
        "last": _last(payload),
        "head": "",
        "inputs": {"commands": 0, "reports": 0} if before is None else before["inputs"],
    }


def _moved(state: State, payload: Payload) -> State:
    """Copy the state; on a change of status also note who did it, and end the conditions that cannot hold any more."""
    to_status = payload["to_status"]
    if to_status == state["status"]:
        return dict(state)
    by_itself = payload["kind"] in BY_ITSELF
    return {
        **state,
        "changes_ms": with_change(state, payload["at_ms"]) if by_itself else state.get("changes_ms", []),
        "status": to_status,
        "since_ms": payload["at_ms"],
        "deadline_ms": None,
        "last": _last(payload),
        "conditions": {name: held for name, held in state["conditions"].items() if to_status in CONDITIONS[name]},
    }


def _last(payload: Payload) -> dict[str, Any]:
    return {key: payload[key] for key in ("kind", "version", "at_ms", "actor", "reason")}


def _advanced(inputs: Mapping[str, int], at: Payload) -> dict[str, int]:
    family = at["topic"].rpartition(".")[2]
    if at["offset"] < inputs[family]:
        return dict(inputs)
    return {**inputs, family: at["offset"] + 1}


def _with(
    held: Mapping[str, Any], name: str, at_ms: int, message: str = "", deadline_ms: int | None = None
) -> dict[str, Any]:
    return {**held, name: {"since_ms": at_ms, "message": message, "deadline_ms": deadline_ms}}


def _without(held: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in held.items() if name not in names}


def _starting(state: State, payload: Payload) -> State:
    return {"deadline_ms": payload["deadline_ms"], "checks": []}


def _run(payload: Payload) -> State:
    """Begin a run at explicit positions: nothing of an earlier one counts any more."""
    return {
        "started_epoch": payload["epoch"],
        "positions": payload["positions"],
        "tasks": {},
        "errors": {},
        "failed_from": None,
        "carries_on": False,
        "drain": None,
    }


def _started(state: State, payload: Payload) -> State:
    changes = {**_run(payload), "checks": payload["checks"], "partitions": payload["partitions"]}
    return {**changes, "ends": payload["ends"]} if payload.get("ends") else changes


def _not_validated(state: State, payload: Payload) -> State:
    return {"checks": payload["checks"]}


def _draining(state: State, payload: Payload) -> State:
    drain = _new_drain(payload, payload["then"], payload["deadline_ms"])
    if payload.get("silence") is not None:
        drain["silence"] = payload["silence"]
    return {"drain": drain}


def _pause_kept(state: State, payload: Payload) -> State:
    return {"drain": _without(state["drain"], "silence"), "last": _last(payload)}


def _new_drain(payload: Payload, then: str, deadline_ms: int | None) -> dict[str, Any]:
    return {
        "epoch": payload["epoch"],
        "then": then,
        "started_ms": payload["at_ms"],
        "deadline_ms": deadline_ms,
        "finished_ms": None,
        "listed": False,
        "receipts": {},
    }


def _drain_cancelled(state: State, payload: Payload) -> State:
    return {"drain": None}


def _source_listed(state: State, payload: Payload) -> State:
    drain = state["drain"]
    if drain is not None and drain["finished_ms"] is None:
        drain = {**drain, "listed": True}
    return {"partitions": payload["partitions"], "drain": drain}


def _partition_drained(state: State, payload: Payload) -> State:
    receipt, drain = payload["receipt"], state["drain"]
    of_topic = {**drain["receipts"].get(receipt["topic"], {}), str(receipt["partition"]): receipt}
    return {"drain": {**drain, "receipts": {**drain["receipts"], receipt["topic"]: of_topic}}}


def _paused(state: State, payload: Payload) -> State:
    drain = state["drain"]
    if drain is not None:
        drain = {**drain, "finished_ms": payload["at_ms"], "deadline_ms": None}
    conditions = state["conditions"]
    if payload["unclean"]:
        drain = None if drain is None else _without(drain, "silence")
        conditions = _with(conditions, "unclean", payload["at_ms"], "A forced pause gave up on what was in flight.")
        conditions = _with(conditions, "fence_pending", payload["at_ms"], STRAGGLERS)
    return {"drain": drain, "conditions": conditions, "tasks": {}, "errors": {}}


def _resumed(state: State, payload: Payload) -> State:
    return {**_run(payload), "checks": []}


def _recovered(state: State, payload: Payload) -> State:
    changes = _resumed(state, payload)
    if payload["to_status"] == "DRAINING" and state["drain"] is not None:
        changes["drain"] = _new_drain(payload, state["drain"]["then"], payload["deadline_ms"])
    return changes


def _error_kept(state: State, payload: Payload) -> State:
    error = {**payload["error"], "epoch": payload["epoch"]}
    before = state["errors"].get(error["id"])
    if before is not None:
        error = {**error, "first_seen_ms": before["first_seen_ms"]}
    others = _without(state["errors"], error["id"])
    while len(others) >= ERRORS_MAX:
        # Errors that a person has to see are kept longest: they say which partitions stand.
        passing = (name for name, other in others.items() if other["recoverable"])
        del others[next(passing, next(iter(others)))]
    return {"errors": {**others, error["id"]: error}}


def _failed_permanently(state: State, payload: Payload) -> State:
    # The status is the new one here; a drain that is not finished tells that it failed while draining.
    drain = state["drain"]
    draining = drain is not None and drain["finished_ms"] is None
    changes = {**_error_kept(state, payload), "failed_from": "DRAINING" if draining else "RUNNING", "carries_on": True}
    if payload["epoch"] != payload["version"]:
        return changes  # the tasks were not fenced: they go on with the partitions that have not failed
    return {
        **changes,
        **_stopped(state),
        "drain": {**drain, "deadline_ms": None} if draining else drain,
    }


def _stopped(state: State) -> State:
    """Nothing of a permanently failed stream runs (any more)."""
    return {"carries_on": False, "tasks": {}, "conditions": _without(state["conditions"], *ONLY_CARRYING)}


def _error_cleared(state: State, payload: Payload) -> State:
    error_id = payload["error_id"]
    return {"errors": _without(state["errors"], error_id) if error_id is not None else {}}


def _retry_requested(state: State, payload: Payload) -> State:
    return {"retry_version": payload["version"]}


def _modified(state: State, payload: Payload) -> State:
    before = state["revision"]
    changes: State = {
        "config": payload["config"],
        "revision": {**before, "desired": payload["revision"], "rejected": None, "checks": []},
        "retry_version": payload["version"],
    }
    if before["applied"] == before["desired"]:
        changes["last_applied"] = {"revision": before["applied"], "config": state["config"]}
    if payload["restart"]:
        changes |= {"restart_version": payload["version"], "tasks": {}}
    if state.get("carries_on") and payload["config"]["isolate"] == "stream":
        changes |= _stopped(state)
    if payload["deadline_ms"] is not None:
        changes["deadline_ms"] = payload["deadline_ms"]
    return changes


def _revision_rejected(state: State, payload: Payload) -> State:
    return {"revision": {**state["revision"], "rejected": payload["revision"], "checks": payload["checks"]}}


def _task_started(state: State, payload: Payload) -> State:
    task = {"revision": payload["revision"], "epoch": payload["epoch"], "since_ms": payload["at_ms"]}
    tasks = {**state["tasks"], payload["worker"]: task}
    applied = min(task["revision"] for task in tasks.values())
    changes: State = {
        "tasks": tasks,
        "revision": {**state["revision"], "applied": applied},
        "conditions": _without(state["conditions"], "unassigned"),
    }
    if applied == state["revision"]["desired"] and state.get("last_applied") is not None:
        changes["last_applied"] = None
    return changes


def _task_stopped(state: State, payload: Payload) -> State:
    worker = payload["worker"]
    tasks, revision = _without(state["tasks"], worker), state["revision"]
    # Whoever is left may be at a newer revision than the one that went; with nobody left nothing is known anew.
    applied = min((task["revision"] for task in tasks.values()), default=revision["applied"])
    return {
        "tasks": tasks,
        "revision": {**revision, "applied": applied},
        "errors": {
            key: error
            for key, error in state["errors"].items()
            if error["worker"] != worker or not error["recoverable"]
        },
    }


def _condition_raised(state: State, payload: Payload) -> State:
    name, drain = payload["condition"], state["drain"]
    before = state["conditions"].get(name)
    since_ms = payload["at_ms"] if before is None else before["since_ms"]
    held = _with(state["conditions"], name, since_ms, payload["message"], payload["deadline_ms"])
    changes: State = {"conditions": held}
    if name == "stalled" and drain is not None and drain["finished_ms"] is None:
        changes["drain"] = {**drain, "deadline_ms": None}
    return changes


def _condition_cleared(state: State, payload: Payload) -> State:
    changes: State = {"conditions": _without(state["conditions"], payload["condition"])}
    if payload.get("deadline_ms") is not None and state["drain"] is not None:
        changes["drain"] = {**state["drain"], "deadline_ms": payload["deadline_ms"]}
    return changes


def _scheduled(state: State, payload: Payload) -> State:
    pending = payload["pending"]
    return {"scheduled": {**state["scheduled"], pending["command_id"]: pending}}


def _checking(state: State, payload: Payload) -> State:
    pending = payload["pending"]
    command_id = pending["command_id"]
    what = f"A dry run of {pending['command']}" if pending.get("dry_run") else pending["command"]
    message = f"{what} waits for a check of the positions."
    return {
        "checking": pending,
        "scheduled": _without(state["scheduled"], command_id),
        "conditions": _with(state["conditions"], "checking", payload["at_ms"], message),
    }


def _deleted(state: State, payload: Payload) -> State:
    conditions = {} if payload["drained"] else _with({}, "fence_pending", payload["at_ms"], STRAGGLERS)
    return {
        "deadline_ms": payload["forget_ms"],
        "conditions": conditions,
        "tasks": {},
        "errors": {},
        "carries_on": False,
        "drain": None,
    }


_CHANGES: Final[Mapping[str, Callable[[State, Payload], State]]] = {
    "stream-starting": _starting,
    "stream-started": _started,
    "stream-validation-failed": _not_validated,
    "stream-draining": _draining,
    "stream-drain-cancelled": _drain_cancelled,
    "source-listed": _source_listed,
    "partition-drained": _partition_drained,
    "stream-paused": _paused,
    "pause-kept": _pause_kept,
    "stream-resumed": _resumed,
    "stream-recovered": _recovered,
    "stream-failed": _error_kept,
    "stream-failed-permanently": _failed_permanently,
    "error-noted": _error_kept,
    "error-cleared": _error_cleared,
    "retry-requested": _retry_requested,
    "stream-modified": _modified,
    "revision-rejected": _revision_rejected,
    "task-started": _task_started,
    "task-stopped": _task_stopped,
    "condition-raised": _condition_raised,
    "condition-cleared": _condition_cleared,
    "scheduled": _scheduled,
    "checking": _checking,
    "stream-deleted": _deleted,
}
