"""`headgate delete`."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.options import Names, Output, Selector, Sending, Where
from headgate.cli.output import Format


def delete(
    names: Names = None,
    *,
    drain: Annotated[bool, typer.Option("--drain", help="Finish what is in flight first.")] = False,
    idle_for: Annotated[
        str | None,
        typer.Option(
            "--when-drained-and-idle-for",
            metavar="DURATION",
            help="Wait until the stream was idle for so long, then drain and delete it: 10m, 2d.",
        ),
    ] = None,
    selector: Selector = None,
    sending: Sending,
    output: Output = Format.TABLE,
    where: Where,
) -> None:
    """Stop streams at once and forget them. --wait: until they are gone.

    With --when-drained-and-idle-for the command waits, visibly: until every partition was IDLE for that long without a
    break, from when the workers heard of it. A record begins the time anew. Then the stream drains and is deleted;
    `headgate cancel` withdraws it before.
    """
    from headgate.cli.verbs import send_to

    idle_for_s = idle_time_s(idle_for)
    drain = drain or idle_for_s is not None
    send_to(names, selector, sending, where, output, "delete", idle_for_s, drain=drain)


def idle_time_s(text: str | None) -> float | None:
    """Read how long a stream has to be idle; None where it was not said. Raises InvalidRequest."""
    from headgate.cli.wording import duration_s
    from headgate_events.errors import InvalidRequest

    if text is None:
        return None
    option = "--when-drained-and-idle-for"
    if (found_s := duration_s(text, option)) <= 0:
        raise InvalidRequest(f"{option} is no time at all.", hint="Write 30s, 10m or 2d; or give --drain --when-idle.")
    return found_s
