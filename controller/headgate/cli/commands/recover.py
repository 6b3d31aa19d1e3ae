"""`headgate recover`."""

from __future__ import annotations

from headgate.cli.options import At, Names, Offsets, Output, Selector, Sending, Skip, Where
from headgate.cli.output import Format


def recover(
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
    """Run streams that failed permanently again, at positions of your choice. --wait: until RUNNING."""
    from headgate.cli.positions import read_policy
    from headgate.cli.verbs import send_to

    positions = read_policy(at, offsets or [], skip).model_dump(mode="json")
    send_to(names, selector, sending, where, output, "recover", positions=positions)
