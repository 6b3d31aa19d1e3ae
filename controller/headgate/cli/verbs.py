"""What the simple verbs share: choose the streams, make the same command for each, send, report, end with the code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from headgate.cli.choosing import choose
from headgate.cli.options import Sending, Where
from headgate.cli.output import Format
from headgate.cli.sending import plan, send_all
from headgate.cli.target import Target, find_target


def target_of(where: Where) -> Target:
    """Return the cluster and namespace that the options and their fallbacks mean."""
    return find_target(where.bootstrap_servers, where.namespace, where.context)


def send_to(
    names: Sequence[str] | None,
    selector: str | None,
    sending: Sending,
    where: Where,
    output: Format,
    kind: str,
    idle_for_s: float | None = None,
    **fields: Any,
) -> None:
    """Send one kind of command to every stream that was chosen, and end with the worst exit code."""
    target = target_of(where)
    # What is wrong in the options is said before the cluster is asked for anything.
    plan(sending, 1, idle_for_s)
    streams = choose(target, names, selector)
    planned = plan(sending, len(streams), idle_for_s)
    orders = [planned.order(kind, stream, **fields) for stream in streams]
    raise typer.Exit(send_all(target, orders, planned, output))
