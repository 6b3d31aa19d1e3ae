"""`headgate cancel-drain`."""

from __future__ import annotations

from headgate.cli.options import Names, Output, Selector, Sending, Where
from headgate.cli.output import Format


def cancel_drain(
    names: Names = None,
    *,
    selector: Selector = None,
    sending: Sending,
    output: Output = Format.TABLE,
    where: Where,
) -> None:
    """Go back to running from an unfinished drain. --wait: until RUNNING."""
    from headgate.cli.verbs import send_to

    send_to(names, selector, sending, where, output, "cancel-drain")
