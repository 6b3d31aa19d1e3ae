"""`headgate create`."""

from __future__ import annotations

from headgate.cli.options import Files, Output, Sending, Where
from headgate.cli.output import Format


def create(*, file: Files, sending: Sending, output: Output = Format.TABLE, where: Where) -> None:
    """Define streams from YAML. They are created NOT_STARTED, always: `headgate start` runs them."""
    import typer

    from headgate.cli.definition import read_definitions
    from headgate.cli.sending import plan, send_all
    from headgate.cli.verbs import target_of

    target = target_of(where)
    definitions = read_definitions(file)
    planned = plan(sending, len(definitions))
    orders = [planned.order("create", each.name, config=each.config) for each in definitions]
    raise typer.Exit(send_all(target, orders, planned, output))
