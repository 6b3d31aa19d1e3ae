"""Sources, found by the `kind` in a stream's definition; the entry point `headgate.sources` adds others."""

from __future__ import annotations

from headgate.ports.connectors import Kinds
from headgate.ports.source import SourceKind


def installed_sources() -> Kinds[SourceKind]:
    """Return the sources of this worker. Each is imported when a stream first names it."""
    return Kinds("source", "headgate.sources", {"kafka": _kafka})


def _kafka() -> SourceKind:
    from headgate.sources.kafka import KafkaSource

    return KafkaSource()
