"""`headgate history`."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.completing import complete_streams
from headgate.cli.options import Output, Where
from headgate.cli.output import Format


def history(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The stream; without one, all.", autocompletion=complete_streams),
    ] = None,
    *,
    outcomes: Annotated[bool, typer.Option("--outcomes", help="Also every answer, refusals among them.")] = False,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="From a time, or 15m for the last 15.")] = None,
    from_version: Annotated[int | None, typer.Option(min=1, metavar="N", help="From this version on.")] = None,
    tail: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the last N.")] = None,
    output: Output = Format.TABLE,
    where: Where,
) -> None:
    """Show who did what to a stream, when and why, oldest first."""
    from headgate.cli.past import show_history

    show_history(name, outcomes, since, from_version, tail, output, where)
