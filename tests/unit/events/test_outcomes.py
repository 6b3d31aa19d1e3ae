"""The thread that hears outcomes, and brokers that do not answer at once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError

from headgate_events.client import outcomes
from headgate_events.client.handle import CommandHandle
from headgate_events.client.outcomes import OutcomeFeed
from headgate_events.client.request import build_request
from headgate_events.errors import ClusterUnreachable
from headgate_events.topics import Topics


@dataclass
class Found:
    partition: int
    offset: int
    error: KafkaError | None


class FakeConsumer:
    """Has topics of one partition each, whose leader knows itself after so many answers."""

    def __init__(self, ignorant: int) -> None:
        self.ignorant = ignorant
        self.assigned: list[Found] = []

    def list_topics(self, topic: str, timeout: float) -> Any:
        assert timeout > 0
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions={0: None}, error=None)})

    def offsets_for_times(self, asked: list[Any], timeout: float) -> list[Found]:
        assert timeout > 0
        self.ignorant -= 1
        error = KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION) if self.ignorant >= 0 else None
        return [Found(each.partition, 7, error) for each in asked]

    def assign(self, found: list[Found]) -> None:
        self.assigned = found

    def poll(self, timeout_s: float) -> None:
        assert timeout_s > 0

    def close(self) -> None:
        self.ignorant = 0


def expect(monkeypatch: pytest.MonkeyPatch, consumer: FakeConsumer, within_s: float) -> None:
    monkeypatch.setattr(outcomes, "make_consumer", lambda *_, **__: consumer)
    feed = OutcomeFeed("nowhere:1", Topics("headgate"), None, 10, lambda: None)
    request = build_request("pause", "departures", {}, {}, actor="a", source="s", at_ms=1)
    try:
        feed.expect(CommandHandle(request), time.monotonic() + within_s)
    finally:
        feed.close(5.0)


def test_a_leader_that_does_not_know_itself_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = FakeConsumer(ignorant=3)
    expect(monkeypatch, consumer, within_s=20.0)
    assert [each.offset for each in consumer.assigned] == [7]


def test_a_leader_that_never_knows_itself_ends_the_asking_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ClusterUnreachable):
        expect(monkeypatch, FakeConsumer(ignorant=1_000_000), within_s=0.3)
