"""The real adapter without a broker: every call ends in time, with a sentence."""

from __future__ import annotations

import logging
import time

import pytest

from headgate.adapters.kafka import KafkaLog, KafkaSettings
from headgate.ports.errors import LogError, LogUnavailable
from headgate.ports.log import Committed, TopicPartition
from tests.support.eventually import eventually

NOWHERE = "127.0.0.1:1"
PARTITION = TopicPartition("source", 0)


@pytest.fixture
def log() -> KafkaLog:
    return KafkaLog(KafkaSettings(NOWHERE))


def test_questions_end_at_their_bound(log: KafkaLog) -> None:
    consumer = log.consumer(group="group", session_timeout_ms=1_000)
    began = time.monotonic()
    with pytest.raises(LogUnavailable):
        log.partitions("source", 0.5)
    with pytest.raises(LogUnavailable):
        consumer.range(PARTITION, 0.5)
    with pytest.raises(LogUnavailable):
        consumer.committed([PARTITION], 0.5)
    with pytest.raises(LogUnavailable):
        consumer.at_time([PARTITION], 0, 0.5)
    with pytest.raises(LogUnavailable):
        consumer.commit({PARTITION: Committed(1)}, 1.0)
    consumer.close()
    assert time.monotonic() - began < 15


def test_a_poll_says_that_no_broker_answers(log: KafkaLog) -> None:
    consumer = log.consumer()
    consumer.assign({PARTITION: 0})

    def said() -> bool:
        try:
            consumer.poll(10, 0.1)
        except LogUnavailable:
            return True
        return False

    eventually(said, 20.0, "a poll raises")
    consumer.close()


def test_initialising_transactions_ends_at_its_bound_and_dropping_does_not_wait(log: KafkaLog) -> None:
    producer = log.transactional_producer("id")
    with pytest.raises(LogUnavailable):
        producer.init(0.5)
    began = time.monotonic()
    producer.drop()
    producer.drop()
    assert time.monotonic() - began < 10, "closing it in good order would take as long as its broker is away"
    with pytest.raises(LogError):
        producer.init(0.5)


def test_a_flush_ends_at_its_bound(log: KafkaLog) -> None:
    producer = log.producer()
    producer.produce("source", b"a")
    with pytest.raises(LogUnavailable, match="1 records were not acknowledged"):
        producer.flush(0.3)
    producer.drop()  # else it would look for its broker until the last test: a thread of its own every second


def test_a_wrong_setting_is_one_sentence() -> None:
    log = KafkaLog(KafkaSettings(NOWHERE, {"no.such.setting": 1}))
    with pytest.raises(LogError, match=r"no\.such\.setting"):
        log.consumer()
    with pytest.raises(LogError, match=r"no\.such\.setting"):
        log.transactional_producer("id")
    with pytest.raises(LogError, match=r"no\.such\.setting"):
        log.partitions("source", 1.0)


def test_what_the_library_says_goes_to_the_logger_and_not_to_standard_error(
    log: KafkaLog, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "headgate.kafka"):
        consumer = log.consumer()
        consumer.assign({PARTITION: 0})

        def refused() -> bool:
            try:
                consumer.poll(1, 0.1)
            except LogUnavailable:
                return "refused" in caplog.text
            return "refused" in caplog.text

        eventually(refused, 20.0, "the refused connection is in the log")
        consumer.close()
    assert capfd.readouterr().err == ""
