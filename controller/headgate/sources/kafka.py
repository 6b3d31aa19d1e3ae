"""The Kafka source: the partitions of one topic, shared among the members of the stream's consumer group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from headgate.client_settings import ConsumerSettings
from headgate.ports.connectors import ConnectionName, ConnectorContext
from headgate.ports.errors import LogError, TopicMissing
from headgate.ports.log import (
    Batch,
    Committed,
    DescribesTopics,
    Log,
    LogConsumer,
    Range,
    RebalanceListener,
    TopicPartition,
)
from headgate.ports.source import SourceCatalogue, SourceReader
from headgate_events.schema.common import TopicName

REQUEST_S: Final = 10.0
COMMITTED_S: Final = 30.0
"""Longer than a request, because committed positions wait for the transactions that hold them."""
SAMPLE_KBYTES: Final = 256
"""What is fetched to learn the timestamp of one record."""
QUEUED_KBYTES: Final = 16_384
"""What a task's reader buffers at most: several commit intervals of a fast stream, and a bound on memory."""


class KafkaSourceSettings(BaseModel):
    """Settings of `source: {kind: kafka}`: the topic, and whether records of open or aborted transactions are read.

    `connection` names another cluster, where the group is then, too. `client` are settings of the Kafka client that a
    stream may choose. `skip_markers` passes over markers that a stream which is not known here put among the records.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    topic: TopicName
    connection: ConnectionName | None = None
    isolation: Literal["read_committed", "read_uncommitted"] = "read_committed"
    client: ConsumerSettings = Field(default_factory=dict)
    skip_markers: bool = False


class KafkaReader:
    """A member of the stream's group."""

    def __init__(self, settings: KafkaSourceSettings, context: ConnectorContext) -> None:
        self._topic = settings.topic
        self._consumer: LogConsumer = cluster_of(settings, context).consumer(
            group=context.group,
            isolation=settings.isolation,
            ends=True,
            session_timeout_ms=context.session_timeout_ms,
            queued_kbytes=QUEUED_KBYTES,
            client=settings.client,
        )

    def open(self, listener: RebalanceListener) -> None:
        """Subscribe to the topic."""
        self._consumer.subscribe([self._topic], listener)

    def read(self, max_records: int, timeout_s: float) -> Batch:
        """Return the next batch."""
        return self._consumer.poll(max_records, timeout_s)

    def hold(self, partitions: Iterable[TopicPartition]) -> None:
        """Pause partitions in the client."""
        self._consumer.pause(partitions)

    def release(self, partitions: Iterable[TopicPartition]) -> None:
        """Resume partitions in the client."""
        self._consumer.resume(partitions)

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Go on at these positions."""
        self._consumer.seek(positions)

    def seen_high(self, partition: TopicPartition) -> int | None:
        """Return the high watermark of the last fetch: beyond the end that was met while a transaction is open."""
        return self._consumer.seen_high(partition)

    def committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, Committed]:
        """Return the group's committed positions."""
        return self._consumer.committed(partitions, COMMITTED_S)

    def commit(self, positions: Mapping[TopicPartition, Committed]) -> None:
        """Commit outside a transaction."""
        self._consumer.commit(positions, REQUEST_S)

    def proof(self) -> Any:
        """Return the group's metadata."""
        return self._consumer.group_metadata()

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()


class KafkaCatalogue:
    """Asks about the topic and the group without joining it."""

    def __init__(self, settings: KafkaSourceSettings, context: ConnectorContext) -> None:
        self._topic = settings.topic
        self._settings = settings
        self._context = context
        self._clock = context.clock
        self._isolation = settings.isolation
        self._group = context.group
        self._consumer: LogConsumer | None = None

    def partitions(self) -> Mapping[str, int]:
        """Return the topic's number of partitions."""
        count = self._log.partitions(self._topic, REQUEST_S)
        if count is None:
            raise TopicMissing(f"The topic {self._topic} does not exist.", hint="Create it, or correct its name.")
        return {self._topic: count}

    def range(self, partition: TopicPartition) -> Range:
        """Ask the broker for a partition's range."""
        return self._client().range(partition, REQUEST_S)

    def at_time(self, partitions: Sequence[TopicPartition], timestamp_ms: int) -> Mapping[TopicPartition, int]:
        """Ask the broker for the positions at a time."""
        return self._client().at_time(partitions, timestamp_ms, REQUEST_S)

    def committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, Committed]:
        """Ask for the group's committed positions as a client that never joins."""
        return self._client().committed(partitions, COMMITTED_S)

    def retention_ms(self) -> int | None:
        """Ask for the topic's retention; a compacted topic drops by key, which no age tells."""
        log = self._log
        if not isinstance(log, DescribesTopics):
            return None
        try:
            config = log.topic_config(self._topic, REQUEST_S)
        except LogError:
            return None  # whoever may read a topic may not be allowed to see its settings
        policies = {each.strip() for each in config.get("cleanup.policy", "delete").split(",")}
        retention = config.get("retention.ms", "")
        if "delete" not in policies:
            return -1
        return int(retention) if retention.lstrip("-").isdigit() else None

    def timestamps(self, positions: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        """Read one record of each partition, for as long as a request may take."""
        found: dict[TopicPartition, int] = {}
        if not positions:
            return found
        consumer = self._log.consumer(isolation=self._isolation, queued_kbytes=SAMPLE_KBYTES, fetch_wait_ms=50)
        try:
            consumer.assign(positions)
            deadline_s = self._clock.monotonic_s() + REQUEST_S
            while len(found) < len(positions) and self._clock.monotonic_s() < deadline_s:
                for record in consumer.poll(100, 0.1).records:
                    place = TopicPartition(record.topic() or "", record.partition() or 0)
                    if place not in found:
                        found[place] = int(record.timestamp()[1])
                        consumer.pause([place])
        finally:
            consumer.close()
        return found

    def close(self) -> None:
        """Stop the client, if there was need of one."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    @property
    def _log(self) -> Log:
        return cluster_of(self._settings, self._context)

    def _client(self) -> LogConsumer:
        if self._consumer is None:
            self._consumer = self._log.consumer(group=self._group, isolation=self._isolation)
        return self._consumer


def cluster_of(settings: KafkaSourceSettings, context: ConnectorContext) -> Log:
    """Return the log of the source's cluster. Raises ConnectionUnusable."""
    return context.log if settings.connection is None else context.connections.cluster(settings.connection)


class KafkaSource:
    """The kind `kafka`."""

    name: Final = "kafka"
    settings: Final = KafkaSourceSettings

    def reader(self, settings: KafkaSourceSettings, context: ConnectorContext) -> SourceReader:
        """Make a member of the group, not joined yet."""
        return KafkaReader(settings, context)

    def catalogue(self, settings: KafkaSourceSettings, context: ConnectorContext) -> SourceCatalogue:
        """Make a catalogue; it connects when it is asked first."""
        return KafkaCatalogue(settings, context)

    def place(self, settings: KafkaSourceSettings) -> str:
        """Name the topic."""
        return f"topic {settings.topic}"
