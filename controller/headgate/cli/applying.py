"""`apply`: what is there against what the file says; the difference is shown, and only a difference is sent."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from headgate.cli import connection as connections
from headgate.cli.connection import OPEN_TIMEOUT_S, Order
from headgate.cli.definition import Definition
from headgate.cli.exits import OK
from headgate.cli.output import Format, coloured, say
from headgate.cli.results import Result, report
from headgate.cli.sending import Plan, exchange, reach_goals
from headgate.cli.target import Target
from headgate.cli.wording import safe
from headgate_events.schema.config import RESTARTING_SECTIONS


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: the dotted path, and the values before and after (None where there is none)."""

    path: str
    sign: Literal["+", "-", "~"]
    before: Any = None
    after: Any = None

    def __str__(self) -> str:
        if self.sign == "~":
            return f"  ~ {self.path}: {_written(self.before)} → {_written(self.after)}"
        return f"  {self.sign} {self.path}: {_written(self.after if self.sign == '+' else self.before)}"


def difference(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> Iterator[Change]:
    """Yield how two configurations differ, key by key in the order of their names."""
    for key in sorted({*before, *after}):
        where = f"{path}.{key}" if path else key
        old, new = before.get(key), after.get(key)
        if key in before and key in after and old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from difference(old, new, where)
        elif old is None:
            yield Change(where, "+", after=new)
        elif new is None:
            yield Change(where, "-", before=old)
        else:
            yield Change(where, "~", old, new)


def apply_definitions(target: Target, definitions: Sequence[Definition], planned: Plan, form: Format) -> int:
    """Create or modify every stream to what its definition says. Return the worst exit code."""
    deadline = time.monotonic() + planned.timeout_s
    with connections.open_connection(target) as connection:
        states = connection.states(min(OPEN_TIMEOUT_S, planned.timeout_s))
        unchanged: list[Result] = []
        orders: list[Order] = []
        for definition in definitions:
            state = states.get(definition.name)
            if state is None:
                orders.append(planned.order("create", definition.name, config=definition.config))
                continue
            changes = list(difference(state["config"], definition.complete()))
            rejected = state["revision"]["rejected"] == state["revision"]["desired"]
            if not changes and not rejected:  # what the workers rejected is tried again: its cause may be gone
                unchanged.append(_unchanged(definition.name, state))
                continue
            if form in {Format.TABLE, Format.WIDE}:
                _show(definition.name, state, changes)
            orders.append(planned.order("modify", definition.name, config=definition.config))
        results = exchange(connection, orders, deadline)
        if planned.wait:
            results = reach_goals(connection, results, deadline, planned.timeout_s, tell=form is Format.TABLE)
    order_of = {definition.name: index for index, definition in enumerate(definitions)}
    return report(sorted([*unchanged, *results], key=lambda result: order_of[result.stream]), form)


def _unchanged(name: str, state: Mapping[str, Any]) -> Result:
    return Result(
        name,
        "apply",
        "",
        "unchanged",
        OK,
        version=state["version"],
        incarnation=state["incarnation"],
        status=state["status"],
    )


def _show(name: str, state: Mapping[str, Any], changes: Sequence[Change]) -> None:
    restarting = sorted({change.path.split(".")[0] for change in changes} & set(RESTARTING_SECTIONS))
    if state["status"] in {"NOT_STARTED", "DRAINING", "PAUSED", "FAILED_PERMANENTLY"}:
        how = f"used when it runs (it is {state['status']})"
    elif restarting:
        how = f"the tasks restart at the same positions, because of {' and '.join(restarting)}"
    else:
        how = "applied while it runs, at a record boundary"
    say(f"{name}: {how}")
    for change in changes:
        say(coloured(str(change), {"+": "green", "-": "red", "~": "yellow"}[change.sign]))


def _written(value: Any) -> str:
    from headgate.cli.output import as_json

    return safe(value if isinstance(value, str) else as_json(value, indent=False), 200)
