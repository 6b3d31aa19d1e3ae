"""The markers topic as a program reads it: a consumer of committed records, and an admin client that asks for ends."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

from headgate_events.client.kafka import (
    REQUEST_MAX_S,
    Settings,
    count_partitions,
    ends_of,
    is_transient,
    make_admin,
    make_consumer,
    take,
    wrapped,
)
from headgate_events.records import Record


class KafkaMarkersTopic:
    """Implements `MarkersTopic`. Belongs to one thread; raises what `client.kafka` raises."""

    def __init__(self, bootstrap_servers: str, topic: str, kafka: Settings | None) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._kafka = kafka
        self._consumer: Consumer | None = None
        self._admin: AdminClient | None = None

    def partitions(self) -> int:
        """Return how many partitions there are."""
        return count_partitions(self._client(), self._topic, REQUEST_MAX_S)

    def begin(self, positions: Mapping[int, int | None]) -> None:
        """Read these partitions."""
        self._client().assign(
            [
                TopicPartition(self._topic, partition, OFFSET_BEGINNING if position is None else position)
                for partition, position in positions.items()
            ]
        )

    def read(self, wait_s: float) -> tuple[Sequence[Record], Mapping[int, int]]:
        """Return what is there."""
        records: list[Record] = []
        ends: dict[int, int] = {}
        for message in take(self._client(), timeout_s=wait_s):
            error, partition, offset = message.error(), message.partition(), message.offset()
            if error is None:
                records.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                assert partition is not None
                assert offset is not None
                ends[partition] = offset
            elif not is_transient(error):
                raise wrapped(error, f"reading {self._topic}")
        return records, ends

    def ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Ask for the high watermarks."""
        return self.ends_of(self._topic, partitions)

    def ends_of(self, topic: str, partitions: Collection[int]) -> dict[int, int]:
        """Ask where partitions of any topic end now, transactions that are still open included."""
        if not partitions:
            return {}
        if self._admin is None:
            self._admin = make_admin(self._bootstrap_servers, self._kafka)
        return ends_of(self._admin, topic, partitions, REQUEST_MAX_S)

    def rest(self) -> None:
        """Let go of the admin client."""
        self._admin = None

    def close(self) -> None:
        """Let go of both clients."""
        self._admin = None
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()

    def _client(self) -> Consumer:
        if self._consumer is None:
            self._consumer = make_consumer(self._bootstrap_servers, self._kafka)
        return self._consumer
