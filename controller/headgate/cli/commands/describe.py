"""`headgate describe`."""

from __future__ import annotations

from headgate.cli.options import Names, Output, Selector, Where
from headgate.cli.output import Format


def describe(names: Names = None, *, selector: Selector = None, output: Output = Format.TABLE, where: Where) -> None:
    """Show all that is known about streams: status, tasks, drain with receipts, error, checks, what waits, history."""
    from headgate.cli.looking import describe_streams

    describe_streams(names, selector, output, where)
