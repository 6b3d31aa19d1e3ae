"""Kafka for the clients: settings whose defaults hurt, and errors turned into ours, once.

The only module that the clients share which knows confluent-kafka. Settings follow from measurements: a fast consumer
idles a second whenever its queue was full unless `fetch.queue.backoff.ms` is small, and positions are ours, never the
group's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from headgate_events.errors import ClusterUnreachable, EnvironmentProblem, HeadgateError, InvalidRequest, TopicsMissing

# Without a handler of the program's own, librdkafka's lines about brokers that come and go stay unsaid.
LOGGER: Final = logging.getLogger("headgate_events.kafka")
LOGGER.addHandler(logging.NullHandler())

Settings = Mapping[str, str | int | float | bool]
QUEUED_KBYTES: Final = 16 * 1024
"""Bound of what one reader holds fetched but not yet read."""
MAX_BATCH: Final = 10_000
POLL_S: Final = 0.1
REQUEST_MAX_S: Final = 30.0
RETRY_S: Final = 0.1

_TRANSIENT: Final = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._WAIT_COORD,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_ENOUGH_REPLICAS,
    }
)
_LEADER_MOVES: Final = frozenset({KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE})
MISSING: Final = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})
_DENIED: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._AUTHENTICATION,
    }
)
_LOST: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})


def is_transient(error: KafkaError) -> bool:
    """Say whether the client gets over this error by itself, so that waiting on is right."""
    return not error.fatal() and (error.code() in _TRANSIENT or error.retriable())


def wrapped(error: KafkaError, doing: str) -> HeadgateError:
    """Turn a Kafka error into ours; `doing` says what was tried, like `reading headgate.state`."""
    code = error.code()
    if code in MISSING:
        return TopicsMissing(
            f"A topic is missing ({doing}).", hint="Create the topics of the namespace with `headgate init`."
        )
    if code in _DENIED:
        return EnvironmentProblem(
            f"The cluster denies it ({doing}): {error.str()}.", hint="Check the principal's rights and credentials."
        )
    if code in _LOST:
        return EnvironmentProblem(
            f"The position to read from is gone ({doing}).",
            hint="Was the topic deleted and created again? Open a new client.",
        )
    if is_transient(error):
        return unreachable(doing, error.str())
    return EnvironmentProblem(f"Kafka failed ({doing}): {error.str()}.", hint="The broker's log tells more.")


def unreachable(doing: str, reason: str = "") -> ClusterUnreachable:
    """Return the error for "no broker answered in time"."""
    because = f": {reason}" if reason else ""
    return ClusterUnreachable(
        f"The Kafka cluster does not answer ({doing}{because}).",
        hint="Check the bootstrap servers and that a broker runs.",
    )


def make_consumer(bootstrap_servers: str, kafka: Settings | None, **more: Any) -> Consumer:
    """Return a consumer of no group that reads committed records from where it is told. Contacts nobody yet."""
    consumer: Consumer = _make(
        Consumer,
        bootstrap_servers,
        {
            "group.id": "headgate-reader-without-a-group",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.queue.backoff.ms": 5,
            # An empty partition is waited for before its end is known, and a snapshot waits for every end.
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": QUEUED_KBYTES,
            "fetch.message.max.bytes": 4 * 1024 * 1024,
        }
        | more,
        kafka,
    )
    return consumer


def make_producer(bootstrap_servers: str, kafka: Settings | None, timeout_s: float) -> Producer:
    """Return a producer that places keys as Java clients do and keeps their order. Contacts nobody yet.

    It is not an idempotent one on purpose. A command that is written twice after a lost acknowledgement has the same id
    twice and gets the same outcome, so nothing is gained; and an idempotent producer's first record may wait half a
    second for its producer id (measured: 505 ms against 4 ms), which is all that a person at a command line would feel.
    """
    producer: Producer = _make(
        Producer,
        bootstrap_servers,
        {
            "partitioner": "murmur2_random",
            "enable.idempotence": False,
            "acks": "all",
            "max.in.flight.requests.per.connection": 1,
            "linger.ms": 0,
            "retry.backoff.ms": 10,
            "message.timeout.ms": max(1, round(timeout_s * 1000)),
            "queue.buffering.max.messages": 20_000,
            "queue.buffering.max.kbytes": 64 * 1024,
        },
        kafka,
    )
    return producer


def _make(kind: Any, bootstrap_servers: str, ours: dict[str, Any], theirs: Settings | None) -> Any:
    settings = {**ours, **(theirs or {}), "bootstrap.servers": bootstrap_servers, "error_cb": _log_error}
    try:
        return kind(settings, logger=LOGGER)
    except (KafkaException, TypeError, ValueError) as problem:
        said = problem.args[0].str() if isinstance(problem, KafkaException) else str(problem)
        raise InvalidRequest(f"The Kafka settings are not valid: {said}.", hint="Correct the client's settings.") from (
            problem
        )


def _log_error(error: KafkaError) -> None:
    LOGGER.info("kafka: %s", error.str())


def count_partitions(consumer: Consumer, topic: str, timeout_s: float) -> int:
    """Return a topic's number of partitions. Never creates it. Raises TopicsMissing or ClusterUnreachable."""
    doing = f"asking for {topic}"
    try:
        known = consumer.list_topics(topic, timeout=_bounded(timeout_s)).topics.get(topic)
    except KafkaException as problem:
        raise wrapped(problem.args[0], doing) from problem
    if known is None or not known.partitions or known.error is not None:
        error = known.error if known is not None and known.error is not None else None
        if error is not None and error.code() not in MISSING:
            raise wrapped(error, doing)
        raise TopicsMissing(
            f"The topic {topic} does not exist.", hint="Create the topics of the namespace with `headgate init`."
        )
    return len(known.partitions)


def high_watermarks(
    bootstrap_servers: str, kafka: Settings | None, topic: str, partitions: Iterable[int], timeout_s: float
) -> dict[int, int]:
    """Return where each partition ends now, transactions that are still open included.

    A reader that has come so far, reading committed, has seen all that was there: a transaction that a dead projector
    left open is waited for, not read around.
    """
    return ends_of(make_admin(bootstrap_servers, kafka), topic, partitions, timeout_s)


def make_admin(bootstrap_servers: str, kafka: Settings | None) -> AdminClient:
    """Return a client that asks about topics. Contacts nobody yet; whoever asks keeps it until the answer is there."""
    admin: AdminClient = _make(AdminClient, bootstrap_servers, {}, kafka)
    return admin


def ends_of(admin: AdminClient, topic: str, partitions: Iterable[int], timeout_s: float) -> dict[int, int]:
    """Do what `high_watermarks` does, with a client that is kept for the next time."""
    deadline = time.monotonic() + _bounded(timeout_s)
    doing = f"asking for the end of {topic}"
    while True:
        try:
            return _ends(admin, topic, partitions, max(0.1, deadline - time.monotonic()))
        except KafkaException as problem:
            # A partition whose leader moves, or was just created, is answered again in a moment.
            if problem.args[0].code() not in _LEADER_MOVES or time.monotonic() > deadline:
                raise wrapped(problem.args[0], doing) from problem
            time.sleep(RETRY_S)
        except TimeoutError as problem:
            raise unreachable(doing) from problem


def _ends(admin: AdminClient, topic: str, partitions: Iterable[int], timeout_s: float) -> dict[int, int]:
    specification: Any = OffsetSpec  # its methods have no types
    asked = {TopicPartition(topic, partition): specification.latest() for partition in partitions}
    deadline = time.monotonic() + timeout_s + 1.0  # the library's own answer comes first
    futures = admin.list_offsets(asked, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=timeout_s)
    return {
        partition.partition: future.result(max(0.0, deadline - time.monotonic())).offset
        for partition, future in futures.items()
    }


def take(consumer: Consumer, max_records: int = MAX_BATCH, timeout_s: float = POLL_S) -> list[Message]:
    """Wait for one message, then take what is there: `consume` with a time waits for all of them or all of it."""
    first = consumer.poll(timeout_s)
    if first is None:
        return []
    return [first, *consumer.consume(max_records - 1, 0)]


def _bounded(timeout_s: float) -> float:
    return min(max(timeout_s, 0.1), REQUEST_MAX_S)
