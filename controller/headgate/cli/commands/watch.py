"""`headgate watch`."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.options import Names, Output, Selector, Where
from headgate.cli.output import Format


def watch(
    names: Names = None,
    *,
    selector: Selector = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="DURATION", help="End after this long; for ever by default.")
    ] = None,
    output: Output = Format.TABLE,
    where: Where,
) -> None:
    """Follow streams: a line for each change and for a drain's progress, until Ctrl-C; -o json: an object on each."""
    from headgate.cli.watching import watch_streams

    watch_streams(names, selector, timeout, output, where)
