"""`headgate recover`."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.options import Names, Output, Selector, Sending, Where
from headgate.cli.output import Format

PANEL = "Where to go on"


def recover(
    names: Names = None,
    *,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="POSITION", help="committed (default), earliest, latest, or a time.", rich_help_panel=PANEL
        ),
    ] = None,
    offsets: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOPIC:PARTITION=OFFSET",
            help="The next offset to read; may be repeated. Other partitions stay where they are.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    skip: Annotated[
        str | None,
        typer.Option(metavar="TOPIC:PARTITION=N", help="Pass over N records of one partition.", rich_help_panel=PANEL),
    ] = None,
    selector: Selector = None,
    sending: Sending,
    output: Output = Format.TABLE,
    where: Where,
) -> None:
    """Run streams that failed permanently again, at positions of your choice. --wait: until RUNNING."""
    from headgate.cli.positions import read_policy
    from headgate.cli.verbs import send_to

    positions = read_policy(at, offsets or [], skip).model_dump(mode="json")
    send_to(names, selector, sending, where, output, "recover", positions=positions)
