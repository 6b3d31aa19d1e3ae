"""`headgate init`."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.options import Output, Where
from headgate.cli.output import Format


def init(
    *,
    check: Annotated[bool, typer.Option("--check", help="Only look; create nothing.")] = False,
    partitions: Annotated[
        int | None, typer.Option(min=1, max=1_000, metavar="N", help="Partitions of a new namespace; 8 by default.")
    ] = None,
    replication_factor: Annotated[
        int | None,
        typer.Option(min=1, max=100, metavar="N", help="Copies of each record; else the cluster decides."),
    ] = None,
    output: Output = Format.TABLE,
    where: Where,
) -> None:
    """Create the topics of the namespace where they are missing, and check those that are there."""
    from headgate.cli.initialising import initialise

    initialise(check, partitions, replication_factor, output, where)
