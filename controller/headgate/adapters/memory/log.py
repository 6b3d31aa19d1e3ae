"""`MemoryLog`: the clients of one process of the in-memory cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from headgate.adapters.memory.cluster import MemoryKafka, MemoryProcess
from headgate.adapters.memory.consumer import MAX_POLL_INTERVAL_MS, SESSION_TIMEOUT_MS, MemoryConsumer
from headgate.adapters.memory.producer import MemoryProducer, MemoryTransactionalProducer
from headgate.ports.log import ClientSetting, Isolation


class MemoryLog:
    """Implements `Log`. Batching (`linger_ms`), static membership and the settings of clients have no effect here."""

    def __init__(self, cluster: MemoryKafka, process: MemoryProcess) -> None:
        self.cluster = cluster
        self.process = process

    def consumer(
        self,
        *,
        group: str | None = None,
        isolation: Isolation = "read_committed",
        ends: bool = False,
        assignor: Literal["range", "cooperative-sticky"] = "cooperative-sticky",
        session_timeout_ms: int | None = None,
        max_poll_interval_ms: int | None = None,
        instance: str | None = None,  # noqa: ARG002
        queued_kbytes: int | None = None,  # noqa: ARG002
        fetch_wait_ms: int | None = None,  # noqa: ARG002
        client: Mapping[str, ClientSetting] | None = None,  # noqa: ARG002
    ) -> MemoryConsumer:
        """Make a consumer."""
        self.process.check()
        return MemoryConsumer(
            self.cluster,
            self.process,
            group=group,
            isolation=isolation,
            ends=ends,
            assignor=assignor,
            session_timeout_ms=session_timeout_ms or SESSION_TIMEOUT_MS,
            max_poll_interval_ms=max_poll_interval_ms or MAX_POLL_INTERVAL_MS,
        )

    def producer(
        self,
        *,
        linger_ms: int = 0,  # noqa: ARG002 - nothing lingers
        failures_only: bool = False,  # noqa: ARG002
        client: Mapping[str, ClientSetting] | None = None,  # noqa: ARG002
    ) -> MemoryProducer:
        """Make an idempotent producer."""
        self.process.check()
        return MemoryProducer(self.cluster, self.process)

    def transactional_producer(
        self,
        transactional_id: str,
        *,
        linger_ms: int = 0,  # noqa: ARG002
        timeout_ms: int = 20_000,
        client: Mapping[str, ClientSetting] | None = None,  # noqa: ARG002
    ) -> MemoryTransactionalProducer:
        """Make a producer of transactions that the cluster ends after `timeout_ms` by its clock."""
        self.process.check()
        return MemoryTransactionalProducer(self.cluster, self.process, transactional_id, timeout_ms)

    def partitions(self, topic: str, timeout_s: float) -> int | None:  # noqa: ARG002
        """Return a topic's number of partitions, or None when it does not exist."""
        self.cluster.request("metadata", self.process, topic)
        return self.cluster.partition_count(topic) or None

    def create_topic(self, topic: str, partitions: int, config: Mapping[str, str], timeout_s: float) -> None:
        """Create a topic where it is missing."""
        if self.partitions(topic, timeout_s) is None:
            self.cluster.create_topic(topic, partitions, config)
