"""`cancel`: find the stream that holds a waiting command, and withdraw it."""

from __future__ import annotations

import typer

from headgate.cli import connection as connections
from headgate.cli.connection import OPEN_TIMEOUT_S
from headgate.cli.options import Sending, Where
from headgate.cli.output import Format
from headgate.cli.sending import plan, send_all
from headgate.cli.target import Target
from headgate.cli.verbs import target_of
from headgate.cli.wording import safe
from headgate_events.errors import InvalidRequest, NotFound


def cancel_command(command_id: str, stream: str | None, sending: Sending, output: Format, where: Where) -> None:
    """Withdraw one command and end with the exit code."""
    target = target_of(where)
    planned = plan(sending, 1)
    holder = stream or _holder(target, command_id)
    raise typer.Exit(send_all(target, [planned.order("cancel", holder, command_id=command_id)], planned, output))


def _holder(target: Target, command_id: str) -> str:
    with connections.open_connection(target) as connection:
        states = connection.states(OPEN_TIMEOUT_S)
    found = [name for name, state in states.items() if command_id in (state.get("scheduled") or {})]
    if not found:
        raise NotFound(
            f"No stream in {target.namespace} holds a waiting command {safe(command_id, 128)!r}.",
            hint="`headgate describe NAME` shows what waits; what was decided cannot be cancelled.",
        )
    if len(found) > 1:
        raise InvalidRequest(
            f"{', '.join(sorted(found)[:5])} all hold a waiting command {safe(command_id, 128)!r}.",
            hint="Say which with --stream.",
        )
    return found[0]
