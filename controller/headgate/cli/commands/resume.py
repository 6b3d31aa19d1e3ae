"""`headgate resume`."""

from __future__ import annotations

from headgate.cli.options import At, Names, Offsets, Output, Selector, Sending, Skip, Where
from headgate.cli.output import Format


def resume(
    names: Names = None,
    *,
    at: At = None,
    offsets: Offsets = None,
    skip: Skip = None,
    selector: Selector = None,
    sending: Sending,
    output: Output = Format.TABLE,
    where: Where,
) -> None:
    """Run paused streams again, from where their drain ended or at positions of your choice. --wait: until RUNNING."""
    from headgate.cli.positions import read_policy
    from headgate.cli.verbs import send_to

    positions = read_policy(at, offsets or [], skip).model_dump(mode="json")
    send_to(names, selector, sending, where, output, "resume", positions=positions)
