"""`headgate delete`."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.options import Names, Output, Selector, Sending, Where
from headgate.cli.output import Format


def delete(
    names: Names = None,
    *,
    drain: Annotated[bool, typer.Option("--drain", help="Finish what is in flight first.")] = False,
    selector: Selector = None,
    sending: Sending,
    output: Output = Format.TABLE,
    where: Where,
) -> None:
    """Stop streams at once and forget them. --wait: until they are gone."""
    from headgate.cli.verbs import send_to

    send_to(names, selector, sending, where, output, "delete", drain=drain)
