"""`headgate verify`."""

from __future__ import annotations

from headgate.cli.options import Output, Where
from headgate.cli.output import Format


def verify(*, output: Output = Format.TABLE, where: Where) -> None:
    """Refold the history and compare it with the state topic, hash chain included. Exit code 1 when they differ."""
    from headgate.cli.verifying import verify_namespace

    verify_namespace(output, where)
