"""`headgate demo`."""

from __future__ import annotations

from typing import Annotated

import typer


def demo(
    *,
    pace: Annotated[
        float | None, typer.Option(min=1, max=100_000, metavar="N", help="Departures a second; 400 by default.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Stay at the end until Ctrl-C, to look around.")] = False,
) -> None:
    """Show the main job on real flights, from an empty Kafka to every record checked. Takes about a minute."""
    from headgate.demo.run import DEFAULT_PACE, run_demo

    raise typer.Exit(run_demo(pace=DEFAULT_PACE if pace is None else pace, keep=keep))
