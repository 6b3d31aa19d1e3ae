"""`headgate retry`."""

from __future__ import annotations

from headgate.cli.options import Names, Output, Selector, Sending, Where
from headgate.cli.output import Format


def retry(
    names: Names = None,
    *,
    selector: Selector = None,
    sending: Sending,
    output: Output = Format.TABLE,
    where: Where,
) -> None:
    """Retry failed streams now instead of at their next try. --wait: until RUNNING."""
    from headgate.cli.verbs import send_to

    send_to(names, selector, sending, where, output, "retry")
