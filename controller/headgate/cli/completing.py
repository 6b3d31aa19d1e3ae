"""What the shell completes: live names of streams, and contexts. Bounded in time, and silent when nothing can be known.

A person who presses the tab key wants names or nothing: an error message in the middle of a command line helps nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

import typer

BOUND_S: Final = 2.0


def complete_streams(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the names that begin with what is typed, each with its status; none when the cluster is slow."""

    def look() -> list[tuple[str, str]]:
        from headgate.cli import connection as connections
        from headgate.cli.target import find_target

        given = {**(ctx.find_root().obj or {}), **{name: value for name, value in ctx.params.items() if value}}
        target = find_target(given.get("bootstrap_servers"), given.get("namespace"), given.get("context"))
        with connections.open_connection(target) as connection:
            states = connection.states(BOUND_S)
        return [(name, str(state["status"])) for name, state in sorted(states.items()) if name.startswith(incomplete)]

    taken = set(ctx.params.get("names") or [])
    return [each for each in _within(BOUND_S, look) if each[0] not in taken]


def complete_contexts(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Return the names of contexts that begin with what is typed."""
    del ctx

    def look() -> list[tuple[str, str]]:
        from headgate.cli.contexts import read_contexts

        return [
            (name, each.bootstrap_servers or "")
            for name, each in sorted(read_contexts().contexts.items())
            if name.startswith(incomplete)
        ]

    return _within(BOUND_S, look)


def _within(bound_s: float, look: Callable[[], list[Any]]) -> list[Any]:
    """Run `look` on a thread that is left behind when it takes longer; any failure is an empty answer."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.extend(look())
        except Exception:  # noqa: BLE001 - the tab key is no place for an error; the command itself will say it
            found.clear()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(bound_s)
    return list(found)
