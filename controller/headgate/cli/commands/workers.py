"""`headgate workers`: which workers there are, what each runs, and emptying one for maintenance."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.options import Output, Where, verb
from headgate.cli.output import Format

app = typer.Typer(
    help="Which workers there are and what each runs; empty one for maintenance.", invoke_without_command=True
)

WorkerArgument = Annotated[str, typer.Argument(metavar="WORKER", help="The worker's name.")]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait until it is done.")]
Timeout = Annotated[str | None, typer.Option(metavar="DURATION", help="How long to wait; 5m by default.")]
Actor = Annotated[str | None, typer.Option(metavar="NAME", help="Who; HEADGATE_ACTOR, else user@host.")]


@app.callback()
@verb
def before_the_verb(ctx: typer.Context, *, output: Output = Format.TABLE, where: Where) -> None:
    """List workers, from their heartbeats: live, cordoned, stopping, stopped or silent, and what each runs."""
    if ctx.invoked_subcommand is None:
        from headgate.cli.fleet import list_workers

        list_workers(output, where)


@app.command("list")
@verb
def list_all(*, output: Output = Format.TABLE, where: Where) -> None:
    """List workers, from their heartbeats: live, cordoned, stopping, stopped or silent, and what each runs."""
    from headgate.cli.fleet import list_workers

    list_workers(output, where)


@app.command()
@verb
def drain(
    worker: WorkerArgument,
    *,
    wait: Wait = False,
    timeout: Timeout = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; whoever lists the workers sees it.")] = None,
    actor: Actor = None,
    where: Where,
) -> None:
    """Empty a worker: its tasks finish in good order and move to others. --wait: until it runs nothing."""
    from headgate.cli.fleet import drain_worker

    drain_worker(worker, where, wait=wait, timeout=timeout, reason=reason, actor=actor)


@app.command()
@verb
def undrain(
    worker: WorkerArgument, *, wait: Wait = False, timeout: Timeout = None, actor: Actor = None, where: Where
) -> None:
    """Let a worker run tasks again. --wait: until it says so."""
    from headgate.cli.fleet import undrain_worker

    undrain_worker(worker, where, wait=wait, timeout=timeout, actor=actor)
