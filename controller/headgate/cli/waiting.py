"""What a scheduled command waits for, in words: its time or its fact, and what stands in the way of the fact now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headgate.cli.activities import QUIET, Activity
from headgate.cli.connection import StateJson
from headgate.cli.wording import age, plural, when
from headgate.core.idleness.possible import why_never_idle

Pending = Mapping[str, Any]


def due_words(pending: Pending) -> str:
    """Say when a command is due: `when idle`, `when drained and idle for 10m`, `not before 2026-…`."""
    facts = []
    if pending.get("not_before_ms") is not None:
        facts.append(f"not before {when(pending['not_before_ms'])}")
    idle_ms = pending.get("idle_for_ms")
    if idle_ms is not None:
        drains = pending["command"] == "delete" and pending["payload"].get("drain")
        facts.append(f"when {'drained and ' if drains else ''}idle for {span(idle_ms)}")
    elif pending.get("when_idle"):
        facts.append("when idle")
    return " and ".join(facts)


def span(milliseconds: int) -> str:
    """Write a length of time in at most two units: `10m`, `1h30m`, `2.5s`."""
    if milliseconds < 60_000 and milliseconds % 1_000:
        return f"{milliseconds / 1_000:g}s"
    return age(0, milliseconds)


def in_the_way(pending: Pending, state: StateJson, activity: Activity, now_ms: int) -> str | None:
    """Say what a command still waits for; None for one that waits for a time alone."""
    if not pending.get("when_idle"):
        return None
    if (never := why_never_idle(state["config"])) is not None:
        return f"this will not come: {never}"
    if state["status"] != "RUNNING":
        return f"the stream is {state['status']}, and only one that is RUNNING can become idle"
    if activity.status in QUIET and activity.said_since_ms is not None:
        idle_ms = pending.get("idle_for_ms")
        if idle_ms is None:
            return "it is idle, and a worker is about to say so"
        # What was before the command is not counted.
        lasted = age(max(activity.said_since_ms, pending["since_ms"]), now_ms)
        return f"it has been idle for {lasted} of {span(idle_ms)}; a record begins this anew"
    count = len(activity.channels)
    if activity.status == "ACTIVE":
        return f"{activity.idle} of {plural(count, 'partition')} idle"
    if activity.status == "OWNERLESS":
        return "no worker has a task of it"
    return f"nothing was said of {activity.unheard} of {plural(count, 'partition')} yet"
