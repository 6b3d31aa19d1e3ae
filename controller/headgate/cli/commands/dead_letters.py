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
    """List dead letters: number, time, where the record came from, attempt, whether it was sent again, error."""
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


@app.command()
@verb
def retry(
    name: Name,
    numbers: Annotated[
        list[str] | None,
        typer.Argument(metavar="NUMBER", help="Those to send, as `list` shows them: PARTITION:OFFSET."),
    ] = None,
    *,
    all_of_them: Annotated[
        bool, typer.Option("--all", help="All of the stream's present incarnation that were not sent yet.")
    ] = False,
    code: Code = None,
    to_source: Annotated[
        bool,
        typer.Option("--to-source", help="Send the records back to the topic that the stream reads, whatever runs."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Run the transform and say what would be sent; send nothing.")
    ] = False,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; it is remembered.")] = None,
    actor: Annotated[str | None, typer.Option(metavar="NAME", help="Who; HEADGATE_ACTOR, else user@host.")] = None,
    output: Output = Format.TABLE,
    where: Where,
) -> None:
    """Send dead letters once more, through the stream's present transform to its destination, and remember it.

    This process does the work, so run it where a worker could run: with the modules of the transform
    (HEADGATE_TRANSFORM_MODULES) and the connections (HEADGATE_CONNECTIONS). What fails again becomes a new dead letter.
    Into Kafka on the stream's cluster each is sent exactly once, also by two at the same time; elsewhere at least once.
    A destination that keeps positions itself needs --to-source.
    """
    from headgate.cli.retrying import retry_dead_letters

    retry_dead_letters(
        name,
        numbers or (),
        where,
        output,
        everything=all_of_them,
        code=code,
        to_source=to_source,
        dry_run=dry_run,
        reason=reason,
        actor=actor,
    )
