"""`headgate projector`."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.options import Logs, Where


def projector(
    *,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of this process; else the host's.")] = None,
    logs: Logs,
    where: Where,
) -> None:
    """Run a projector, until SIGTERM or Ctrl-C. Several share the work and take over from one another."""
    from headgate.cli.parts import part_settings

    settings = part_settings(where, logs, projector_name=name)
    from headgate.bootstrap import make_projector

    make_projector(settings).run()
