"""`headgate activity`."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.completing import complete_streams
from headgate.cli.options import Output, Where
from headgate.cli.output import Format


def activity(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The stream.", autocompletion=complete_streams)],
    *,
    edges: Annotated[bool, typer.Option("--edges", help="The past: every edge that is kept, oldest first.")] = False,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="With --edges: from a time, or 15m for the last 15.")
    ] = None,
    follow: Annotated[bool, typer.Option("--watch", "-w", help="Then a line for each edge, until Ctrl-C.")] = False,
    output: Output = Format.TABLE,
    where: Where,
) -> None:
    """Show who is idle in a stream, since when and on what proof, and how far event time has come."""
    from headgate.cli.quiet import show_activity

    show_activity(name, edges, since, follow, output, where)
