"""`headgate projector`."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.options import Where


def projector(
    *,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Name of this process; else the host's.")] = None,
    log_level: Annotated[str | None, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, typer.Option(metavar="FORM", help="json or text.")] = None,
    where: Where,
) -> None:
    """Run a projector, until SIGTERM or Ctrl-C. Several share the work and take over from one another."""
    from headgate.cli.parts import part_settings

    settings = part_settings(where, projector_name=name, log_level=log_level, log_format=log_format)
    from headgate.bootstrap import make_projector

    make_projector(settings).run()
