"""`headgate get`."""

from __future__ import annotations

from headgate.cli.options import Names, Output, Selector, Where
from headgate.cli.output import Format


def get(names: Names = None, *, selector: Selector = None, output: Output = Format.TABLE, where: Where) -> None:
    """List streams: where they are, since when, who put them there and why."""
    from headgate.cli.looking import get_streams

    get_streams(names, selector, output, where)
