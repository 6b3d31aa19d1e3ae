"""`headgate resume`."""

from __future__ import annotations

from headgate.cli.options import Names, Output, Selector, Sending, Where
from headgate.cli.output import Format


def resume(
    names: Names = None,
    *,
    selector: Selector = None,
    sending: Sending,
    output: Output = Format.TABLE,
    where: Where,
) -> None:
    """Run paused streams again, from where their drain ended. --wait: until RUNNING."""
    from headgate.cli.verbs import send_to

    send_to(names, selector, sending, where, output, "resume")
