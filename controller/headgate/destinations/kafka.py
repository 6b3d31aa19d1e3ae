"""The Kafka destination, on the stream's own cluster, or on another one that a connection names.

Exactly once: records and the source's positions in one transaction, through the session that knows what may follow a
transaction that did not end cleanly; where source and destination are on two clusters, as `kafka_remote` says. At
least once: an idempotent producer, flushed before the positions are committed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from headgate.client_settings import ProducerSettings
from headgate.destinations.kafka_remote import RemoteDestination
from headgate.destinations.kafka_suspects import Suspects
from headgate.ports.connectors import ConnectionName, ConnectorContext, ConnectorUnavailable, Delivery
from headgate.ports.destination import Destination, Output, PositionsIn, RecordRefused, Token, outputs_of
from headgate.ports.errors import LogError, RecordTooLarge, TransactionInDoubt
from headgate.ports.log import (
    ClientSetting,
    Committed,
    HeaderList,
    Log,
    LogProducer,
    TopicPartition,
    TransactionalProducer,
)
from headgate.session import TransactionalSession
from headgate_events.errors import HeadgateError
from headgate_events.records import Record
from headgate_events.schema.common import Check, TopicName

REQUEST_S: Final = 10.0
FLUSH_S: Final = 30.0
LINGER_MS: Final = 5
TRANSACTION_TIMEOUT_MS: Final = 30_000
ALTERNATE_BELOW_MS: Final = 50
"""Commit intervals shorter than this take two producers in turn: what one would wait for its markers counts there."""


class KafkaDestinationSettings(BaseModel):
    """Settings of `destination: {kind: kafka}`. `connection` names another cluster; without it, it is the stream's.

    `partition: key` lets the record's key decide (murmur2, as Java clients do), `source` keeps the source's partition
    number. `headers: drop` leaves headers out. A partition that a transform names counts before both. `client` are
    settings of the Kafka client that a stream may choose.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    topic: TopicName
    connection: ConnectionName | None = None
    partition: Literal["key", "source"] = "key"
    headers: Literal["keep", "drop"] = "keep"
    client: ProducerSettings = Field(default_factory=dict)


def _forward(
    producer: LogProducer | TransactionalProducer,
    records: Sequence[Record],
    settings: KafkaDestinationSettings,
    suspects: Suspects,
) -> None:
    """Produce records as they are: the hot path, which is the adapter's.

    The adapter does not say which record was too large for the client; the largest one is.
    """
    if suspects.looks or suspects.most_bytes is not None:
        return _write(producer, outputs_of(records), settings, suspects)
    suspects.sent(len(records))
    keep_headers, keep_partition = settings.headers == "keep", settings.partition == "source"
    try:
        producer.forward(settings.topic, records, keep_headers=keep_headers, keep_partition=keep_partition)
    except RecordTooLarge as error:
        largest = max(records, key=lambda each: len(each.key() or b"") + len(each.value() or b""))
        raise _refused(error, largest) from error
    return None


def _write(
    producer: LogProducer | TransactionalProducer,
    outputs: Sequence[Output],
    settings: KafkaDestinationSettings,
    suspects: Suspects,
) -> None:
    suspects.sent(len(outputs))
    produce, topic = producer.produce, settings.topic
    keep = settings.headers == "keep"
    by_source = settings.partition == "source"
    looks, most_bytes = suspects.looks, suspects.most_bytes
    for value, key, headers, partition, timestamp_ms, origin in outputs:
        if most_bytes is not None and len(key or b"") + len(value or b"") > most_bytes:
            message = f"A record is larger than the {most_bytes:,} bytes that the stream allows."
            raise RecordRefused(message, origin=origin, code=RecordTooLarge.code, hint="Raise message.max.bytes.")
        to = origin.partition() if partition is None and by_source else partition
        try:
            if looks:
                produce(topic, value, key, headers if keep else None, to, timestamp_ms, suspects.hearing(origin))
            else:
                produce(topic, value, key, headers if keep else None, to, timestamp_ms)
        except RecordTooLarge as error:
            raise _refused(error, origin) from error


def _refused(error: RecordTooLarge, origin: Record) -> RecordRefused:
    return RecordRefused(error.message, origin=origin, code=error.code, hint=error.hint)


class TransactionalDestination:
    """Records and the source's positions in one transaction. A transaction begins with its first record."""

    positions_in: PositionsIn = "source_transaction"

    def __init__(self, settings: KafkaDestinationSettings, context: ConnectorContext) -> None:
        self._settings = settings
        self._log = context.log
        self._suspects = Suspects(settings.client)
        self._session = TransactionalSession(
            context.log,
            context.transactional_id,
            alternate=context.commit_interval_ms < ALTERNATE_BELOW_MS,
            linger_ms=LINGER_MS,
            timeout_ms=TRANSACTION_TIMEOUT_MS + 2 * context.commit_interval_ms,
            client=self._suspects.client,
        )
        self._open: TransactionalProducer | None = None
        self.transactional_ids = self._session.transactional_ids

    def open(self) -> None:
        """Initialise the producers, which ends what an earlier holder of the ids left open."""
        self._open = None
        self._look_for_topic()
        self._suspects.opened()
        self._session.client = self._suspects.client
        self._session.open()

    @property
    def most_records(self) -> int:
        """How many records are taken at once: fewer while a refused one is looked for."""
        return self._suspects.most_records

    def forward(self, records: Sequence[Record]) -> None:
        """Produce records unchanged in the open transaction."""
        producer = self._producer()
        with self._suspects.judged(), self._doubting():
            _forward(producer, records, self._settings, self._suspects)

    def write(self, outputs: Sequence[Output]) -> None:
        """Produce outputs in the open transaction."""
        if not outputs:
            return
        producer = self._producer()
        with self._suspects.judged(), self._doubting():
            _write(producer, outputs, self._settings, self._suspects)

    def aside(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: HeaderList | None,
        partition: int | None,
        timestamp_ms: int | None,
    ) -> None:
        """Produce a record for another topic in the open transaction."""
        producer = self._producer()
        with self._suspects.judged(), self._doubting():
            producer.produce(topic, value, key, headers, partition, timestamp_ms)

    def positions(self, claims: Mapping[TopicPartition, Token]) -> Mapping[TopicPartition, Committed]:
        """Return nothing: the positions are the source's."""
        return {}

    def commit(self, positions: Mapping[TopicPartition, Committed], proof: Any) -> None:
        """Commit the transaction with the positions. Raises RecordRefused for a record that the broker refuses."""
        self._producer()
        self._open = None
        try:
            with self._suspects.judged():
                self._session.commit(positions, proof)
        except TransactionInDoubt:
            self._look_for_partitions(positions)
            raise
        self._suspects.committed()
        self._session.client = self._suspects.client

    def close(self) -> None:
        """Drop the producers; an open transaction is left to the next holder of the ids, or to its timeout."""
        self._open = None
        self._session.close()

    def _look_for_topic(self) -> None:
        """Raise where the topic is gone: all that a transaction says of it is that records were not delivered."""
        topic = self._settings.topic
        if self._log.partitions(topic, REQUEST_S) is None:
            raise ConnectorUnavailable(
                f"The destination's topic {topic} does not exist.",
                hint="Create it: the stream goes on then by itself. Or name another one.",
            )

    def _look_for_partitions(self, positions: Mapping[TopicPartition, Committed]) -> None:
        """Raise where records went to partitions that are not there: a transaction does not say that, either."""
        if self._settings.partition != "source":
            return
        topic = self._settings.topic
        count = self._log.partitions(topic, REQUEST_S)
        missing = [each.partition for each in positions if count is not None and each.partition >= count]
        if missing:
            raise ConnectorUnavailable(
                f"The destination's topic {topic} has {count} partition(s), and none for the source's partition"
                f" {min(missing)}, whose number the stream keeps (partition: source).",
                hint="Give it as many partitions as the source has: the stream goes on then by itself.",
            )

    @contextlib.contextmanager
    def _doubting(self) -> Iterator[None]:
        try:
            yield
        except (LogError, RecordRefused):
            self._session.doubt()
            raise

    def _producer(self) -> TransactionalProducer:
        if self._open is None:
            self._open = self._session.begin()
        return self._open


class FlushingDestination:
    """Records by an idempotent producer, flushed at each commit; the task commits the positions afterwards."""

    positions_in: PositionsIn = "source"
    transactional_ids: tuple[str, ...] = ()

    def __init__(self, settings: KafkaDestinationSettings, context: ConnectorContext) -> None:
        self._settings = settings
        self._context = context
        self._suspects = Suspects(settings.client)
        self._producer: LogProducer | None = None
        self._made_with: Mapping[str, ClientSetting] = {}

    def open(self) -> None:
        """Make a new producer: what the old one still held is given up, and read again."""
        self.close()
        self._suspects.opened()
        self._make()

    @property
    def most_records(self) -> int:
        """How many records are taken at once: fewer while a refused one is looked for."""
        return self._suspects.most_records

    def forward(self, records: Sequence[Record]) -> None:
        """Queue records unchanged."""
        producer = self._ready()
        _forward(producer, records, self._settings, self._suspects)
        producer.poll()

    def write(self, outputs: Sequence[Output]) -> None:
        """Queue outputs."""
        producer = self._ready()
        _write(producer, outputs, self._settings, self._suspects)
        producer.poll()

    def positions(self, claims: Mapping[TopicPartition, Token]) -> Mapping[TopicPartition, Committed]:
        """Return nothing: the positions are the source's."""
        return {}

    def commit(self, positions: Mapping[TopicPartition, Committed], proof: Any) -> None:
        """Wait until all is acknowledged. Raises RecordRefused for a record that the broker refuses."""
        with self._suspects.judged():
            self._ready().flush(FLUSH_S)
        self._suspects.committed()
        if self._suspects.client != self._made_with:
            self.close()
            self._make()

    def close(self) -> None:
        """Let go of the producer. What it could not deliver was not committed, so it is read again."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(LogError):
                producer.close()

    def _make(self) -> None:
        log = cluster_of(self._settings, self._context)
        self._made_with = self._suspects.client
        failures_only = not self._suspects.looks
        self._producer = log.producer(linger_ms=LINGER_MS, failures_only=failures_only, client=self._made_with)

    def _ready(self) -> LogProducer:
        assert self._producer is not None, "a destination is opened before it is written to"
        return self._producer


class KafkaDestination:
    """The kind `kafka`."""

    name: Final = "kafka"
    settings: Final = KafkaDestinationSettings
    promises: Sequence[Delivery] = ("exactly_once", "at_least_once")

    def check(self, settings: KafkaDestinationSettings, context: ConnectorContext) -> Sequence[Check]:
        """Look whether the topic exists. A stream never creates one: its partitions are somebody's decision."""
        try:
            count = cluster_of(settings, context).partitions(settings.topic, REQUEST_S)
        except HeadgateError as error:
            return [
                Check(
                    name="destination", result="failed", code=error.code, message=error.message, hint=error.hint or ""
                )
            ]
        if count is None:
            return [
                Check(
                    name="destination",
                    result="failed",
                    code="destination.topic_missing",
                    message=f"The topic {settings.topic} does not exist.",
                    hint="Create it, or correct its name.",
                )
            ]
        return [Check(name="destination", result="passed", message=f"topic {settings.topic} has {count} partition(s)")]

    def destination(self, settings: KafkaDestinationSettings, context: ConnectorContext) -> Destination:
        """Make the destination for the stream's delivery, not open yet."""
        if context.delivery == "at_least_once":
            return FlushingDestination(settings, context)
        if settings.connection is None and context.source_connection is None:
            return TransactionalDestination(settings, context)
        return self._remote(settings, context)

    def fence(
        self, settings: KafkaDestinationSettings, context: ConnectorContext, claims: Mapping[TopicPartition, Token]
    ) -> None:
        """End the run on the destination's cluster, where the positions lie there."""
        destination = self.destination(settings, context)
        if isinstance(destination, RemoteDestination):
            destination.fence(claims)

    @staticmethod
    def _remote(settings: KafkaDestinationSettings, context: ConnectorContext) -> RemoteDestination:
        return RemoteDestination(
            context,
            lambda: cluster_of(settings, context),
            lambda producer, records, suspects: _forward(producer, records, settings, suspects),
            lambda producer, outputs, suspects: _write(producer, outputs, settings, suspects),
            settings.client,
        )


def cluster_of(settings: KafkaDestinationSettings, context: ConnectorContext) -> Log:
    """Return the log of the destination's cluster. Raises ConnectionUnusable."""
    return context.log if settings.connection is None else context.connections.cluster(settings.connection)
