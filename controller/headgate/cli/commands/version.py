"""`headgate version`."""

from __future__ import annotations

from headgate.cli.options import Output
from headgate.cli.output import Format


def version(*, output: Output = Format.TABLE) -> None:
    """Print the version of Headgate."""
    from headgate.cli.output import say, structured
    from headgate_events.version import __version__

    if output in {Format.JSON, Format.YAML}:
        structured({"version": __version__}, output)
    else:
        say(__version__ if output is Format.NAME else f"headgate {__version__}")
