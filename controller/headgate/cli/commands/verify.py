"""`headgate verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.completing import complete_streams
from headgate.cli.options import Output, Where
from headgate.cli.output import Format

Receipts = Annotated[
    str | None,
    typer.Option(
        metavar="STREAM",
        help="Check the receipts of this stream's last drain against source and destination instead.",
        autocompletion=complete_streams,
    ),
]


def verify(*, receipts: Receipts = None, output: Output = Format.TABLE, where: Where) -> None:
    """Refold the history and compare it with the state topic, hash chain included. Exit code 1 when they differ."""
    if receipts is not None:
        from headgate.cli.auditing import verify_receipts

        verify_receipts(receipts, output, where)
    from headgate.cli.verifying import verify_namespace

    verify_namespace(output, where)
