"""Made-up records, and a context for a destination that is driven without a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from headgate.adapters.clock import SystemClock
from headgate.ports.connectors import Connections, ConnectorContext, Delivery, NoConnections
from headgate.ports.log import Log


@dataclass(frozen=True, slots=True)
class MadeRecord:
    """A record of the source, where it says that it stands."""

    at_topic: str
    at_partition: int
    at_offset: int
    with_value: bytes | None
    with_key: bytes | None = None
    with_headers: list[tuple[str, bytes | None]] | None = None
    at_ms: int = 1_700_000_000_000

    def topic(self) -> str:
        return self.at_topic

    def partition(self) -> int:
        return self.at_partition

    def offset(self) -> int:
        return self.at_offset

    def key(self) -> bytes | None:
        return self.with_key

    def value(self) -> bytes | None:
        return self.with_value

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return self.with_headers

    def timestamp(self) -> tuple[int, int]:
        return 1, self.at_ms


def context(
    stream: str = "orders",
    incarnation: int = 7,
    worker: str = "w1",
    delivery: Delivery = "exactly_once",
    connections: Connections | None = None,
) -> ConnectorContext:
    """Return a context of a worker that has no Kafka: only for destinations that never ask for one."""
    return ConnectorContext(
        log=cast("Log", cast("Any", None)),
        clock=SystemClock(),
        stream=stream,
        incarnation=incarnation,
        worker=worker,
        group=f"headgate.{stream}.{incarnation}",
        transactional_id=f"headgate.{worker}.{stream}.{incarnation}",
        delivery=delivery,
        commit_interval_ms=100,
        session_timeout_ms=6_000,
        connections=connections or NoConnections(),
    )
