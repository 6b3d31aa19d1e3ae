"""`headgate dead-letters`: the records that a stream could not process, with where they came from and why."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.options import Name, Output, Where, verb
from headgate.cli.output import Format

app = typer.Typer(help="Records that a stream could not process and set aside.", no_args_is_help=True)

Code = Annotated[str | None, typer.Option(metavar="CODE", help="Only those with this error code.")]
Limit = Annotated[int, typer.Option(min=1, max=1_000_000, metavar="N", help="The newest N.")]


@app.command("list")
@verb
def list_letters(
    name: Name, *, code: Code = None, limit: Limit = 100, output: Output = Format.TABLE, where: Where
) -> None:
    """List dead letters: number, time, where the record came from, attempt, error."""
    from headgate.cli.letters import list_dead_letters

    list_dead_letters(name, code, limit, output, where)


@app.command()
@verb
def show(
    name: Name,
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="As `list` shows it: PARTITION:OFFSET.")],
    *,
    output: Output = Format.TABLE,
    where: Where,
) -> None:
    """Show one dead letter: everything that is known of it, with the record's key, value and headers."""
    from headgate.cli.letters import show_dead_letter

    show_dead_letter(name, number, output, where)


@app.command()
@verb
def export(name: Name, *, code: Code = None, where: Where) -> None:
    """Write all dead letters to standard output, one JSON object a line; bytes that are no text are base64."""
    from headgate.cli.letters import export_dead_letters

    export_dead_letters(name, code, where)
