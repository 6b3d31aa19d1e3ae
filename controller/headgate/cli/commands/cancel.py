"""`headgate cancel`."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.completing import complete_streams
from headgate.cli.options import Output, Sending, Where
from headgate.cli.output import Format


def cancel(
    waiting_id: Annotated[str, typer.Argument(metavar="COMMAND_ID", help="The command that still waits.")],
    *,
    stream: Annotated[
        str | None,
        typer.Option(help="Its stream, where you know it.", autocompletion=complete_streams),
    ] = None,
    sending: Sending,
    output: Output = Format.TABLE,
    where: Where,
) -> None:
    """Withdraw a command that is scheduled or waits for a fact. `headgate describe` shows the ids."""
    from headgate.cli.cancelling import cancel_command

    cancel_command(waiting_id, stream, sending, output, where)
