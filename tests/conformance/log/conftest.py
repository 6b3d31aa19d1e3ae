"""The same tests against the real Kafka and its twin in memory: what holds for one has to hold for the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest

from headgate.ports.log import Isolation, Log, LogConsumer, TopicPartition, TransactionalProducer
from tests.conformance.log.clusters import Cluster, InMemory, Member, Reading, RealKafka

# The first test of a run may also wait for its broker.
REAL_MARKS = [pytest.mark.integration, pytest.mark.timeout(420)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test on both clusters, and those of groups also with the group protocol of KIP-848."""
    if "kind" not in metafunc.fixturenames:
        return
    kinds = ["memory", pytest.param("kafka", marks=REAL_MARKS)]
    if metafunc.module.__name__.endswith("test_groups"):
        kinds.append(pytest.param("kafka-kip-848", marks=REAL_MARKS))
    metafunc.parametrize("kind", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def kind(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Which cluster, and where it answers.

    For the whole run, so that the broker is chosen by the settings of whoever runs the suite, which no test sees.
    """
    if request.param == "memory":
        return "memory", ""
    broker: Any = request.getfixturevalue("broker")
    return request.param, str(broker.bootstrap_servers)


@pytest.fixture
def cluster(request: pytest.FixtureRequest, kind: tuple[str, str]) -> Cluster:
    """A cluster under test, in a namespace of its own."""
    name, bootstrap_servers = kind
    if name == "memory":
        return InMemory()
    protocol: Literal["classic", "consumer"] = "consumer" if name == "kafka-kip-848" else "classic"
    namespace, topics = request.getfixturevalue("namespace"), request.getfixturevalue("topics")
    return RealKafka(bootstrap_servers, namespace, topics, protocol)


class Clients:
    """Makes clients and ends them with the test."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.log: Log = cluster.log()
        self._consumers: list[LogConsumer] = []
        self._producers: list[TransactionalProducer] = []

    def reader(
        self,
        topic: str,
        partitions: int = 1,
        isolation: Isolation = "read_committed",
        start: int = 0,
        group: str | None = None,
    ) -> Reading:
        """Read all partitions of a topic from an offset on, without joining a group."""
        consumer = self.keep(self.log.consumer(isolation=isolation, ends=True, group=group))
        consumer.assign({TopicPartition(topic, number): start for number in range(partitions)})
        return Reading(self.cluster, consumer)

    def member(self, topic: str, listener: Member, group: str = "group", **settings: Any) -> Reading:
        """Join a group of the test's own."""
        consumer = self.keep(self.cluster.log().consumer(group=self.group(group), ends=True, **settings))
        consumer.subscribe([topic], listener)
        return Reading(self.cluster, consumer)

    def group(self, name: str = "group") -> str:
        """Return the full name of a group."""
        return f"{self.cluster.name}.{name}"

    def transactional(self, name: str = "writer", timeout_ms: int = 60_000) -> TransactionalProducer:
        """Make a producer of transactions, and initialise it."""
        producer = self.log.transactional_producer(f"{self.cluster.name}.{name}", timeout_ms=timeout_ms)
        self._producers.append(producer)
        producer.init(30.0)
        return producer

    def write(self, topic: str, *values: bytes, partition: int = 0) -> None:
        """Append records outside transactions."""
        producer = self.log.producer()
        for value in values:
            producer.produce(topic, value, partition=partition)
        producer.flush(30.0)
        producer.close()

    def keep(self, consumer: LogConsumer) -> LogConsumer:
        """Close a consumer at the end of the test."""
        self._consumers.append(consumer)
        return consumer

    def close(self, consumer: LogConsumer) -> None:
        """Close a consumer now."""
        self._consumers.remove(consumer)
        consumer.close()

    def end(self) -> None:
        """End everything that is left."""
        for producer in self._producers:
            producer.drop()
        for consumer in self._consumers:
            consumer.close()


@pytest.fixture
def clients(cluster: Cluster) -> Iterator[Clients]:
    """Clients of the cluster, ended with the test."""
    made = Clients(cluster)
    yield made
    made.end()
