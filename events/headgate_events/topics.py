"""The topics of a namespace: one list from which they are created, checked, documented and deployed.

The first four share their number of partitions and are keyed by stream name with the murmur2 partitioner, so that one
stream is one partition in each of them. That is what lets a projector own partition p of commands and reports together
and restore only partition p of the state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from headgate_events.names import DEFAULT_NAMESPACE, check_namespace

DEFAULT_PARTITIONS: Final = 8
MAX_PARTITIONS: Final = 1_000
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_COMPACTS_SOON: Final = {"min.cleanable.dirty.ratio": "0.1", "segment.bytes": str(4 * 1024 * 1024)}
"""Whoever starts reads such a topic from its beginning, and a broker compacts no segment that is still written: with
its default of 1 GiB that would be hours of words that hold no longer."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic as it must be: its name, who writes it, what it holds, and its settings.

    `partitions` None means "as many as the namespace has" (the co-partitioned topics and the markers).
    `config` are the topic settings that must hold; a topic may carry more.
    """

    name: str
    written_by: str
    holds: str
    config: Mapping[str, str]
    partitions: int | None = None
    co_partitioned: bool = False


@dataclass(frozen=True, slots=True)
class Topics:
    """The names and specifications of one namespace's topics."""

    namespace: str = DEFAULT_NAMESPACE
    commands: str = field(init=False)
    reports: str = field(init=False)
    history: str = field(init=False)
    state: str = field(init=False)
    markers: str = field(init=False)
    edges: str = field(init=False)
    heartbeats: str = field(init=False)

    def __post_init__(self) -> None:
        check_namespace(self.namespace)
        for short in ("commands", "reports", "history", "state", "markers", "edges", "heartbeats"):
            object.__setattr__(self, short, f"{self.namespace}.{short}")

    def dead_letters(self, stream: str) -> str:
        """Name the dead-letter topic of one stream."""
        return f"{self.namespace}.dead-letters.{stream}"

    @property
    def specs(self) -> tuple[TopicSpec, ...]:
        """Every fixed topic of the namespace, in the order in which the documentation lists them."""
        keep = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
        appended = keep | {"message.timestamp.type": "LogAppendTime"}
        return (
            TopicSpec(self.commands, "people and programs", "command events, in order", appended, co_partitioned=True),
            TopicSpec(
                self.reports, "workers, observer", "what was observed about a stream", appended, co_partitioned=True
            ),
            TopicSpec(
                self.history,
                "projector",
                "every transition and every outcome: the audit log and the answers",
                keep,
                co_partitioned=True,
            ),
            TopicSpec(
                self.state,
                "projector",
                "one StreamState per stream, and one progress record per partition",
                {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"},
                co_partitioned=True,
            ),
            TopicSpec(
                self.markers,
                "workers",
                "latest status and watermark of each channel",
                {"cleanup.policy": "compact", **_COMPACTS_SOON},
            ),
            TopicSpec(
                self.edges,
                "workers",
                "every IDLE, ACTIVE and FINISHED edge, with its evidence",
                {"cleanup.policy": "delete", "retention.ms": str(30 * _DAY_MS)},
            ),
            TopicSpec(
                self.heartbeats,
                "workers",
                "one record per worker every few seconds: alive, what it runs, how its drains go",
                {
                    "cleanup.policy": "compact,delete",
                    "retention.ms": str(_HOUR_MS),
                    "segment.ms": str(_HOUR_MS),
                    **_COMPACTS_SOON,
                },
                partitions=1,
            ),
        )
