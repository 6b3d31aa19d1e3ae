"""`get` and `describe`: a snapshot of the state, chosen by name or label, in the form that was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import typer

from headgate.cli import connection as connections
from headgate.cli.choosing import check_names, labels_of, now_ms
from headgate.cli.columns import COLUMNS, WIDE_COLUMNS, row
from headgate.cli.connection import OPEN_TIMEOUT_S, Connection, LiveTask, StateJson
from headgate.cli.exits import OK, REFUSED
from headgate.cli.options import Where
from headgate.cli.output import STATUS_COLOURS, Format, note, say, several, table
from headgate.cli.selector import parse_selector
from headgate.cli.target import Target
from headgate.cli.verbs import target_of
from headgate_events.errors import InvalidRequest

WITH_TASKS: Final = frozenset({"RUNNING", "DRAINING", "FAILED", "FAILED_PERMANENTLY"})
"""Where workers may have tasks whose progress is worth a look at the heartbeats."""


def get_streams(names: Sequence[str] | None, selector: str | None, form: Format, where: Where) -> None:
    """List streams and end with 2 when one that was named does not exist."""
    target = target_of(where)
    with connections.open_connection(target) as connection:
        found, missing = pick(connection, names, selector)
    if form in {Format.JSON, Format.YAML}:
        if found or not missing:
            several(found, form, alone=len(names or ()) == 1)
    elif form is Format.NAME:
        for state in found:
            say(str(state["stream"]))
    elif found:
        wide = form is Format.WIDE
        now = now_ms()
        table(WIDE_COLUMNS if wide else COLUMNS, [row(state, now, wide=wide) for state in found], STATUS_COLOURS)
    end(target, found, missing, selector)


def describe_streams(names: Sequence[str] | None, selector: str | None, form: Format, where: Where) -> None:
    """Show all about streams and end with 2 when one that was named does not exist."""
    from headgate.cli.description import describe
    from headgate.cli.past import last_transitions

    target = target_of(where)
    with connections.open_connection(target) as connection:
        found, missing = pick(connection, names, selector)
        if form in {Format.JSON, Format.YAML}:
            if found or not missing:
                several(found, form, alone=len(names or ()) == 1)
        else:
            live = connection.live() if any(state["status"] in WITH_TASKS for state in found) else {}
            for number, state in enumerate(found):
                if number:
                    say("")
                describe(state, last_transitions(connection, state), now_ms(), tasks_now(live, state))
    end(target, found, missing, selector)


def tasks_now(live: Mapping[str, Sequence[LiveTask]], state: StateJson) -> list[LiveTask]:
    """Return what workers say of a stream's tasks, also of those that are too busy to have heard of a drain."""
    return [task for task in live.get(state["stream"], ()) if task.said["incarnation"] == state["incarnation"]]


def pick(
    connection: Connection, names: Sequence[str] | None, selector: str | None
) -> tuple[list[StateJson], list[str]]:
    """Return the states that were asked for, in the order of the names (else sorted), and the missing names."""
    given = check_names(names)
    if given and selector is not None:
        raise InvalidRequest("Names and --selector do not go together.", hint="Give one of the two.")
    matches = parse_selector(selector) if selector is not None else None
    states = connection.states(OPEN_TIMEOUT_S)
    if given:
        return [states[name] for name in given if name in states], [name for name in given if name not in states]
    found = [state for _, state in sorted(states.items()) if matches is None or matches(labels_of(state))]
    return found, []


def end(target: Target, found: Sequence[StateJson], missing: Sequence[str], selector: str | None) -> None:
    """Say what is missing and end with the exit code."""
    for name in missing:
        note(f"There is no stream {name} in {target.namespace}. See `headgate get`. (stream.not_found)")
    if not found and not missing:
        note(f"No stream in {target.namespace}" + (f" matches {selector}." if selector else "."))
    raise typer.Exit(REFUSED if missing else OK)
