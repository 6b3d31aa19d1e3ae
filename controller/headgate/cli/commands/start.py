"""`headgate start`."""

from __future__ import annotations

from headgate.cli.options import Names, Output, Selector, Sending, Where
from headgate.cli.output import Format


def start(
    names: Names = None,
    *,
    selector: Selector = None,
    sending: Sending,
    output: Output = Format.TABLE,
    where: Where,
) -> None:
    """Validate streams that never ran, and run them. --wait: until RUNNING, or until validation fails."""
    from headgate.cli.verbs import send_to

    send_to(names, selector, sending, where, output, "start")
