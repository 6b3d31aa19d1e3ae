"""`headgate apply`."""

from __future__ import annotations

from headgate.cli.options import Files, Output, Sending, Where
from headgate.cli.output import Format


def apply(*, file: Files, sending: Sending, output: Output = Format.TABLE, where: Where) -> None:
    """Create streams, or modify them to what the files say; shows the difference, asks nothing.

    A stream that is as its file says is left alone. --wait: until every task runs the new revision.
    """
    import typer

    from headgate.cli.applying import apply_definitions
    from headgate.cli.definition import read_definitions
    from headgate.cli.sending import plan
    from headgate.cli.verbs import target_of

    target = target_of(where)
    definitions = read_definitions(file)
    raise typer.Exit(apply_definitions(target, definitions, plan(sending, len(definitions)), output))
