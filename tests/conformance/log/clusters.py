"""What the conformance tests of the log need of a cluster, be it the real Kafka or the one in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient

from headgate.adapters.clock import ManualClock
from headgate.adapters.kafka import KafkaLog, KafkaSettings
from headgate.adapters.memory import MemoryKafka
from headgate.ports.log import Log, LogConsumer, TopicPartition
from headgate_events.records import Record
from tests.support.kafka import Topics

WITHIN_S = 30.0
"""How long a test waits for what has to come; on the real broker of a busy machine it may take seconds."""


class Cluster(Protocol):
    """A cluster under test. `name` tells the tests of one run apart; `memory` is None on the real one."""

    name: str
    memory: MemoryKafka | None
    protocol: Literal["classic", "consumer"]

    def log(self) -> Log: ...

    def topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str: ...

    def delete_records(self, before: Mapping[TopicPartition, int]) -> None: ...

    def until(self, condition: Callable[[], bool], what: str) -> None: ...

    def now_ms(self) -> int: ...


class InMemory:
    """The twin, with a clock that moves while a test waits."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.memory: MemoryKafka | None = MemoryKafka(self.clock)
        self.name = "conformance"
        self.protocol: Literal["classic", "consumer"] = "classic"

    def log(self) -> Log:
        assert self.memory is not None
        return self.memory.log()

    def topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        assert self.memory is not None
        self.memory.create_topic(f"{self.name}.{name}", partitions, config)
        return f"{self.name}.{name}"

    def delete_records(self, before: Mapping[TopicPartition, int]) -> None:
        assert self.memory is not None
        self.memory.delete_records(before)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        for _ in range(round(WITHIN_S / 0.1)):
            if condition():
                return
            self.clock.advance(0.1)
        raise AssertionError(f"{what}: not within {WITHIN_S:g} s of the clock")

    def now_ms(self) -> int:
        return self.clock.now_ms()


class RealKafka:
    """A real broker; what waits here waits for it, with a deadline."""

    def __init__(
        self, bootstrap_servers: str, namespace: str, topics: Topics, protocol: Literal["classic", "consumer"]
    ) -> None:
        self.name = namespace
        self.memory: MemoryKafka | None = None
        # The tests' topics are visible before they are used, so a missing one need not be waited for.
        self._settings = KafkaSettings(
            bootstrap_servers, {"topic.metadata.propagation.max.ms": 2_000}, group_protocol=protocol
        )
        self.protocol = protocol
        self._topics = topics
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers})

    def log(self) -> Log:
        return KafkaLog(self._settings)

    def topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> str:
        return self._topics.create(name, partitions, config)

    def delete_records(self, before: Mapping[TopicPartition, int]) -> None:
        places = [Place(each.topic, each.partition, offset) for each, offset in before.items()]
        for deleted in self._admin.delete_records(places).values():
            deleted.result(WITHIN_S)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not condition():
            assert time.monotonic() < deadline, f"{what}: not within {WITHIN_S:g} s"

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class Member:
    """A listener that notes what it hears. `starts` answers `assigned`; `on_revoked` runs while partitions go."""

    def __init__(
        self,
        starts: Mapping[TopicPartition, int] | None = None,
        on_revoked: Callable[[Sequence[TopicPartition]], None] | None = None,
    ) -> None:
        self.heard: list[tuple[str, list[TopicPartition]]] = []
        self.has: set[TopicPartition] = set()
        self._starts = starts or {}
        self._on_revoked = on_revoked

    def assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        self.heard.append(("assigned", list(partitions)))
        assert self.has.isdisjoint(partitions), "only new partitions are assigned"
        self.has.update(partitions)
        return {each: self._starts.get(each, 0) for each in partitions}

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.heard.append(("revoked", list(partitions)))
        self.has.difference_update(partitions)
        if self._on_revoked is not None:
            self._on_revoked(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.heard.append(("lost", list(partitions)))
        self.has.difference_update(partitions)

    def words(self) -> list[str]:
        """Return what was heard, without the partitions and without what named none."""
        return [word for word, partitions in self.heard if partitions]


class Reading:
    """A consumer with all it has delivered so far."""

    def __init__(self, cluster: Cluster, consumer: LogConsumer) -> None:
        self.consumer = consumer
        self.records: list[Record] = []
        self.ends: dict[TopicPartition, int] = {}
        self._cluster = cluster

    def poll(self) -> None:
        """Poll once."""
        batch = self.consumer.poll(500, 0.05)
        for record in batch.records:
            self.ends.pop(where(record), None)
        self.records.extend(batch.records)
        self.ends.update(batch.ends)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Poll until a condition holds."""

        def look() -> bool:
            self.poll()
            return condition()

        self._cluster.until(look, what)

    def until_values(self, count: int) -> list[bytes]:
        """Poll until so many records have come, and return their values; more is an error."""
        self.until(lambda: len(self.records) >= count, f"{count} records")
        assert len(self.records) == count, [record.value() for record in self.records]
        return self.values()

    def until_ends(self, partitions: int) -> dict[TopicPartition, int]:
        """Poll until that many partitions have said their end after their last record."""
        self.until(lambda: len(self.ends) >= partitions, f"the ends of {partitions} partitions")
        return self.ends

    def values(self) -> list[bytes]:
        """Return the values delivered so far."""
        return [record.value() for record in self.records]

    def offsets(self) -> list[int | None]:
        """Return the offsets delivered so far."""
        return [record.offset() for record in self.records]


def where(record: Record) -> TopicPartition:
    """Return the partition of a record."""
    topic, partition = record.topic(), record.partition()
    assert topic is not None
    assert partition is not None
    return TopicPartition(topic, partition)
