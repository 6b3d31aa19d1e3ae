"""`headgate worker`."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.options import Logs, Where


def worker(
    *,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of this worker, kept over restarts; else the host's."),
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, max=256, metavar="N", help="Processes, for more cores: NAME-1 to NAME-N.")
    ] = 1,
    logs: Logs,
    where: Where,
) -> None:
    """Run a worker, until SIGTERM or Ctrl-C: it then finishes what is in flight and leaves."""
    from headgate.cli.parts import part_settings, run_processes

    settings = part_settings(where, logs, worker_name=name)
    if processes > 1:
        raise typer.Exit(run_processes(settings, processes))
    from headgate.bootstrap import make_worker

    raise typer.Exit(make_worker(settings).run(signals=True))
