"""`headgate pause`."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.options import Names, Output, Selector, Sending, Where
from headgate.cli.output import Format


def pause(
    names: Names = None,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Give up on the drain: PAUSED at once, with the condition unclean.")
    ] = False,
    selector: Selector = None,
    sending: Sending,
    output: Output = Format.TABLE,
    where: Where,
) -> None:
    """Drain streams and pause them: what is in flight is finished first. --wait: until PAUSED, with every receipt."""
    from headgate.cli.verbs import send_to

    send_to(names, selector, sending, where, output, "pause", force=force)
