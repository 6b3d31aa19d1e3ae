"""What the observer has to say about a stream: a deadline passed, a worker fell silent, or nobody is there to run it.

Pure: the state, the workers that are heard and the time come in, reports come out. Nothing here changes a state; the
fold decides on these reports like on any other, so a replay gives the same history. A report's id derives from what it
is about, so two observers that see the same thing say one thing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from headgate.core.conditions import can_hold
from headgate.core.deadlines import deadlines
from headgate.core.lifecycle import DELETED
from headgate_events.ids import observer_report_id

NOBODY: Final = "No worker is alive."


class Observation(NamedTuple):
    """One report that is to be appended: about which stream, of which kind, under which id, with which payload."""

    stream: str
    kind: str
    id: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Workers:
    """Who is heard: `present` have not fallen silent, `live` of them are not leaving either."""

    present: frozenset[str]
    live: frozenset[str]


def overdue(state: Mapping[str, Any], now_ms: int) -> tuple[Observation, ...]:
    """Return a report for every deadline in the state that has passed at `now_ms`."""
    return tuple(
        _observe(
            state,
            "deadline-passed",
            f"{deadline.kind}-{deadline.due_ms}-{deadline.command_id or ''}",
            deadline=deadline.kind,
            due_ms=deadline.due_ms,
            command_id=deadline.command_id,
        )
        for deadline in deadlines(state)
        if deadline.due_ms <= now_ms
    )


def missed(state: Mapping[str, Any], workers: Workers) -> tuple[Observation, ...]:
    """Return what is to be said about the workers of one stream; nothing when the state says it already."""
    if state["status"] == DELETED:
        return ()
    found = [
        _observe(state, "worker-silent", worker, lost=worker)
        for worker in state["tasks"]
        if worker not in workers.present
    ]
    held = "unassigned" in state["conditions"]
    if not workers.live and not held and can_hold("unassigned", state):
        found.append(_observe(state, "condition-raised", "unassigned", condition="unassigned", message=NOBODY))
    elif workers.live and held:
        found.append(_observe(state, "condition-cleared", "unassigned", condition="unassigned"))
    return tuple(found)


def _observe(state: Mapping[str, Any], kind: str, about: str, **content: Any) -> Observation:
    # Names and command ids may be as long as an id itself.
    short = hashlib.sha256(about.encode()).hexdigest()[:12]
    return Observation(
        stream=state["stream"],
        kind=kind,
        id=observer_report_id(state["stream"], state["incarnation"], state["version"], kind, short),
        payload={
            "kind": kind,
            "incarnation": state["incarnation"],
            "epoch": state["epoch"],
            "worker": None,
            **content,
        },
    )
