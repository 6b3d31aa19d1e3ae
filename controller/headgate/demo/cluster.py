"""The demo's own hands on Kafka: topics, ends of partitions, one producer, one reader. None of the product's adapters.

What the demo claims about the destination is read by other code than what wrote it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from headgate_events.errors import EnvironmentProblem

REQUEST_S: Final = 15.0
BATCH: Final = 2_000


class ClusterFailed(EnvironmentProblem):
    """The broker did not do what the demo needs of any broker."""

    code = "environment.cluster_failed"


class Cluster:
    """One Kafka cluster. Clients that it makes belong to whoever asked for them."""

    def __init__(self, bootstrap_servers: str, settings: Mapping[str, Any] | None = None) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.settings = dict(settings or {})
        self._admin = AdminClient(self._with({}))

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic that keeps what it gets (its records carry times of 2013). Raises ClusterFailed."""
        # By default Kafka drops what is older than a week, and the records' own time is what counts as their age.
        topic = NewTopic(name, num_partitions=partitions, replication_factor=-1, config={"retention.ms": "-1"})
        made = self._admin.create_topics([topic], operation_timeout=REQUEST_S, request_timeout=REQUEST_S)
        _done(made[name], f"creating the topic {name}")
        deadline = time.monotonic() + REQUEST_S
        while time.monotonic() < deadline:
            known = self._admin.list_topics(timeout=REQUEST_S).topics.get(name)
            if known is not None and known.error is None and len(known.partitions) == partitions:
                return
            time.sleep(0.05)
        raise ClusterFailed(f"The topic {name} was created and is not visible after {REQUEST_S:g} s.")

    def delete_all_of(self, prefix: str) -> None:
        """Delete every topic and group whose name begins with `prefix` and a dot. Raises ClusterFailed."""
        names = [name for name in self._admin.list_topics(timeout=REQUEST_S).topics if name.startswith(f"{prefix}.")]
        if names:
            for name, done in self._admin.delete_topics(names, request_timeout=REQUEST_S).items():
                _done(done, f"deleting the topic {name}")
        listed = _done(self._admin.list_consumer_groups(request_timeout=REQUEST_S), "listing the groups")
        groups = [group.group_id for group in listed.valid if group.group_id.startswith(f"{prefix}.")]
        if groups:
            for name, done in self._admin.delete_consumer_groups(groups, request_timeout=REQUEST_S).items():
                _done(done, f"deleting the group {name}")

    def producer(self) -> Producer:
        """Make an idempotent producer."""
        return Producer(
            self._with({"enable.idempotence": True, "linger.ms": 5, "delivery.timeout.ms": 30_000, "acks": "all"})
        )

    def reader(self, positions: Mapping[tuple[str, int], int]) -> Consumer:
        """Make a consumer of committed records that is in no group, at these positions of (topic, partition)."""
        consumer = self._consumer("read_committed")
        consumer.assign([TopicPartition(topic, partition, at) for (topic, partition), at in positions.items()])
        return consumer

    def read_to_end(self, topic: str, partitions: int, timeout_s: float) -> Iterator[Message]:
        """Yield every committed record of a topic, from the first to where each partition ends.

        Raises ClusterFailed when the ends are not reached within the bound.
        """
        consumer = self.reader({(topic, partition): 0 for partition in range(partitions)})
        unfinished = set(range(partitions))
        deadline = time.monotonic() + timeout_s
        try:
            while unfinished:
                if time.monotonic() > deadline:
                    raise ClusterFailed(f"{topic} could not be read to its end within {timeout_s:g} s.")
                for message in take(consumer, 0.1):
                    if message.error() is None:
                        yield message
                    else:
                        unfinished.discard(message.partition() or 0)
        finally:
            consumer.close()

    def ends(self, topic: str, partitions: int, *, committed: bool = False) -> list[int]:
        """Ask the broker where each partition ends: the first offset that nobody has written to.

        With `committed` the place up to which transactions are decided. Raises ClusterFailed.
        """
        consumer = self._consumer("read_committed" if committed else "read_uncommitted")
        try:
            return [
                consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=REQUEST_S)[1]
                for partition in range(partitions)
            ]
        except KafkaException as problem:
            raise ClusterFailed(f"The end of {topic} could not be asked for: {problem.args[0].str()}.") from problem
        finally:
            consumer.close()

    def _consumer(self, isolation: str) -> Consumer:
        return Consumer(
            self._with(
                {
                    "group.id": "headgate-demo-reader",  # required by the client, never joined
                    "isolation.level": isolation,
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "enable.partition.eof": True,
                    "auto.offset.reset": "error",
                    "fetch.wait.max.ms": 100,
                    "fetch.queue.backoff.ms": 5,
                    "queued.max.messages.kbytes": 16_384,
                }
            )
        )

    def _with(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        # The client's own lines about brokers that come and go would run through the story.
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": "headgate-demo",
            "log_level": 0,
            **self.settings,
            **settings,
        }


def take(consumer: Consumer, timeout_s: float) -> Sequence[Message]:
    """Wait for one message, then take what is there. Ends of partitions come as messages with an error, others raise.

    Raises ClusterFailed for what the client does not get over by itself.
    """
    first = consumer.poll(timeout_s)
    if first is None:
        return []
    kept = []
    for message in [first, *consumer.consume(BATCH, 0)]:
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            kept.append(message)
        elif error.fatal() or not (error.retriable() or error.code() in _PASSING):
            raise ClusterFailed(f"{message.topic() or 'The cluster'} cannot be read: {error.str()}.")
    return kept


_PASSING: Final = frozenset({KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT})


def _done(future: Any, doing: str) -> Any:
    try:
        return future.result(REQUEST_S + 5)
    except KafkaException as problem:
        raise ClusterFailed(f"The cluster refused {doing}: {problem.args[0].str()}.") from problem
    except TimeoutError as problem:
        raise ClusterFailed(f"The cluster did not finish {doing} within {REQUEST_S:g} s.") from problem
