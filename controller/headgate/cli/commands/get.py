"""`headgate get`."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.options import Names, Output, Selector, Where
from headgate.cli.output import Format


def get(
    names: Names = None,
    *,
    selector: Selector = None,
    follow: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on: a row again for each change, until Ctrl-C.")
    ] = False,
    output: Output = Format.TABLE,
    where: Where,
) -> None:
    """List streams: where they are, since when, what failed and when it is tried again, who put them there and why."""
    if follow:
        from headgate.cli.watching import watch_rows, watch_streams

        if output in {Format.TABLE, Format.WIDE}:
            watch_rows(names, selector, output, where)
        else:
            watch_streams(names, selector, None, output, where)
        return
    from headgate.cli.looking import get_streams

    get_streams(names, selector, output, where)
