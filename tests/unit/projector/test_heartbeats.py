"""Who is heard: judged by the time of receipt, and only after everything that was there has been read."""

from __future__ import annotations

import pytest

from headgate.adapters.clock import ManualClock
from headgate.adapters.memory import MemoryKafka
from headgate.core.observing import Workers
from headgate.projector.heartbeats import GRACE_S, MARGIN_S, Heartbeats
from headgate_events.codec import encode
from headgate_events.topics import Topics

TOPICS = Topics("ns")
INTERVAL_MS = 1_000


class House:
    """A heartbeats topic, and one reader of it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.kafka = MemoryKafka(self.clock)
        self.kafka.create_topics(TOPICS.specs, 1)
        self.producer = self.kafka.log("workers").producer()
        self.heartbeats = Heartbeats(self.kafka.log("projector"), TOPICS.heartbeats)

    def beat(self, worker: str, stopping: bool = False) -> None:
        value = encode({"worker": worker, "interval_ms": INTERVAL_MS, "stopping": stopping})
        self.producer.produce(TOPICS.heartbeats, value, worker.encode())

    def look(self, after_s: float = 0.0) -> Workers | None:
        self.clock.advance(after_s)
        return self.heartbeats.step(self.clock.monotonic_s())

    def caught_up(self) -> Workers:
        self.look()
        found = self.look(GRACE_S)
        assert found is not None
        return found


@pytest.fixture
def house() -> House:
    return House()


def test_nobody_is_judged_before_everything_was_read_and_a_grace_has_passed(house: House) -> None:
    assert house.look() is None
    assert house.look(GRACE_S - 0.1) is None
    assert house.look(0.2) == Workers(frozenset(), frozenset())


def test_an_old_heartbeat_counts_from_when_it_was_read(house: House) -> None:
    house.beat("w1")
    house.clock.advance(3_000)
    assert house.caught_up() == Workers(frozenset({"w1"}), frozenset({"w1"}))


def test_a_worker_is_silent_after_three_intervals_and_a_margin(house: House) -> None:
    house.caught_up()
    house.beat("w1")
    house.look()
    alive = house.look(3 * INTERVAL_MS / 1_000 + MARGIN_S - 0.01)
    assert alive is not None
    assert "w1" in alive.present
    silent = house.look(0.5)
    assert silent == Workers(frozenset(), frozenset())
    house.beat("w1")
    assert house.look() == Workers(frozenset({"w1"}), frozenset({"w1"}))


def test_a_worker_that_is_leaving_is_present_and_not_live(house: House) -> None:
    house.caught_up()
    house.beat("w1", stopping=True)
    assert house.look() == Workers(frozenset({"w1"}), frozenset())


def test_a_tombstone_takes_a_worker_away_at_once(house: House) -> None:
    house.beat("w1")
    house.caught_up()
    house.producer.produce(TOPICS.heartbeats, None, b"w1")
    assert house.look() == Workers(frozenset(), frozenset())


@pytest.mark.parametrize("value", [b"{", b"[]", b"{}", b'{"interval_ms":"x"}', b"null"])
def test_an_unreadable_heartbeat_is_passed_over(house: House, value: bytes) -> None:
    house.producer.produce(TOPICS.heartbeats, value, b"w2")
    house.producer.produce(TOPICS.heartbeats, encode({"interval_ms": 1_000}), b"not a name!")
    house.beat("w1")
    assert house.caught_up().live == {"w1"}


def test_a_reader_that_slept_longer_than_the_topic_keeps_catches_up_again(house: House) -> None:
    house.beat("w1")
    house.caught_up()
    for _ in range(3):
        house.beat("w2")
    places = dict.fromkeys(house.heartbeats._consumer.assignment(), 4)  # type: ignore[union-attr]
    house.kafka.delete_records(places)
    assert house.look() is None
    house.beat("w3")
    house.look()
    found = house.look(GRACE_S)
    assert found is not None
    assert "w3" in found.live
