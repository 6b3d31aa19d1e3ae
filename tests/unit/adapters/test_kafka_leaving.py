"""A member of a group that leaves while a rebalance is under way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from confluent_kafka import OFFSET_END, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from headgate.adapters.kafka import consumer as adapter
from headgate.adapters.kafka.consumer import KafkaConsumer
from headgate.ports.errors import LogUnavailable
from headgate.ports.log import TopicPartition

OLD, NEW = TopicPartition("source", 0), TopicPartition("source", 1)


class FakeClient:
    """Assigns OLD in the first poll, and NEW in the first one after it was told to leave, as librdkafka may."""

    def __init__(self, _: Mapping[str, Any]) -> None:
        self.held: list[Place] = []
        self.events: list[Callable[[], None]] = []

    def subscribe(self, _: Sequence[str], *, on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        self.on_assign, self.on_revoke = on_assign, on_revoke
        self.events.append(lambda: on_assign(self, [Place(*OLD)]))

    def unsubscribe(self) -> None:
        self.events += [
            lambda: self.on_revoke(self, [Place(*OLD)]),
            lambda: self.on_assign(self, [Place(*NEW)]),
            lambda: self.on_revoke(self, [Place(*NEW)]),
        ]
        self.poll(0)
        self.poll(0)

    def poll(self, _: float) -> None:
        if self.events:
            self.events.pop(0)()

    def assign(self, places: list[Place]) -> None:
        self.held = places

    def unassign(self) -> None:
        self.held = []

    def assignment(self) -> list[Place]:
        return self.held

    def pause(self, places: list[Place]) -> None:
        assert places == self.held

    def resume(self, places: list[Place]) -> None:
        assert places == self.held

    def consume(self, _: int, __: float) -> list[Any]:
        return []

    def close(self) -> None:
        assert not self.events


class Owner:
    """Takes partitions on until it has let go; being told of one afterwards is an error."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, list[TopicPartition]]] = []
        self.has_let_go = False

    def assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        assert not self.has_let_go
        self.heard.append(("assigned", list(partitions)))
        return {}

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.heard.append(("revoked", list(partitions)))

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.heard.append(("lost", list(partitions)))


def test_what_is_assigned_to_a_member_that_leaves_is_given_back_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "Consumer", FakeClient)
    owner = Owner()
    consumer = KafkaConsumer({}, cooperative=False)
    consumer.subscribe(["source"], owner)
    consumer.poll(10, 0.0)
    owner.has_let_go = True
    consumer.close()
    assert owner.heard == [("assigned", [OLD]), ("revoked", [OLD])]


def test_a_partition_that_cannot_be_sought_in_is_waited_for_and_then_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class NotStarted(FakeClient):
        def seek(self, _: Place) -> None:
            raise KafkaException(KafkaError(KafkaError._STATE))

    monkeypatch.setattr(adapter, "Consumer", NotStarted)
    monkeypatch.setattr(adapter, "SEEK_TIMEOUT_S", 0.05)
    consumer = KafkaConsumer({}, cooperative=False)
    with pytest.raises(LogUnavailable, match="Going to position 9 of source failed"):
        consumer.seek({OLD: 9})


def test_what_is_assigned_to_an_owner_that_cannot_say_where_to_begin_is_not_looked_up_in_the_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Unready:
        def assigned(self, _: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
            raise LogUnavailable("The disk is full.")

    clients: list[FakeClient] = []

    def make(config: Mapping[str, Any]) -> FakeClient:
        clients.append(FakeClient(config))
        return clients[0]

    monkeypatch.setattr(adapter, "Consumer", make)
    consumer = KafkaConsumer({}, cooperative=False)
    consumer.subscribe(["source"], Unready())  # type: ignore[arg-type]
    with pytest.raises(LogUnavailable, match="The disk is full"):
        consumer.poll(10, 0.0)
    assert [place.offset for place in clients[0].held] == [OFFSET_END]
