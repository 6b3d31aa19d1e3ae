"""`watch` and `get -w`: the state now, then a line for each change, until Ctrl-C or the timeout. Both are a good end.

While a stream drains, `watch` also tells how far its workers are, by their heartbeats: those stand in no state. Nor do
edges of activity, which come from the markers; they stand among the changes, in the order in which both were read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from headgate.cli import connection as connections
from headgate.cli.activities import (
    FOLLOW_READ_S,
    Activity,
    activity_of,
    edge_json,
    edge_line,
    payload,
    read_activity,
    wide_cell,
)
from headgate.cli.choosing import check_names, labels_of, now_ms
from headgate.cli.columns import COLUMNS, WIDE_COLUMNS, reason_by, row
from headgate.cli.connection import Connection, LiveTask, StateJson, shown
from headgate.cli.description import task_line
from headgate.cli.goals import drained, newest_error
from headgate.cli.looking import tasks_now
from headgate.cli.options import Where
from headgate.cli.output import EMPTY, GAP, STATUS_COLOURS, Format, as_json, as_yaml, coloured, note, say
from headgate.cli.selector import parse_selector
from headgate.cli.verbs import target_of
from headgate.cli.waiting import due_words
from headgate.cli.wording import duration_s, safe, when
from headgate_events.errors import HeadgateError, InvalidRequest

if TYPE_CHECKING:
    from headgate_events.client.channels import ActivityEdge, ActivityTable
    from headgate_events.client.table import Change

SLICE_S: Final = 0.25
"""How long changes are waited for before edges are looked for."""
EDGES_S: Final = 0.05
LOOK_EVERY_S: Final = 1.0
"""How often the heartbeats are looked at while a stream drains; workers send them every two seconds."""
WIDTHS: Final = {"NAME": 20, "STATUS": 18, "SINCE": 6, "ACTIVITY": 11, "FAILED": 12, "CONDITIONS": 12}
"""What the columns of `get -w` begin with."""


def watch_streams(
    names: Sequence[str] | None, selector: str | None, timeout: str | None, form: Format, where: Where
) -> None:
    """Print every stream that was asked for as it is, then each change of one, and how drains go."""

    def tell(name: str, before: StateJson | None, state: StateJson | None, seen: Activity | None) -> None:
        _tell(name, before, state, seen, form)

    def tell_edge(state: StateJson, edge: ActivityEdge, seen: Activity) -> None:
        _tell_edge(state, edge, seen, form)

    progress = _tell_progress if form in {Format.TABLE, Format.WIDE} else None
    _follow(names, selector, timeout, where, Telling(tell, tell_edge, progress))


def watch_rows(names: Sequence[str] | None, selector: str | None, form: Format, where: Where) -> None:
    """Print the rows of `get`, then the row of a stream again whenever it changes."""
    wide = form is Format.WIDE
    columns = WIDE_COLUMNS if wide else COLUMNS
    widths = [max(len(column), WIDTHS.get(column, 0)) for column in columns]
    print_row(columns, widths)

    activities: dict[str, Activity] = {}

    def tell(name: str, _: StateJson | None, state: StateJson | None, seen: Activity | None) -> None:
        if state is None or seen is None:
            print_row([name, "(deleted)"], widths)
            return
        activities[name] = seen
        print_row(row(state, now_ms(), seen, wide=wide), widths)

    def tell_edge(state: StateJson, edge: ActivityEdge, seen: Activity) -> None:
        if seen.status != activities[edge.stream].status:
            activities[edge.stream] = seen
            print_row(row(state, now_ms(), seen, wide=wide), widths)

    _follow(names, selector, None, where, Telling(tell, tell_edge))


def print_row(cells: Sequence[str], widths: list[int]) -> None:
    """Print one row; a column grows with what it once held, since rows to come are not known."""
    made = [safe(cell) or EMPTY for cell in cells]
    for place, cell in enumerate(made):
        widths[place] = max(widths[place], len(cell)) if place < len(widths) - 1 else 0
    say(GAP.join(cell.ljust(width) for cell, width in zip(made, widths, strict=False)).rstrip())


@dataclass(frozen=True, slots=True)
class Telling:
    """What is called for a stream as it is and for each change, for each edge, and each second while one drains."""

    change: Callable[[str, StateJson | None, StateJson | None, Activity | None], None]
    edge: Callable[[StateJson, ActivityEdge, Activity], None]
    progress: Callable[[StateJson, Sequence[LiveTask], dict[str, str]], None] | None = None


def _follow(
    names: Sequence[str] | None, selector: str | None, timeout: str | None, where: Where, telling: Telling
) -> None:
    """Tell of every stream as it is, then of what happens to it, until the timeout or an interrupt."""
    target = target_of(where)
    wanted = _wanted(names, selector)
    deadline = None if timeout is None else time.monotonic() + duration_s(timeout, "--timeout")
    seen: dict[str, StateJson] = {}
    said: dict[str, str] = {}
    looked_s = float("-inf")
    try:
        with connections.open_connection(target) as connection:
            states = sorted(connection.states().items())
            table = read_activity(connection, FOLLOW_READ_S)
            for name, state in states:
                if wanted(name, state):
                    telling.change(name, None, state, activity_of(state, table))
                    seen[name] = state
            while True:
                if telling.progress is not None and time.monotonic() - looked_s >= LOOK_EVERY_S:
                    looked_s = time.monotonic()
                    _look_at_drains(connection, seen, telling.progress, said)
                slice_s = SLICE_S if table is not None else LOOK_EVERY_S
                left_s = slice_s if deadline is None else max(0.0, min(slice_s, deadline - time.monotonic()))
                for change in connection.follow(left_s):
                    _take(change, seen, wanted, table, telling)
                if table is not None and not _take_edges(connection, seen, table, min(EDGES_S, left_s), telling):
                    table = None
                if deadline is not None and time.monotonic() >= deadline:
                    return
    except KeyboardInterrupt:
        # The way to end it.
        return


def _take_edges(
    connection: Connection, seen: Mapping[str, StateJson], table: ActivityTable, timeout_s: float, telling: Telling
) -> bool:
    """Tell of the edges that came; say whether the markers can still be read."""
    assert connection.activity is not None
    try:
        for edge in connection.activity.follow(timeout_s):
            if (about := seen.get(edge.stream)) is not None:
                telling.edge(about, edge, activity_of(about, table))
    except HeadgateError as error:
        note(f"Activity is shown no longer: {error.message} ({error.code})")
        return False
    return True


def _look_at_drains(
    connection: Connection,
    seen: Mapping[str, StateJson],
    progress: Callable[[StateJson, Sequence[LiveTask], dict[str, str]], None],
    said: dict[str, str],
) -> None:
    draining = [state for state in seen.values() if state["status"] == "DRAINING"]
    if draining:
        live = connection.live()
        for state in draining:
            progress(state, tasks_now(live, state), said)


def _take(
    change: Change,
    seen: dict[str, StateJson],
    wanted: Callable[[str, StateJson], bool],
    table: ActivityTable | None,
    telling: Telling,
) -> None:
    state_now = None if change.state is None else shown(change.state)
    before = seen.get(change.stream)
    if state_now is None:
        if seen.pop(change.stream, None) is not None:
            telling.change(change.stream, before, None, None)
    elif wanted(change.stream, state_now):
        telling.change(change.stream, before, state_now, activity_of(state_now, table))
        seen[change.stream] = state_now


def _tell_progress(state: StateJson, tasks: Sequence[LiveTask], said: dict[str, str]) -> None:
    """Say how a drain goes, by the workers' heartbeats, when that is other than what was said last."""
    now = now_ms()
    words = "; ".join(task_line(task, now, state["epoch"]) for task in tasks)
    name = str(state["stream"])
    if words and said.get(name) != words:
        said[name] = words
        status = coloured("DRAINING", STATUS_COLOURS["DRAINING"])
        say(f"{when(now)}  {name}  {status}  {drained(state)}  {words}")


def _wanted(names: Sequence[str] | None, selector: str | None) -> Callable[[str, StateJson], bool]:
    given = frozenset(check_names(names))
    if given and selector is not None:
        raise InvalidRequest("Names and --selector do not go together.", hint="Give one of the two.")
    if given:
        return lambda name, _: name in given
    if selector is None:
        return lambda *_: True
    matches = parse_selector(selector)
    return lambda _, state: matches(labels_of(state))


def _tell(name: str, before: StateJson | None, state: StateJson | None, seen: Activity | None, form: Format) -> None:
    told = {"stream": name, "state": state, "activity": None if seen is None else payload(seen, channels=False)}
    match form:
        case Format.JSON:
            say(as_json(told, indent=False))
        case Format.YAML:
            say("---\n" + as_yaml(told))
        case Format.NAME:
            say(name)
        case _:
            say(line(name, before, state, seen))


def _tell_edge(state: StateJson, edge: ActivityEdge, seen: Activity, form: Format) -> None:
    if form is Format.NAME:
        say(edge.stream)
    elif form in {Format.JSON, Format.YAML}:
        activity = payload(seen, channels=False)
        told = {"stream": edge.stream, "state": state, "activity": activity, "edge": edge_json(edge)}
        say(as_json(told, indent=False) if form is Format.JSON else "---\n" + as_yaml(told))
    elif edge.channel is not None:
        say(edge_line(edge, seen))


def line(name: str, before: StateJson | None, state: StateJson | None, seen: Activity | None) -> str:
    """Write one change on a line: when, which, what it became, and what is to know of it."""
    if state is None:
        return f"{when(time.time_ns() // 1_000_000)}  {name}  deleted"
    status = str(state["status"])
    moved = before is not None and before["status"] != status
    shown_status = coloured(status, STATUS_COLOURS.get(status, ""))
    words = [
        when(state["updated_ms"]),
        name,
        f"{before['status']} → {shown_status}" if moved and before is not None else shown_status,
        f"version {state['version']}",
    ]
    if status == "DRAINING":
        words.append(drained(state))
    if error := newest_error(state):
        words.append(f"{safe(error['message'], 120)} ({error['code']})")
    if state["conditions"]:
        words.append(",".join(sorted(state["conditions"])))
    if before is None and seen is not None and (told := wide_cell(seen, now_ms())):
        words.append(told)
    earlier = {} if before is None else before["scheduled"]
    waiting = [pending for key, pending in state["scheduled"].items() if key not in earlier]
    words += [f"{pending['command']} waits, {due_words(pending)}" for pending in waiting]
    if before is None or moved:
        words.append(reason_by(state))
    else:
        revision = state["revision"]
        words.append(f"revision {revision['desired']}/{revision['applied']}, {len(state['tasks'])} tasks")
    return "  ".join(words)
