"""One table from librdkafka's error codes to the port's errors, so that nothing above it knows a code.

A code that the table does not name follows its flags: fatal → LogFatal, retriable → LogUnavailable, else LogError.
Inside a transaction only what proves that nothing was committed keeps its own class (a record that is not taken, a
missing topic, a missing right); everything else is TransactionInDoubt, which is the rule of `headgate.session`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException

from headgate.ports.errors import (
    LogError,
    LogFatal,
    LogUnavailable,
    NotAuthorized,
    PositionLost,
    ProducerFenced,
    RecordRejected,
    RecordTooLarge,
    StaleMember,
    TopicMissing,
    TransactionInDoubt,
)
from headgate.ports.log import TopicPartition

CLASSES: Final[Mapping[int, type[LogError]]] = {
    # The broker is away, slow or between leaders.
    KafkaError._TIMED_OUT: LogUnavailable,
    KafkaError._TIMED_OUT_QUEUE: LogUnavailable,
    KafkaError._MSG_TIMED_OUT: LogUnavailable,
    KafkaError._TRANSPORT: LogUnavailable,
    KafkaError._RESOLVE: LogUnavailable,
    KafkaError._ALL_BROKERS_DOWN: LogUnavailable,
    KafkaError._QUEUE_FULL: LogUnavailable,
    KafkaError._WAIT_COORD: LogUnavailable,
    KafkaError._WAIT_CACHE: LogUnavailable,
    KafkaError._RETRY: LogUnavailable,
    KafkaError.LEADER_NOT_AVAILABLE: LogUnavailable,
    KafkaError.NOT_LEADER_FOR_PARTITION: LogUnavailable,
    KafkaError.FENCED_LEADER_EPOCH: LogUnavailable,
    KafkaError.UNKNOWN_LEADER_EPOCH: LogUnavailable,
    KafkaError.OFFSET_NOT_AVAILABLE: LogUnavailable,
    KafkaError.KAFKA_STORAGE_ERROR: LogUnavailable,
    KafkaError.REPLICA_NOT_AVAILABLE: LogUnavailable,
    KafkaError.BROKER_NOT_AVAILABLE: LogUnavailable,
    KafkaError.REQUEST_TIMED_OUT: LogUnavailable,
    KafkaError.NETWORK_EXCEPTION: LogUnavailable,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS: LogUnavailable,
    KafkaError.COORDINATOR_NOT_AVAILABLE: LogUnavailable,
    KafkaError.NOT_COORDINATOR: LogUnavailable,
    KafkaError.NOT_ENOUGH_REPLICAS: LogUnavailable,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND: LogUnavailable,
    KafkaError.NOT_CONTROLLER: LogUnavailable,
    KafkaError.CONCURRENT_TRANSACTIONS: LogUnavailable,
    KafkaError.UNSTABLE_OFFSET_COMMIT: LogUnavailable,
    KafkaError.THROTTLING_QUOTA_EXCEEDED: LogUnavailable,
    KafkaError.REBALANCE_IN_PROGRESS: LogUnavailable,
    KafkaError._MAX_POLL_EXCEEDED: LogUnavailable,
    # This member or producer was replaced.
    KafkaError.ILLEGAL_GENERATION: StaleMember,
    KafkaError.UNKNOWN_MEMBER_ID: StaleMember,
    KafkaError.FENCED_INSTANCE_ID: StaleMember,
    KafkaError.STALE_MEMBER_EPOCH: StaleMember,
    KafkaError.FENCED_MEMBER_EPOCH: StaleMember,
    KafkaError._ASSIGNMENT_LOST: StaleMember,
    KafkaError._FENCED: ProducerFenced,
    KafkaError.PRODUCER_FENCED: ProducerFenced,
    KafkaError.INVALID_PRODUCER_EPOCH: ProducerFenced,
    KafkaError.TRANSACTION_COORDINATOR_FENCED: TransactionInDoubt,
    KafkaError.INVALID_PRODUCER_ID_MAPPING: TransactionInDoubt,
    KafkaError.INVALID_TXN_STATE: TransactionInDoubt,
    # Positions and topics.
    KafkaError._AUTO_OFFSET_RESET: PositionLost,
    KafkaError.OFFSET_OUT_OF_RANGE: PositionLost,
    KafkaError._LOG_TRUNCATION: PositionLost,
    KafkaError.UNKNOWN_TOPIC_OR_PART: TopicMissing,
    KafkaError._UNKNOWN_TOPIC: TopicMissing,
    KafkaError._UNKNOWN_PARTITION: TopicMissing,
    KafkaError.UNKNOWN_TOPIC_ID: TopicMissing,
    # Rights.
    KafkaError._AUTHENTICATION: NotAuthorized,
    KafkaError._SSL: NotAuthorized,
    KafkaError.SASL_AUTHENTICATION_FAILED: NotAuthorized,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: NotAuthorized,
    KafkaError.GROUP_AUTHORIZATION_FAILED: NotAuthorized,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: NotAuthorized,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: NotAuthorized,
    # Records.
    KafkaError.MSG_SIZE_TOO_LARGE: RecordTooLarge,
    KafkaError.RECORD_LIST_TOO_LARGE: RecordTooLarge,
    KafkaError.INVALID_MSG_SIZE: RecordTooLarge,
    KafkaError.INVALID_RECORD: RecordRejected,
    KafkaError.INVALID_TIMESTAMP: RecordRejected,
    # The client instance is beyond use.
    KafkaError._FATAL: LogFatal,
    KafkaError._DESTROY: LogFatal,
    KafkaError._CRIT_SYS_RESOURCE: LogFatal,
}

HINTS: Final[Mapping[type[LogError], str]] = {
    LogUnavailable: "Check that the brokers run and can be reached; it is tried again.",
    NotAuthorized: "Give the principal the right, or the client its credentials.",
    TopicMissing: "Create the topic, or correct its name; `headgate init` creates the topics of the namespace.",
    RecordRejected: "Send it with what the topic demands: a key where it is compacted, a time within its bounds.",
    RecordTooLarge: "Raise max.message.bytes of the topic and message.max.bytes of the client, or send less.",
    PositionLost: "Say where to go on: `headgate recover` with a position.",
    LogFatal: "The client is built anew.",
    ProducerFenced: "The producers are built anew, after a look at who owns the partition.",
    TransactionInDoubt: "The producers are built anew, and work goes on from the committed positions.",
    StaleMember: "The partitions belong to another member now, or will be assigned again.",
}

_KEPT: Final = (RecordRejected, TopicMissing, NotAuthorized, TransactionInDoubt)
"""What a transaction keeps as its own class: the first three prove that nothing was committed."""


SHORTEST_HIDDEN: Final = 4
"""Values shorter than this are no secrets, and leaving them out would cut words apart."""


def translate(
    error: Exception | KafkaError,
    doing: str,
    *,
    at: TopicPartition | None = None,
    position: int | None = None,
) -> LogError:
    """Return the port's error for one of the client library's. `doing` is a short gerund phrase, as in "committing".

    `at` and `position` go into a PositionLost. An error that is a LogError already is returned as it is.
    """
    if isinstance(error, LogError):
        return error
    kafka = kafka_error(error)
    if kafka is None:
        return LogError(f"{_sentence(doing)} failed: {error}.", hint="The Kafka client refused the call.")
    kind = classify(kafka)
    message = f"{_sentence(doing)} failed: {kafka.str()} ({kafka.name()})."
    if kind is PositionLost:
        if at is None:
            return LogError(message, hint=HINTS[PositionLost])
        where = f"{at.topic} partition {at.partition}"
        seen = "has no committed position" if position is None else f"does not hold position {position}"
        return PositionLost(
            f"{where} {seen} ({kafka.str()}).",
            topic=at.topic,
            partition=at.partition,
            position=position,
            hint=HINTS[PositionLost],
        )
    return kind(message, hint=HINTS.get(kind, "See the broker's log for the reason."))


def not_made(error: Exception, what: str, config: Mapping[str, Any]) -> LogError:
    """Return the error for a client that could not be made of its settings; raise it `from None`.

    The library quotes values, and one of them may be a secret in the wrong place, so none is left in the sentence.
    """
    kafka = kafka_error(error)
    said = str(error) if kafka is None else kafka.str()
    values = {value for value in config.values() if isinstance(value, str) and len(value) >= SHORTEST_HIDDEN}
    for value in sorted(values, key=len, reverse=True):
        said = said.replace(value, "…")
    return LogError(
        f"Making {what} failed: {said}.",
        hint="Correct the settings of the client: HEADGATE_KAFKA, or those of the connection.",
    )


def translate_in_transaction(error: Exception | KafkaError, doing: str) -> LogError:
    """Return the error for anything but a clean success of a call that belongs to a transaction."""
    plain = translate(error, doing)
    if isinstance(plain, _KEPT):
        return plain
    return TransactionInDoubt(plain.message, hint=HINTS[TransactionInDoubt])


def classify(error: KafkaError) -> type[LogError]:
    """Return the port's class of one error of the library."""
    named = CLASSES.get(error.code())
    if named is not None and (named is not LogUnavailable or not error.fatal()):
        return named
    if error.fatal():
        return LogFatal
    return LogUnavailable if error.retriable() else LogError


def kafka_error(error: Exception | KafkaError) -> KafkaError | None:
    """Return the library's own error inside an exception, or None when there is none."""
    if isinstance(error, KafkaError):
        return error
    if isinstance(error, KafkaException) and error.args and isinstance(error.args[0], KafkaError):
        return error.args[0]
    return None


def _sentence(doing: str) -> str:
    return doing[:1].upper() + doing[1:]
