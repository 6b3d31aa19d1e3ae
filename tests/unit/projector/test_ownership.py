"""What a rebalance leaves behind: which partitions are whole, and which were assigned in halves for too long."""

from __future__ import annotations

import pytest

from headgate.adapters.clock import ManualClock
from headgate.adapters.memory import MemoryKafka
from headgate.ports.log import TopicPartition
from headgate.projector.ownership import HALF_S, Ownership
from headgate.projector.setup import NotColocated
from headgate_events.topics import Topics

TOPICS = Topics("ns")


@pytest.fixture
def ownership() -> Ownership:
    kafka = MemoryKafka(ManualClock())
    kafka.create_topics(TOPICS.specs, 4)
    return Ownership(TOPICS, kafka.log("p").consumer(group="ns.projector", isolation="read_uncommitted"))


def both(*partitions: int) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in partitions for topic in (TOPICS.commands, TOPICS.reports)]


def test_a_partition_is_owned_when_both_topics_have_been_assigned(ownership: Ownership) -> None:
    ownership.assigned([TopicPartition(TOPICS.commands, 1)])
    assert ownership.owned() == set()
    assert ownership.take_fresh() == set()
    ownership.assigned([TopicPartition(TOPICS.reports, 1)])
    assert ownership.owned() == {1}
    assert ownership.take_fresh() == {1}
    assert ownership.take_fresh() == set()


def test_a_partition_that_went_and_came_back_within_one_poll_is_fresh(ownership: Ownership) -> None:
    ownership.assigned(both(0, 1))
    ownership.take_fresh()
    ownership.revoked(both(0, 1))
    ownership.assigned(both(1))
    assert ownership.owned() == {1}
    assert ownership.take_fresh() == {1}


def test_halves_that_stay_halves_end_in_a_clear_error(ownership: Ownership) -> None:
    ownership.assigned([*both(0), TopicPartition(TOPICS.commands, 2)])
    ownership.check_colocation(100.0)
    ownership.check_colocation(100.0 + HALF_S)
    with pytest.raises(NotColocated, match=r"commands-2 without the same partition"):
        ownership.check_colocation(100.1 + HALF_S)


def test_halves_that_become_whole_in_time_are_fine(ownership: Ownership) -> None:
    ownership.assigned([TopicPartition(TOPICS.commands, 2)])
    ownership.check_colocation(100.0)
    ownership.assigned([TopicPartition(TOPICS.reports, 2)])
    ownership.check_colocation(105.0)
    ownership.lost([TopicPartition(TOPICS.reports, 2)])
    ownership.check_colocation(106.0)
    ownership.check_colocation(106.0 + HALF_S)
