"""Kafka in the stream's own cluster, on its twin in memory and on a real broker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from headgate.adapters.clock import ManualClock
from headgate.adapters.kafka import KafkaLog, KafkaSettings
from headgate.adapters.memory import MemoryKafka
from headgate.destinations.kafka import KafkaDestination
from headgate.ports.connectors import ConnectorContext, ConnectorUnavailable, Delivery
from headgate.ports.log import Committed, Log, LogConsumer, TopicPartition
from headgate.testing import DestinationConformance, Seen, context_for
from tests.conftest import Broker
from tests.support.kafka import Topics

PARTITIONS = 3
ON_THE_REAL_ONE = {
    "test_a_commit_with_nothing_written_but_moved_positions_shows_nothing",
    "test_a_predecessor_that_comes_to_itself_after_its_heir_committed_changes_nothing",
    "test_a_refused_record_is_named_and_the_others_survive",
    "test_an_heir_fences_a_predecessor_that_has_written",
    "test_headers_are_carried_or_do_no_harm",
    "test_one_partition_moves_and_the_others_stay",
    "test_opening_again_forgets_what_was_in_flight",
    "test_order_is_kept_within_each_partition_over_many_batches",
    "test_positions_come_back_exactly_with_their_text",
    "test_what_was_not_committed_is_gone_after_a_close",
}
"""What shows whether the twin tells the truth; the whole suite is quick on the twin only."""
READ_S = 30.0


def read_all(log: Log, topic: str) -> list[Seen]:
    """Read what is committed in a topic of one partition, to its end."""
    consumer = log.consumer(ends=True, fetch_wait_ms=10)
    try:
        consumer.assign({TopicPartition(topic, 0): 0})
        seen: list[Seen] = []
        for _ in range(300):
            batch = consumer.poll(1_000, 0.1)
            seen += [Seen(each.key(), each.value(), each.headers() or []) for each in batch.records]
            if batch.ends:
                return seen
    finally:
        consumer.close()
    raise AssertionError(f"the end of {topic} did not come")


class OnKafka(DestinationConformance):
    kind = KafkaDestination()
    visible_within_s = READ_S  # a commit returns before the markers are written that let readers go on
    log: Log
    destination_topic: str
    group: LogConsumer

    def settings(self) -> Mapping[str, Any]:
        return {"topic": self.destination_topic, "client": {"message.max.bytes": 1_000_000}}

    def broken_settings(self) -> Mapping[str, Any]:
        return {"topic": f"{self.destination_topic}.is-not-there"}

    def refused_value(self) -> bytes:
        return b"x" * 1_000_001

    def context(self, delivery: Delivery, worker: str) -> ConnectorContext:
        return context_for(delivery, worker=worker, namespace=self.destination_topic, log=self.log)

    def proof(self) -> Any:
        return self.group.group_metadata()

    def source_committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, Committed]:
        return self.group.committed(partitions, READ_S)

    def read(self) -> Sequence[Seen]:
        return read_all(self.log, self.destination_topic)


class TestKafkaInMemory(OnKafka):
    @pytest.fixture(autouse=True)
    def twin(self) -> Iterator[None]:
        self.cluster = MemoryKafka(ManualClock())
        self.log = self.cluster.log()
        self.source_topic, self.destination_topic = "made", "destination"
        self.cluster.create_topic(self.source_topic, PARTITIONS)
        self.cluster.create_topic(self.destination_topic, 1)
        self.group = self.log.consumer(group="destination.conformance.1")
        yield
        self.group.close()

    def break_other_side(self) -> None:
        self.cluster.faults.unavailable = True

    def heal_other_side(self) -> None:
        self.cluster.faults.unavailable = False


@pytest.mark.integration
class TestKafka(OnKafka):
    """On the broker of the run. Outages are the integration tests' business: this broker is shared."""

    @pytest.fixture(autouse=True)
    def real(self, broker: Broker, topics: Topics) -> Iterator[None]:
        settings = KafkaSettings(broker.bootstrap_servers, {"topic.metadata.propagation.max.ms": 2_000})
        self.log = KafkaLog(settings)
        self.source_topic, self.destination_topic = topics.create("made", PARTITIONS), topics.create("destination", 1)
        self.group = self.log.consumer(group=f"{self.destination_topic}.conformance.1")
        yield
        self.group.close()


for name in dir(TestKafka):
    if name.startswith("test_") and name not in ON_THE_REAL_ONE:
        setattr(TestKafka, name, None)


def test_a_topic_that_is_gone_is_named_and_awaited() -> None:
    cluster = MemoryKafka(ManualClock())
    context = context_for("exactly_once", worker="a", namespace="n", log=cluster.log())
    kind = KafkaDestination()
    destination = kind.destination(kind.settings(topic="orders"), context)
    with pytest.raises(ConnectorUnavailable) as gone:
        destination.open()
    assert "orders does not exist" in gone.value.message
    cluster.create_topic("orders", 1)
    destination.open()
    destination.close()
