"""`KafkaLog` makes clients of one real cluster, each with the settings that its use needs.

What correctness depends on (positions that are ours, no silent reset, idempotence, Java's partitioner) stands above
what a stream may choose for one client, and that above what an administrator may set. The rest has defaults with their
reasons in `settings`.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from typing import Any, Literal

from confluent_kafka import Consumer, KafkaError, KafkaException

from headgate.adapters.kafka.consumer import KafkaConsumer
from headgate.adapters.kafka.errors import not_made, translate
from headgate.adapters.kafka.producer import KafkaProducer, KafkaTransactionalProducer
from headgate.adapters.kafka.settings import (
    FETCH_QUEUE_BACKOFF_MS,
    QUEUED_KBYTES,
    REQUEST_TIMEOUT_MS,
    SESSION_TIMEOUT_MS,
    KafkaSettings,
)
from headgate.adapters.kafka.topics import TopicAdministration
from headgate.ports.errors import LogError
from headgate.ports.log import ClientSetting, Isolation
from headgate_events.topics import TopicSpec


class KafkaLog:
    """Implements `Log`. May be used by several threads; what it returns may not.

    Making a client connects in the background and does not wait, so an unreachable broker shows at the first call.
    Every method raises LogError when a setting is wrong.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._asking: Consumer | None = None

    def consumer(
        self,
        *,
        group: str | None = None,
        isolation: Isolation = "read_committed",
        ends: bool = False,
        assignor: Literal["range", "cooperative-sticky"] = "cooperative-sticky",
        session_timeout_ms: int | None = None,
        max_poll_interval_ms: int | None = None,
        instance: str | None = None,
        queued_kbytes: int | None = None,
        fetch_wait_ms: int | None = None,
        client: Mapping[str, ClientSetting] | None = None,
    ) -> KafkaConsumer:
        """Make a consumer; without `group` it can only be assigned to.

        With the `consumer` protocol the broker has the session timeout, so `session_timeout_ms` is not used then.
        """
        config: dict[str, Any] = {
            "socket.timeout.ms": REQUEST_TIMEOUT_MS,
            "fetch.queue.backoff.ms": FETCH_QUEUE_BACKOFF_MS,
            "queued.max.messages.kbytes": queued_kbytes or QUEUED_KBYTES,
            **self._settings.base(),
            **(client or {}),
            # The library insists on a name even where no group is meant.
            "group.id": group or f"headgate-no-group-{uuid.uuid4()}",
            "isolation.level": isolation,
            "enable.partition.eof": ends,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
        }
        if fetch_wait_ms is not None:
            config["fetch.wait.max.ms"] = fetch_wait_ms
        if max_poll_interval_ms is not None:
            config["max.poll.interval.ms"] = max_poll_interval_ms
        if instance is not None:
            config["group.instance.id"] = instance
        by_broker = self._settings.group_protocol == "consumer"
        if by_broker:
            config["group.protocol"] = "consumer"
            config["group.remote.assignor"] = "range" if assignor == "range" else "uniform"
        else:
            config["partition.assignment.strategy"] = assignor
            # The library refuses a session that outlasts the poll interval.
            session_ms = session_timeout_ms or min(SESSION_TIMEOUT_MS, max_poll_interval_ms or SESSION_TIMEOUT_MS)
            config["session.timeout.ms"] = session_ms
            # Members learn of a rebalance by their heartbeats, and a cooperative one takes two rounds.
            config["heartbeat.interval.ms"] = max(100, min(1_000, session_ms // 3))
        return KafkaConsumer(config, cooperative=by_broker or assignor == "cooperative-sticky")

    def producer(
        self,
        *,
        linger_ms: int = 0,
        failures_only: bool = False,
        client: Mapping[str, ClientSetting] | None = None,
    ) -> KafkaProducer:
        """Make an idempotent producer; `failures_only` spares a call for each record that was delivered."""
        return KafkaProducer(self._producing(linger_ms, client), failures_only=failures_only)

    def transactional_producer(
        self,
        transactional_id: str,
        *,
        linger_ms: int = 0,
        timeout_ms: int = 20_000,
        client: Mapping[str, ClientSetting] | None = None,
    ) -> KafkaTransactionalProducer:
        """Make a producer of transactions that the broker ends after `timeout_ms` when we do not."""
        config = self._producing(linger_ms, client)
        config["transactional.id"] = transactional_id
        config["transaction.timeout.ms"] = timeout_ms
        for bounded_by_transaction in ("socket.timeout.ms", "message.timeout.ms", "delivery.timeout.ms"):
            config.pop(bounded_by_transaction, None)
        return KafkaTransactionalProducer(config)

    def partitions(self, topic: str, timeout_s: float) -> int | None:
        """Return a topic's number of partitions, or None when it does not exist."""
        doing = f"looking for the topic {topic}"
        asker = self._asker()
        try:
            # A consumer that never joins: unlike a producer's, its question cannot create the topic.
            described = asker.list_topics(topic, timeout_s).topics[topic]
        except (KafkaException, RuntimeError, ValueError, TypeError) as error:
            raise translate(error, doing) from error
        if described.error is None:
            return len(described.partitions)
        if described.error.code() in {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}:
            return None
        raise translate(described.error, doing)

    def create_topic(self, topic: str, partitions: int, config: Mapping[str, str], timeout_s: float) -> None:
        """Create a topic where it is missing, with the brokers' default replication."""
        if self.partitions(topic, timeout_s) is not None:
            return
        spec = TopicSpec(topic, "", "", config, partitions=partitions)
        (check,) = TopicAdministration(self._settings).ensure([spec], timeout_s=timeout_s)
        if check.verdict == "failed":
            raise LogError(f"The topic {topic} could not be created: {check.detail}", hint=check.hint)

    def topic_config(self, topic: str, timeout_s: float) -> Mapping[str, str]:
        """Return a topic's settings, defaults of the brokers included."""
        return TopicAdministration(self._settings).config(topic, timeout_s)

    def _asker(self) -> Consumer:
        with self._lock:
            if self._asking is None:
                config = {
                    "socket.timeout.ms": REQUEST_TIMEOUT_MS,
                    **self._settings.base(),
                    "group.id": "headgate-asks-only",
                    "enable.auto.commit": False,
                }
                try:
                    self._asking = Consumer(config)
                except (KafkaException, ValueError, TypeError) as error:
                    raise not_made(error, "a client", config) from None
            return self._asking

    def _producing(self, linger_ms: int, client: Mapping[str, ClientSetting] | None) -> dict[str, Any]:
        return {
            "socket.timeout.ms": REQUEST_TIMEOUT_MS,
            **self._settings.base(),
            "linger.ms": linger_ms,
            **(client or {}),
            "enable.idempotence": True,
            "acks": "all",
            "partitioner": "murmur2_random",
        }
