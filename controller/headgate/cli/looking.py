"""`get` and `describe`: a snapshot of the state, chosen by name or label, in the form that was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import typer

from headgate.cli import connection as connections
from headgate.cli.activities import HEARD_MS, READ_S, SAID_MS, activity_of, payload, read_activity
from headgate.cli.choosing import check_names, labels_of, now_ms
from headgate.cli.columns import COLUMNS, WIDE_COLUMNS, row
from headgate.cli.connection import OPEN_TIMEOUT_S, Connection, LiveTask, StateJson
from headgate.cli.exits import OK, REFUSED
from headgate.cli.options import Where
from headgate.cli.output import STATUS_COLOURS, Format, note, say, several, table
from headgate.cli.selector import parse_selector
from headgate.cli.target import Target
from headgate.cli.verbs import target_of
from headgate_events.client.channels import ActivityTable
from headgate_events.errors import HeadgateError, InvalidRequest

WITH_TASKS: Final = frozenset({"RUNNING", "DRAINING", "FAILED", "FAILED_PERMANENTLY"})
"""Where workers may have tasks whose progress is worth a look at the heartbeats."""


def get_streams(names: Sequence[str] | None, selector: str | None, form: Format, where: Where) -> None:
    """List streams and end with 2 when one that was named does not exist."""
    target = target_of(where)
    with connections.open_connection(target) as connection:
        found, missing = pick(connection, names, selector)
        said, live = _look_at_all(connection) if found and form is not Format.NAME else (None, {})
    if form in {Format.JSON, Format.YAML}:
        if found or not missing:
            whole = [with_activity(state, said, tasks_now(live, state)) for state in found]
            several(whole, form, alone=len(names or ()) == 1)
    elif form is Format.NAME:
        for state in found:
            say(str(state["stream"]))
    elif found:
        wide = form is Format.WIDE
        now = now_ms()
        rows = [
            row(state, now, activity_of(state, said, tasks_now(live, state), whole=False), wide=wide) for state in found
        ]
        table(WIDE_COLUMNS if wide else COLUMNS, rows, STATUS_COLOURS)
    end(target, found, missing, selector)


def _look_at_all(connection: Connection) -> tuple[ActivityTable | None, Mapping[str, Sequence[LiveTask]]]:
    """Return what is said of all streams at this moment, at a cost that does not grow with the past."""
    now = now_ms()
    said = read_activity(connection, since_ms=now - SAID_MS)
    try:
        return said, connection.live(READ_S, since_ms=now - HEARD_MS)
    except HeadgateError as error:
        if said is not None:
            note(f"Activity is shown in part: {error.message} ({error.code})")
        return said, {}


def describe_streams(names: Sequence[str] | None, selector: str | None, form: Format, where: Where) -> None:
    """Show all about streams and end with 2 when one that was named does not exist."""
    from headgate.cli.description import describe
    from headgate.cli.past import last_transitions

    target = target_of(where)
    with connections.open_connection(target) as connection:
        found, missing = pick(connection, names, selector)
        live = connection.live() if any(state["status"] in WITH_TASKS for state in found) else {}
        said = read_activity(connection, streams=[state["stream"] for state in found]) if found else None
        if form in {Format.JSON, Format.YAML}:
            if found or not missing:
                whole = [with_activity(state, said, tasks_now(live, state), channels=True) for state in found]
                several(whole, form, alone=len(names or ()) == 1)
        else:
            for number, state in enumerate(found):
                if number:
                    say("")
                tasks = tasks_now(live, state)
                activity = activity_of(state, said, tasks)
                describe(state, last_transitions(connection, state), now_ms(), tasks, activity)
    end(target, found, missing, selector)


def with_activity(
    state: StateJson, said: ActivityTable | None, tasks: Sequence[LiveTask] = (), *, channels: bool = False
) -> StateJson:
    """Return a state with its activity beside its status, for programs; null where it could not be read."""
    found = dict(state)
    since = list(found).index("since_ms") + 1
    known = said is not None or tasks
    activity = payload(activity_of(state, said, tasks, whole=channels), channels=channels) if known else None
    return dict([*list(found.items())[:since], ("activity", activity), *list(found.items())[since:]])


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
