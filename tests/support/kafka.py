"""Topics and records of the test broker, through a client of the suite's own.

Nothing here uses the product's adapters: what a test asserts about a topic is read by other code than what wrote it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic

from tests.support.eventually import eventually

REQUEST_S = 30.0
"""How long one request to the broker may take on a busy machine."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it lies in a topic. `key` and `value` are None where Kafka has null; header values likewise."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp_ms: int
    log_append_time: bool

    def header(self, name: str) -> bytes | None:
        """Return the last header of that name, None when there is none."""
        return next((value for key, value in reversed(self.headers) if key == name), None)


KEPT = {"retention.ms": "-1"}
"""A test's records may be of any year, and every five minutes a broker deletes what is a week old by its timestamp."""


class Topics:
    """Makes topics that are usable when the call returns. Not shared between threads."""

    def __init__(self, bootstrap_servers: str, namespace: str) -> None:
        self._admin = admin(bootstrap_servers)
        self._namespace = namespace

    def create(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        """Create `<namespace>.<name>` and return that full name once every partition has a leader.

        Raises KafkaException when it is there already: a test's topics are its own.
        """
        full = f"{self._namespace}.{name}"
        made = self._admin.create_topics(
            [NewTopic(full, num_partitions=partitions, replication_factor=1, config={**KEPT, **(config or {})})],
            operation_timeout=REQUEST_S,
            request_timeout=REQUEST_S,
        )
        made[full].result(REQUEST_S)
        self.wait_until_visible(full, partitions)
        return full

    def wait_until_visible(self, topic: str, partitions: int, timeout_s: float = REQUEST_S) -> None:
        """Return when the broker names a leader for each of the topic's `partitions`, else raise AssertionError."""

        def visible() -> bool:
            known = self._admin.list_topics(timeout=REQUEST_S).topics.get(topic)
            return (
                known is not None
                and known.error is None
                and len(known.partitions) == partitions
                and all(partition.leader >= 0 for partition in known.partitions.values())
            )

        eventually(visible, timeout_s, f"topic {topic} with {partitions} partitions is visible")

    def names(self) -> list[str]:
        """Return the namespace's topics, whoever made them, sorted."""
        found = self._admin.list_topics(timeout=REQUEST_S).topics
        return sorted(name for name in found if name.startswith(f"{self._namespace}."))


def admin(bootstrap_servers: str) -> AdminClient:
    """Return an AdminClient. Keep a name for it: one that is collected takes its unfinished requests along."""
    return AdminClient({"bootstrap.servers": bootstrap_servers})


def delete_namespaces(bootstrap_servers: str, namespaces: Sequence[str]) -> None:
    """Delete every topic of these namespaces; one that is gone already is fine."""
    client = admin(bootstrap_servers)
    prefixes = tuple(f"{namespace}." for namespace in namespaces)
    doomed = [name for name in client.list_topics(timeout=REQUEST_S).topics if name.startswith(prefixes)]
    if not doomed:
        return
    deletions: dict[str, Future[Any]] = client.delete_topics(doomed, request_timeout=REQUEST_S)
    for deletion in deletions.values():
        try:
            deletion.result(REQUEST_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise


def read_to_end(
    bootstrap_servers: str,
    topic: str,
    *,
    timeout_s: float = 30.0,
    isolation: str = "read_committed",
    at_most: int = 1_000_000,
) -> list[Record]:
    """Return every record of the topic, partition by partition, each in the order of its offsets.

    The end is where the broker says so for the chosen isolation: under `read_committed` that is the last stable offset,
    so records behind a transaction that is still open are not waited for. Belongs to no group and commits nothing.
    Raises TimeoutError past `timeout_s`, and AssertionError when there are more than `at_most` records.
    """
    deadline = time.monotonic() + timeout_s
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "never-joined",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "isolation.level": isolation,
            "fetch.queue.backoff.ms": 5,
        }
    )
    try:
        known = consumer.list_topics(topic, timeout=min(timeout_s, REQUEST_S)).topics[topic]
        if known.error is not None:
            raise KafkaException(known.error)
        starts = [
            TopicPartition(
                topic, partition, consumer.get_watermark_offsets(TopicPartition(topic, partition), REQUEST_S)[0]
            )
            for partition in known.partitions
        ]
        consumer.assign(starts)
        unfinished = set(known.partitions)
        records: list[Record] = []
        while unfinished:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{topic}: partitions {sorted(unfinished)} did not come to their end within {timeout_s:g} s; "
                    f"{len(records)} records were read."
                )
            message = consumer.poll(0.1)
            for each in [message, *consumer.consume(10_000, 0)] if message is not None else []:
                _take(each, records, unfinished)
            assert len(records) <= at_most, f"{topic} has more than {at_most} records."
    finally:
        consumer.close()
    return sorted(records, key=lambda record: (record.partition, record.offset))


def _take(message: Message, records: list[Record], unfinished: set[int]) -> None:
    error = message.error()
    if error is not None:
        if error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        unfinished.discard(message.partition())
        return
    if message.partition() not in unfinished:
        return  # written after the end was reached: not part of what there was
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None, "a record that was read has a topic, a partition and an offset"
    assert partition is not None, "a record that was read has a topic, a partition and an offset"
    assert offset is not None, "a record that was read has a topic, a partition and an offset"
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    kind, timestamp_ms = message.timestamp()
    records.append(
        Record(
            topic=topic,
            partition=partition,
            offset=offset,
            key=message.key(),
            value=message.value(),
            headers=tuple((name, text.encode() if isinstance(text, str) else text) for name, text in pairs),
            timestamp_ms=timestamp_ms,
            log_append_time=kind == TIMESTAMP_LOG_APPEND_TIME,
        )
    )
