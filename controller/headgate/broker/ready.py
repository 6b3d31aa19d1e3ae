"""When a broker counts as ready: it has committed a transaction and a group's coordinator has answered.

An open port says little (Docker's proxy accepts at once), and neither does metadata: the first transaction and the
first group still wait for their coordinators to load, for seconds at times. So one record and one group position are
committed in a transaction and read back, in a topic that is then deleted. Nothing of it stays behind.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headgate.broker.errors import BrokerNotReady

if TYPE_CHECKING:
    from confluent_kafka import KafkaException

_CALL_S = 5.0
_PAUSE_S = 0.1
_SILENT = logging.getLogger("headgate.broker.clients")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


def wait_ready(bootstrap_servers: str, *, timeout_s: float, ended: Callable[[], str | None] = lambda: None) -> None:
    """Return when the broker has committed a transaction and answered for a group, within `timeout_s`.

    `ended` says why waiting is in vain, or None while the broker lives. Raises `BrokerNotReady`.
    """
    deadline = time.monotonic() + timeout_s
    _retried("its metadata", deadline, ended, lambda left_s: _metadata(bootstrap_servers, left_s))
    _retried("a transaction", deadline, ended, lambda left_s: _transaction(bootstrap_servers, left_s))


def answers(bootstrap_servers: str, *, timeout_s: float) -> str | None:
    """Ask any of the brokers for its metadata. Return None when one answers within `timeout_s`, else why not."""
    from confluent_kafka import KafkaException

    try:
        _metadata(bootstrap_servers, timeout_s)
    except KafkaException as problem:
        return _reason(problem)
    return None


def _retried(what: str, deadline: float, ended: Callable[[], str | None], attempt: Callable[[float], None]) -> None:
    from confluent_kafka import KafkaException

    while True:
        if reason := ended():
            raise BrokerNotReady(reason)
        left_s = deadline - time.monotonic()
        try:
            return attempt(max(0.5, min(_CALL_S, left_s)))
        except (KafkaException, TimeoutError) as problem:
            if time.monotonic() >= deadline:
                said = f"The broker did not answer for {what} within its bound: {_reason(problem)}."
                raise BrokerNotReady(said) from problem
            time.sleep(_PAUSE_S)


def _metadata(bootstrap_servers: str, timeout_s: float) -> None:
    from confluent_kafka.admin import AdminClient

    admin = AdminClient(_client(bootstrap_servers), logger=_SILENT)
    admin.list_topics(timeout=timeout_s)


def _transaction(bootstrap_servers: str, timeout_s: float) -> None:
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient, NewTopic

    name = f"headgate-ready-{uuid.uuid4().hex[:12]}"
    admin = AdminClient(_client(bootstrap_servers), logger=_SILENT)
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(timeout_s)
    try:
        names = {"group.id": name, "enable.auto.commit": False}
        consumer = Consumer(_client(bootstrap_servers) | names, logger=_SILENT)
        transactional = {"transactional.id": name, "transaction.timeout.ms": 10_000, "retry.backoff.ms": 20}
        producer = Producer(_client(bootstrap_servers) | transactional, logger=_SILENT)
        try:
            producer.init_transactions(timeout_s)
            producer.begin_transaction()
            producer.produce(name, b"ready", partition=0)
            positions = [TopicPartition(name, 0, 1)]
            producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata(), timeout_s)
            producer.commit_transaction(timeout_s)
            committed = consumer.committed([TopicPartition(name, 0)], timeout=timeout_s)
            if committed[0].offset != 1:
                raise BrokerNotReady(f"The broker committed position 1 and answers {committed[0].offset}.")
        finally:
            consumer.close()
    finally:
        admin.delete_topics([name])[name].result(timeout_s)


def _client(bootstrap_servers: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap_servers,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 250,
        "socket.connection.setup.timeout.ms": 3000,
        "log_level": 0,
    }


def _reason(problem: KafkaException | TimeoutError) -> str:
    error = problem.args[0] if problem.args else "no answer in time"
    return str(error.str() if hasattr(error, "str") else error).rstrip(".")
