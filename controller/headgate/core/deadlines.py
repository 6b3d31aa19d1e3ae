"""Deadlines: which moments a state waits for. The observer reports each when it has passed; the fold decides then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

DeadlineKind = Literal["validation", "drain", "check", "not_before", "unassigned", "flapping", "forget"]


class Deadline(NamedTuple):
    """One moment (epoch milliseconds) that a stream waits for, with the id of the command that waits, if one does."""

    due_ms: int
    kind: DeadlineKind
    command_id: str | None = None


def deadlines(state: Mapping[str, Any]) -> tuple[Deadline, ...]:
    """Return every deadline that stands in a state, the earliest first."""
    found: list[Deadline] = []
    status = state["status"]
    if state["deadline_ms"] is not None:
        found.append(Deadline(state["deadline_ms"], "forget" if status == "DELETED" else "validation"))
    drain, checking = state["drain"], state["checking"]
    if status == "DRAINING" and drain is not None and drain["deadline_ms"] is not None:
        found.append(Deadline(drain["deadline_ms"], "drain"))
    if checking is not None:
        found.append(Deadline(checking["deadline_ms"], "check", checking["command_id"]))
    found += (
        Deadline(pending["not_before_ms"], "not_before", pending["command_id"])
        for pending in state["scheduled"].values()
        if pending["not_before_ms"] is not None
    )
    unassigned = state["conditions"].get("unassigned")
    if unassigned is not None and status == "RUNNING":
        found.append(Deadline(unassigned["deadline_ms"], "unassigned"))
    if (flapping := state["conditions"].get("flapping")) is not None:
        found.append(Deadline(flapping["deadline_ms"], "flapping"))
    return tuple(sorted(found))


def next_due_ms(state: Mapping[str, Any]) -> int | None:
    """Return the earliest deadline of a state, or None when it waits for no moment."""
    found = deadlines(state)
    return found[0].due_ms if found else None
