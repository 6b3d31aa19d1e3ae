"""Headgate's events and clients: send commands, follow the state, read the history of data streams on Kafka.

    from headgate_events import CommandClient, StateReader

    with CommandClient("localhost:9092") as commands:
        outcome = commands.pause("departures", reason="maintenance").outcome(timeout_s=10)

Names are loaded when they are first used, so importing this package costs little and does not load the Kafka client:
programs that only read or write the records do not need it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from headgate_events.version import __version__

if TYPE_CHECKING:
    from headgate_events.client.activity import ActivityReader
    from headgate_events.client.commands import CommandClient
    from headgate_events.client.handle import CommandHandle
    from headgate_events.client.history import HistoryReader
    from headgate_events.client.interfaces import Activity, Commands, History, State
    from headgate_events.client.sequence import ChainBreak, Entry, Gap, HistoryItem, Unknown
    from headgate_events.client.state import StateReader
    from headgate_events.client.stream_input import PartitionStatus, PartitionWatermark, StreamElement, StreamInput
    from headgate_events.client.table import Change, CompactedTable
    from headgate_events.errors import (
        ClusterUnreachable,
        EnvironmentProblem,
        HeadgateError,
        InvalidRequest,
        NotFound,
        OutcomeTimeout,
        SendFailed,
        TopicsMissing,
        UnreadableRecord,
    )
    from headgate_events.schema.common import Status
    from headgate_events.schema.config import StreamConfig
    from headgate_events.schema.definition import StreamDefinition
    from headgate_events.schema.history import Outcome, Transition
    from headgate_events.schema.state import StreamState
    from headgate_events.topics import Topics

_HOMES = {
    "CommandClient": "client.commands",
    "CommandHandle": "client.handle",
    "ActivityReader": "client.activity",
    "HistoryReader": "client.history",
    "Activity": "client.interfaces",
    "Commands": "client.interfaces",
    "History": "client.interfaces",
    "State": "client.interfaces",
    "ChainBreak": "client.sequence",
    "Entry": "client.sequence",
    "Gap": "client.sequence",
    "HistoryItem": "client.sequence",
    "Unknown": "client.sequence",
    "StateReader": "client.state",
    "PartitionStatus": "client.stream_input",
    "PartitionWatermark": "client.stream_input",
    "StreamElement": "client.stream_input",
    "StreamInput": "client.stream_input",
    "Change": "client.table",
    "CompactedTable": "client.table",
    "ClusterUnreachable": "errors",
    "EnvironmentProblem": "errors",
    "HeadgateError": "errors",
    "InvalidRequest": "errors",
    "NotFound": "errors",
    "OutcomeTimeout": "errors",
    "SendFailed": "errors",
    "TopicsMissing": "errors",
    "UnreadableRecord": "errors",
    "Status": "schema.common",
    "StreamConfig": "schema.config",
    "StreamDefinition": "schema.definition",
    "Outcome": "schema.history",
    "Transition": "schema.history",
    "StreamState": "schema.state",
    "Topics": "topics",
}

__all__ = [
    "Activity",
    "ActivityReader",
    "ChainBreak",
    "Change",
    "ClusterUnreachable",
    "CommandClient",
    "CommandHandle",
    "Commands",
    "CompactedTable",
    "Entry",
    "EnvironmentProblem",
    "Gap",
    "HeadgateError",
    "History",
    "HistoryItem",
    "HistoryReader",
    "InvalidRequest",
    "NotFound",
    "Outcome",
    "OutcomeTimeout",
    "PartitionStatus",
    "PartitionWatermark",
    "SendFailed",
    "State",
    "StateReader",
    "Status",
    "StreamConfig",
    "StreamDefinition",
    "StreamElement",
    "StreamInput",
    "StreamState",
    "Topics",
    "TopicsMissing",
    "Transition",
    "Unknown",
    "UnreadableRecord",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its home (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
