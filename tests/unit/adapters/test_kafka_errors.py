"""The table of librdkafka's errors."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from headgate.adapters.kafka.errors import CLASSES, HINTS, translate, translate_in_transaction
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


def raised(code: int, *, fatal: bool = False, retriable: bool = False) -> KafkaException:
    return KafkaException(KafkaError(code, "why", fatal, retriable))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError._ALL_BROKERS_DOWN, LogUnavailable),
        (KafkaError.FENCED_LEADER_EPOCH, LogUnavailable),
        (KafkaError.UNKNOWN_MEMBER_ID, StaleMember),
        (KafkaError.ILLEGAL_GENERATION, StaleMember),
        (KafkaError._FENCED, ProducerFenced),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, TopicMissing),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, NotAuthorized),
        (KafkaError.MSG_SIZE_TOO_LARGE, RecordTooLarge),
        (KafkaError._FATAL, LogFatal),
    ],
)
def test_a_code_has_its_class(code: int, kind: type[LogError]) -> None:
    assert type(translate(raised(code), "reading")) is kind


def test_a_code_that_is_not_named_follows_its_flags() -> None:
    code = KafkaError.INVALID_REQUEST
    assert code not in CLASSES
    assert type(translate(raised(code), "reading")) is LogError
    assert type(translate(raised(code, retriable=True), "reading")) is LogUnavailable
    assert type(translate(raised(code, fatal=True), "reading")) is LogFatal


def test_a_fatal_error_is_never_said_to_pass_by_itself() -> None:
    assert type(translate(raised(KafkaError._TIMED_OUT, fatal=True), "reading")) is LogFatal


@pytest.mark.parametrize("code", sorted(CLASSES))
def test_inside_a_transaction_nothing_is_called_retriable_but_a_doubt(code: int) -> None:
    error = translate_in_transaction(raised(code), "committing")
    assert isinstance(error, TransactionInDoubt | RecordRejected | TopicMissing | NotAuthorized)
    assert error.hint


def test_a_lost_position_says_where() -> None:
    at = TopicPartition("source", 3)
    error = translate(raised(KafkaError._AUTO_OFFSET_RESET), "reading", at=at, position=50)
    assert isinstance(error, PositionLost)
    assert (error.topic, error.partition, error.position) == ("source", 3, 50)
    assert "source partition 3" in str(error)
    none = translate(raised(KafkaError._AUTO_OFFSET_RESET), "reading", at=at)
    assert "has no committed position" in str(none)


def test_what_the_library_raises_beside_its_own_errors_is_translated_too() -> None:
    assert type(translate(RuntimeError("Consumer closed"), "reading")) is LogError


def test_every_class_of_the_table_has_a_remedy() -> None:
    assert set(CLASSES.values()) <= set(HINTS)
