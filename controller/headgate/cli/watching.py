"""`watch` and `get -w`: the state now, then a line for each change, until Ctrl-C or the timeout. Both are a good end.

While a stream drains, `watch` also tells how far its workers are, by their heartbeats: those stand in no state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from headgate.cli import connection as connections
from headgate.cli.choosing import check_names, labels_of, now_ms
from headgate.cli.columns import COLUMNS, WIDE_COLUMNS, reason_by, row
from headgate.cli.connection import LiveTask, StateJson, shown
from headgate.cli.description import task_line
from headgate.cli.goals import drained, newest_error
from headgate.cli.looking import tasks_now
from headgate.cli.options import Where
from headgate.cli.output import EMPTY, GAP, STATUS_COLOURS, Format, as_json, as_yaml, coloured, say
from headgate.cli.selector import parse_selector
from headgate.cli.verbs import target_of
from headgate.cli.wording import duration_s, safe, when
from headgate_events.errors import InvalidRequest

if TYPE_CHECKING:
    from headgate_events.client.table import Change

LOOK_EVERY_S: Final = 1.0
"""How often the heartbeats are looked at while a stream drains; workers send them every two seconds."""
WIDTHS: Final = {"NAME": 20, "STATUS": 18, "SINCE": 6, "FAILED": 12, "CONDITIONS": 12}
"""What the columns of `get -w` begin with."""


def watch_streams(
    names: Sequence[str] | None, selector: str | None, timeout: str | None, form: Format, where: Where
) -> None:
    """Print every stream that was asked for as it is, then each change of one, and how drains go."""

    def tell(name: str, before: StateJson | None, state: StateJson | None) -> None:
        _tell(name, before, state, form)

    progress = _tell_progress if form in {Format.TABLE, Format.WIDE} else None
    _follow(names, selector, timeout, where, tell, progress)


def watch_rows(names: Sequence[str] | None, selector: str | None, form: Format, where: Where) -> None:
    """Print the rows of `get`, then the row of a stream again whenever it changes."""
    wide = form is Format.WIDE
    columns = WIDE_COLUMNS if wide else COLUMNS
    widths = [max(len(column), WIDTHS.get(column, 0)) for column in columns]
    print_row(columns, widths)

    def tell(name: str, _: StateJson | None, state: StateJson | None) -> None:
        if state is None:
            print_row([name, "(deleted)"], widths)
        else:
            print_row(row(state, now_ms(), wide=wide), widths)

    _follow(names, selector, None, where, tell, None)


def print_row(cells: Sequence[str], widths: list[int]) -> None:
    """Print one row; a column grows with what it once held, since rows to come are not known."""
    made = [safe(cell) or EMPTY for cell in cells]
    for place, cell in enumerate(made):
        widths[place] = max(widths[place], len(cell)) if place < len(widths) - 1 else 0
    say(GAP.join(cell.ljust(width) for cell, width in zip(made, widths, strict=False)).rstrip())


def _follow(
    names: Sequence[str] | None,
    selector: str | None,
    timeout: str | None,
    where: Where,
    tell: Callable[[str, StateJson | None, StateJson | None], None],
    progress: Callable[[StateJson, Sequence[LiveTask], dict[str, str]], None] | None,
) -> None:
    """Call `tell` for every stream as it is and for each change; `progress` each second for those that drain."""
    target = target_of(where)
    wanted = _wanted(names, selector)
    deadline = None if timeout is None else time.monotonic() + duration_s(timeout, "--timeout")
    seen: dict[str, StateJson] = {}
    said: dict[str, str] = {}
    try:
        with connections.open_connection(target) as connection:
            for name, state in sorted(connection.states().items()):
                if wanted(name, state):
                    tell(name, None, state)
                    seen[name] = state
            while True:
                draining = [state for state in seen.values() if state["status"] == "DRAINING"] if progress else []
                if progress is not None and draining:
                    live = connection.live()
                    for state in draining:
                        progress(state, tasks_now(live, state), said)
                left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
                slice_s = LOOK_EVERY_S if left_s is None else min(LOOK_EVERY_S, left_s)
                for change in connection.follow(slice_s):
                    _take(change, seen, wanted, tell)
                if deadline is not None and time.monotonic() >= deadline:
                    return
    except KeyboardInterrupt:
        # The way to end it.
        return


def _take(
    change: Change,
    seen: dict[str, StateJson],
    wanted: Callable[[str, StateJson], bool],
    tell: Callable[[str, StateJson | None, StateJson | None], None],
) -> None:
    state_now = None if change.state is None else shown(change.state)
    before = seen.get(change.stream)
    if state_now is None:
        if seen.pop(change.stream, None) is not None:
            tell(change.stream, before, None)
    elif wanted(change.stream, state_now):
        tell(change.stream, before, state_now)
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


def _tell(name: str, before: StateJson | None, state: StateJson | None, form: Format) -> None:
    match form:
        case Format.JSON:
            say(as_json({"stream": name, "state": state}, indent=False))
        case Format.YAML:
            say("---\n" + as_yaml({"stream": name, "state": state}))
        case Format.NAME:
            say(name)
        case _:
            say(line(name, before, state))


def line(name: str, before: StateJson | None, state: StateJson | None) -> str:
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
    if before is None or moved:
        words.append(reason_by(state))
    else:
        revision = state["revision"]
        words.append(f"revision {revision['desired']}/{revision['applied']}, {len(state['tasks'])} tasks")
    return "  ".join(words)
