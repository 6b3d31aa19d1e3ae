"""The projector's shell on the in-memory log: what it waits for, what ends it, and that it always polls on."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
import pytest

from headgate.adapters.clock import ManualClock
from headgate.adapters.memory import MemoryKafka
from headgate.ports.log import TopicPartition
from headgate.projector.projector import Projector, Step
from headgate.projector.setup import LogRewritten, PartitionsDiffer, ProjectorSettings
from headgate.projector.verify import verify
from headgate_events.codec import command_headers, encode
from headgate_events.errors import TopicsMissing
from headgate_events.topics import Topics

TOPICS = Topics("ns")
CONFIG = {"source": {"kind": "kafka", "topic": "in"}, "destination": {"kind": "discard"}}


class House:
    """A cluster in memory and the projectors on it."""

    def __init__(self, partitions: int = 2) -> None:
        self.clock = ManualClock()
        self.kafka = MemoryKafka(self.clock)
        self.kafka.create_topics(TOPICS.specs, partitions)
        self.sender = self.kafka.log("sender").producer()
        self.numbers = itertools.count()

    def projector(self, name: str) -> Projector:
        settings = ProjectorSettings(name=name, instance="1")
        log = self.kafka.log(name)
        return Projector(log=log, topics=TOPICS, clock=self.clock, settings=settings, draw=lambda: 0.5)

    def command(self, kind: str, stream: str = "orders", **content: Any) -> None:
        headers = command_headers(kind, f"c-{next(self.numbers)}", stream, source="test", at_ms=0, actor="anna")
        self.sender.produce(TOPICS.commands, encode({"kind": kind, **content}), stream.encode(), headers)

    def steps(self, projector: Projector, count: int = 40, every_s: float = 0.05) -> list[Step]:
        done = []
        for _ in range(count):
            self.clock.advance(every_s)
            done.append(projector.step(self.clock.monotonic_s()))
        return done

    def kinds(self) -> list[str]:
        """Return what came of commands; what the observer said meanwhile is left out."""
        found = [orjson.loads(record.value()) for record in self.kafka.records(TOPICS.history)]
        return [each["kind"] for each in found if (each.get("cause") or each["input"])["topic"] == TOPICS.commands]


@pytest.fixture
def house() -> House:
    return House()


def test_one_step_folds_what_is_there_in_one_transaction(house: House) -> None:
    projector = house.projector("p")
    house.steps(projector)
    assert projector.active == {0, 1}
    house.command("create", config=CONFIG)
    house.command("start")
    step = projector.step(house.clock.monotonic_s())
    assert (step.inputs, step.records) == (2, 4)
    assert house.kinds() == ["stream-created", "outcome", "stream-starting", "outcome"]


@pytest.mark.parametrize("fault", ["lost", "applied", "late"])
def test_a_commit_in_doubt_is_read_back_and_the_input_is_answered_once(house: House, fault: Any) -> None:
    projector = house.projector("p")
    house.steps(projector)
    house.kafka.faults.fail_commit(fault, "ns.projector")
    house.command("create", config=CONFIG)
    assert any(step.waited_for == "log.transaction_in_doubt" for step in house.steps(projector, 3))
    house.kafka.deliver_late_commits()
    house.command("start")
    house.steps(projector)
    assert house.kinds() == ["stream-created", "outcome", "stream-starting", "outcome"]
    assert verify(house.kafka.log("v"), TOPICS, house.clock).differences == []


def test_a_cluster_that_is_away_is_waited_for_with_growing_pauses(house: House) -> None:
    projector = house.projector("p")
    house.steps(projector)
    house.kafka.faults.unavailable = True
    waits = [step.waited_for for step in house.steps(projector, 200)]
    assert 3 < waits.count("log.unavailable") < 20
    assert waits.count("backoff") > 100
    house.kafka.faults.unavailable = False
    house.command("create", config=CONFIG)
    house.steps(projector, 400)
    assert house.kinds() == ["stream-created", "outcome"]


def test_a_process_that_slept_past_its_session_folds_nothing_and_joins_again(house: House) -> None:
    one, two = house.projector("one"), house.projector("two")
    house.steps(one)
    for _ in range(60):
        house.steps(one, 1)
        house.steps(two, 1)
    assert one.active | two.active == {0, 1}
    assert not one.active & two.active
    house.command("create", config=CONFIG)
    house.steps(two, 200)  # one does not step, as if it were stopped, and is given up by the group or keeps its share
    for _ in range(200):
        house.steps(one, 1)
        house.steps(two, 1)
    assert house.kinds() == ["stream-created", "outcome"]


def test_topics_that_do_not_exist_or_differ_end_it_with_one_sentence() -> None:
    clock = ManualClock()
    kafka = MemoryKafka(clock)
    settings = ProjectorSettings(name="p", instance="1")

    def projector() -> Projector:
        return Projector(log=kafka.log(), topics=TOPICS, clock=clock, settings=settings, draw=lambda: 0.5)

    with pytest.raises(TopicsMissing, match="headgate init"):
        projector().step(0.0)
    kafka.create_topics(TOPICS.specs, 2)
    kafka.add_partitions(TOPICS.reports, 3)
    with pytest.raises(PartitionsDiffer, match=r"ns\.reports has 3"):
        projector().step(0.0)


def test_partitions_that_were_added_later_are_noticed_by_the_streams_that_lie_wrong(house: House) -> None:
    projector = house.projector("p")
    house.steps(projector)
    for number in range(20):
        house.command("create", f"stream-{number}", config=CONFIG)
    house.steps(projector)
    projector.close()
    for topic in (TOPICS.commands, TOPICS.reports, TOPICS.history, TOPICS.state):
        house.kafka.add_partitions(topic, 3)
    with pytest.raises(PartitionsDiffer, match="belongs to"):
        house.steps(house.projector("q"))


def test_a_commands_topic_that_was_made_anew_is_noticed(house: House) -> None:
    projector = house.projector("p")
    house.steps(projector)
    for _ in range(5):
        house.command("create", config=CONFIG)
    house.steps(projector)
    projector.close()
    house.kafka.delete_topic(TOPICS.commands)
    house.kafka.create_topic(TOPICS.commands, 2)
    with pytest.raises(LogRewritten, match="made anew"):
        house.steps(house.projector("q"))


def test_commands_that_retention_took_are_passed_over_and_the_rest_is_folded(house: House) -> None:
    for _ in range(5):
        house.command("create", config=CONFIG)
    house.kafka.delete_records({TopicPartition(TOPICS.commands, number): 3 for number in (0, 1)})
    house.steps(house.projector("p"))
    assert house.kinds().count("outcome") == 2
    assert verify(house.kafka.log("v"), TOPICS, house.clock).differences == []
