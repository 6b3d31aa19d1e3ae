"""A context for a destination that is driven without a worker, for any stream and incarnation."""

from __future__ import annotations

from dataclasses import replace

from headgate.ports.connectors import ConnectorContext
from headgate.testing import context_for


def context(stream: str = "orders", incarnation: int = 7) -> ConnectorContext:
    """Return what a worker opens a destination of this stream with."""
    return replace(context_for("exactly_once", stream=stream), incarnation=incarnation)
