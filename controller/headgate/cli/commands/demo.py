"""`headgate demo`."""

from __future__ import annotations

import typer


def demo(ctx: typer.Context) -> None:
    """Show the main job on real flights, from an empty Kafka to every record checked. Takes a minute or two."""
    from headgate.demo.main import main

    raise typer.Exit(main(ctx.args))
