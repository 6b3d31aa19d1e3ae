"""`watch`: the state now, then a line for each change, until Ctrl-C or the timeout. Both are a good end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from headgate.cli import connection as connections
from headgate.cli.choosing import check_names, labels_of
from headgate.cli.columns import reason_by
from headgate.cli.connection import StateJson, shown
from headgate.cli.goals import drained, newest_error
from headgate.cli.options import Where
from headgate.cli.output import STATUS_COLOURS, Format, as_json, as_yaml, coloured, say
from headgate.cli.selector import parse_selector
from headgate.cli.verbs import target_of
from headgate.cli.wording import duration_s, safe, when
from headgate_events.errors import InvalidRequest


def watch_streams(
    names: Sequence[str] | None, selector: str | None, timeout: str | None, form: Format, where: Where
) -> None:
    """Print every stream that was asked for as it is, then each change of one."""
    target = target_of(where)
    wanted = _wanted(names, selector)
    deadline = None if timeout is None else time.monotonic() + duration_s(timeout, "--timeout")
    seen: dict[str, StateJson] = {}
    try:
        with connections.open_connection(target) as connection:
            for name, state in sorted(connection.states().items()):
                if wanted(name, state):
                    _tell(name, None, state, form)
                    seen[name] = state
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            for change in connection.follow(left_s):
                state_now = None if change.state is None else shown(change.state)
                before = seen.get(change.stream)
                if state_now is None:
                    if seen.pop(change.stream, None) is not None:
                        _tell(change.stream, before, None, form)
                elif wanted(change.stream, state_now):
                    _tell(change.stream, before, state_now, form)
                    seen[change.stream] = state_now
    except KeyboardInterrupt:
        # The way to end it.
        return


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
