"""Producers of the real Kafka: the plain idempotent one, and the raw calls of a transactional one.

Both wait, bounded, while librdkafka's queue is full. A transactional producer has no delivery callbacks, since a commit
says whether everything was delivered; and it is dropped, never closed, because what it has queued belongs to a
transaction that is over. One thread owns a producer.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as Place

from headgate.adapters.kafka.bounded import Caller, throw_away
from headgate.adapters.kafka.errors import kafka_error, not_made, translate, translate_in_transaction
from headgate.adapters.kafka.settings import CLOSE_TIMEOUT_S, logger
from headgate.ports.errors import LogError, LogFatal, LogUnavailable, RecordRejected, TransactionInDoubt
from headgate.ports.log import Committed, DeliveryCallback, HeaderList, TopicPartition
from headgate_events.records import Record

QUEUE_FULL_TIMEOUT_S: Final = 30.0
"""How long a record waits for room in the queue of a producer."""

GRACE_S: Final = 1.0
"""How much longer than its own bound a call may take before it counts as hanging."""

COMMIT_TURN_S: Final = 2.0
"""How long one call of a commit may take before it is made again."""

HEAR_S: Final = 2.0
"""How long to wait for what is to be heard of a delivery that failed a transaction."""

LOOK_S: Final = 10.0
"""How long a look at a topic may take that is said to lack a partition."""

ANY_PARTITION: Final = -1
"""Lets the key decide."""

DeliveryReport = Callable[[KafkaError | None, Message], None]

_REFUSED: Final = (KafkaException, RuntimeError, ValueError, TypeError)
_MAX_FAILURES: Final = 1


class KafkaProducer:
    """Implements `LogProducer`."""

    def __init__(self, config: Mapping[str, Any], *, failures_only: bool = False) -> None:
        reports: dict[str, Any] = {"on_delivery": self._delivered}
        if failures_only:
            reports["delivery.report.only.error"] = True
        self._failures_only = failures_only
        self._failed: list[LogError] = []
        self._held = [make_client({**config, **reports})]

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        headers: HeaderList | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> None:
        """Queue one record."""
        assert on_delivery is None or not self._failures_only, "a producer of failures only confirms nothing"
        tell = None if on_delivery is None else self._reporting(on_delivery)
        try:
            enqueue(self._client, topic, value, key, headers, partition, timestamp_ms, tell)
        except _REFUSED as error:
            raise translate(error, f"producing to {topic}") from error

    def forward(self, topic: str, records: Sequence[Record], *, keep_headers: bool, keep_partition: bool) -> None:
        """Queue consumed records again as they are."""
        client = self._client
        try:
            enqueue_records(client, topic, records, keep_headers=keep_headers, keep_partition=keep_partition)
        except _REFUSED as error:
            raise translate(error, f"producing to {topic}") from error

    def poll(self) -> None:
        """Serve delivery callbacks that are due. Raises LogFatal when the client is beyond use."""
        try:
            self._client.poll(0)
        except _REFUSED as error:
            raise translate(error, "hearing of deliveries") from error

    def flush(self, timeout_s: float) -> None:
        """Wait for all acknowledgements; raises the first error of a delivery since the last flush."""
        try:
            left = self._client.flush(timeout_s)
        except _REFUSED as error:
            raise translate(error, "waiting for deliveries") from error
        failed, self._failed = self._failed, []
        if failed:
            raise failed[0]
        if left:
            raise LogUnavailable(
                f"{left} records were not acknowledged within {timeout_s:g} s.",
                hint="Check that the brokers run and can be reached; the records are sent on.",
            )

    def close(self) -> None:
        """Send what is queued, bounded, and stop. Raises LogUnavailable when records were left."""
        try:
            self.flush(CLOSE_TIMEOUT_S)
        finally:
            throw_away(self._held)

    def drop(self) -> None:
        """Let go of the client at once."""
        if self._held:
            throw_away(self._held)

    @property
    def _client(self) -> Producer:
        return held_client(self._held)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and len(self._failed) < _MAX_FAILURES:
            self._failed.append(translate(error, f"delivering to {message.topic()}"))

    def _reporting(self, tell: DeliveryCallback) -> Callable[[KafkaError | None, Message], None]:
        def delivered(error: KafkaError | None, message: Message) -> None:
            self._delivered(error, message)
            tell(None if error is None else translate(error, f"delivering to {message.topic()}"), message)

        return delivered


class KafkaTransactionalProducer:
    """Implements `TransactionalProducer`: Kafka's calls, each bounded, with anything but success an exception."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._held = [make_client(config)]
        self._caller = Caller("positions of a transaction")
        self._told: bool | None = None  # whether somebody who listens has heard of a failure; None: nobody does

    def init(self, timeout_s: float) -> None:
        """Fence earlier producers of this id and end what they left open."""
        doing = "initialising transactions"
        deadline = time.monotonic() + timeout_s
        # The library looks for its coordinator every 500 ms, and finds none before there is a first connection: this
        # question (about a topic that cannot exist, so that none is made by it) waits for the connection instead.
        with contextlib.suppress(KafkaException):
            self._client.list_topics("?", timeout_s)
        while True:
            try:
                self._client.init_transactions(max(0.001, deadline - time.monotonic()))
            except _REFUSED as error:
                kafka = kafka_error(error)
                if kafka is not None and kafka.retriable() and time.monotonic() < deadline:
                    continue
                raise translate(error, doing) from error
            else:
                return

    def begin(self) -> None:
        """Begin a transaction; nothing is sent yet."""
        try:
            self._client.poll(0)  # what the library wants to say is said here, since nothing else polls
            self._client.begin_transaction()
        except _REFUSED as error:
            raise translate_in_transaction(error, "beginning a transaction") from error

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        headers: HeaderList | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> None:
        """Queue one record in the open transaction."""
        tell = None if on_delivery is None else self._telling(on_delivery)
        try:
            enqueue(self._client, topic, value, key, headers, partition, timestamp_ms, tell)
        except LogUnavailable as error:
            raise TransactionInDoubt(error.message, hint=error.hint) from error
        except _REFUSED as error:
            raise self._failed(error, f"producing to {topic}") from error

    def forward(self, topic: str, records: Sequence[Record], *, keep_headers: bool, keep_partition: bool) -> None:
        """Produce consumed records again as they are."""
        client = self._client
        try:
            enqueue_records(client, topic, records, keep_headers=keep_headers, keep_partition=keep_partition)
        except LogUnavailable as error:
            raise TransactionInDoubt(error.message, hint=error.hint) from error
        except _REFUSED as error:
            raise self._failed(error, f"producing to {topic}") from error

    def send_offsets(
        self, positions: Mapping[TopicPartition, Committed], group_metadata: Any, timeout_s: float
    ) -> None:
        """Add positions to the transaction, fenced by the group's generation.

        The library's call can wait for ever for the group's coordinator, whatever bound it is given (librdkafka issue
        5456), so it is made on a thread of its own, as a commit is. Raises LogUnavailable when it does not end in time.
        """
        places = [Place(*each, wanted.position, wanted.metadata) for each, wanted in positions.items()]
        add = self._client.send_offsets_to_transaction
        self._until_done(
            "adding positions to a transaction",
            timeout_s,
            lambda left_s: functools.partial(add, places, group_metadata, left_s),
        )

    def commit(self, timeout_s: float) -> None:
        """Send what is queued and commit. Raises LogUnavailable when that does not end in time.

        The library sends nothing more once a record was refused, waits for the rest all the same, and says why only
        when it is asked again; so it is asked in short turns, each of which goes on with the last.
        """
        commit = self._client.commit_transaction
        self._until_done(
            "committing a transaction",
            timeout_s,
            lambda left_s: functools.partial(commit, min(left_s, COMMIT_TURN_S)),
        )

    def _failed(self, error: Exception, doing: str) -> LogError:
        """Return what an error of producing means. The library does not say there why a transaction has failed before.

        A commit does, and commits nothing then. That an earlier record was refused is RecordRejected itself, so that
        nobody takes it for this record being too large.
        """
        kafka = kafka_error(error)
        if kafka is not None and kafka.code() == KafkaError._STATE:
            try:
                self.commit(1.0)
            except RecordRejected as reason:
                return RecordRejected(reason.message, hint=reason.hint)
            except LogError as reason:
                return TransactionInDoubt(reason.message, hint=reason.hint)
        return translate_in_transaction(error, doing)

    def _telling(self, tell: DeliveryCallback) -> DeliveryReport:
        self._told = False

        def delivered(error: KafkaError | None, message: Message) -> None:
            self._told = self._told or error is not None
            tell(None if error is None else translate(error, f"delivering to {message.topic()}"), message)

        return delivered

    def _hear(self) -> None:
        """Serve what is to be heard of deliveries, where somebody listens and one failed: it comes a moment later."""
        deadline = time.monotonic() + HEAR_S
        while self._told is False and time.monotonic() < deadline:
            self._client.poll(0.05)

    def drop(self) -> None:
        """Let go of the client at once."""
        self._caller.end()
        if self._held:
            throw_away(self._held)

    @property
    def _client(self) -> Producer:
        return held_client(self._held)

    def _until_done(self, doing: str, timeout_s: float, call: Callable[[float], Callable[[], object]]) -> None:
        """Make a call again while the library says that the same call may be made again, until the bound.

        `call` gives the call for the seconds that are left.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                left_s = max(0.001, deadline - time.monotonic())
                self._caller.call(left_s + GRACE_S, call(left_s), doing)
            except _REFUSED as error:
                kafka = kafka_error(error)
                if kafka is not None and kafka.retriable() and time.monotonic() < deadline:
                    continue
                meant = translate_in_transaction(error, doing)
                if isinstance(meant, RecordRejected):
                    self._hear()
                raise meant from error
            else:
                return


def make_client(config: Mapping[str, Any]) -> Producer:
    """Return the library's producer. Raises LogError when a setting is wrong."""
    try:
        return Producer({**config, "error_cb": _log_error})
    except (KafkaException, ValueError, TypeError) as error:
        raise not_made(error, "a producer", config) from None


def held_client(held: list[Producer]) -> Producer:
    """Return the one client in `held`. Raises LogFatal when it was let go."""
    if not held:
        raise LogFatal("This producer was closed.", hint="Build a new one.")
    return held[0]


def enqueue(
    client: Producer,
    topic: str,
    value: bytes | None,
    key: bytes | None,
    headers: HeaderList | None,
    partition: int | None,
    timestamp_ms: int | None,
    on_delivery: DeliveryReport | None = None,
) -> None:
    """Queue one record, waiting while the queue is full. Raises LogUnavailable when that lasts too long."""
    if headers is not None and not isinstance(headers, list):
        headers = list(headers)
    # By position, in the order of the library: names would cost as much again as the call.
    placed = (topic, value, key, ANY_PARTITION if partition is None else partition)
    arguments = (*placed, on_delivery, None, timestamp_ms or 0, headers)
    try:
        client.produce(*arguments)
    except BufferError:
        _wait_for_room(client, arguments)
    except KafkaException as error:
        kafka = kafka_error(error)
        if kafka is None or kafka.code() != KafkaError._UNKNOWN_PARTITION:
            raise
        # A partition that the topic got since the client last asked: it asks every five minutes by itself.
        client.list_topics(topic, LOOK_S)
        client.produce(*arguments)


def enqueue_records(
    client: Producer, topic: str, records: Sequence[Record], *, keep_headers: bool, keep_partition: bool
) -> None:
    """Queue consumed records as they are. The hot path: one call of the library for each record, and nothing else."""
    produce = client.produce
    for record in records:
        timestamp_ms = record.timestamp()[1]
        try:
            produce(
                topic,
                record.value(),
                record.key(),
                (record.partition() or 0) if keep_partition else ANY_PARTITION,
                None,
                None,
                timestamp_ms if timestamp_ms > 0 else 0,  # noqa: FURB136 - a call of max() costs as much as the rest
                record.headers() if keep_headers else None,
            )
        except BufferError:
            headers = record.headers() if keep_headers else None
            partition = record.partition() if keep_partition else ANY_PARTITION
            placed = (topic, record.value(), record.key(), partition)
            _wait_for_room(client, (*placed, None, None, max(0, timestamp_ms), headers))


def _wait_for_room(client: Producer, arguments: tuple[Any, ...]) -> None:
    deadline = time.monotonic() + QUEUE_FULL_TIMEOUT_S
    while True:
        client.poll(0.05)
        try:
            client.produce(*arguments)
        except BufferError as error:
            if time.monotonic() > deadline:
                raise LogUnavailable(
                    f"The queue to {arguments[0]} stayed full for {QUEUE_FULL_TIMEOUT_S:g} s.",
                    hint="Check that the brokers run and can be reached.",
                ) from error
        else:
            return


def _log_error(error: KafkaError) -> None:
    logger.info("producer: %s", error)
