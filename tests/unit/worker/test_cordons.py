"""A cordoned worker lives and takes no tasks, for whoever places streams and for whoever misses workers."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from headgate.adapters.clock import ManualClock
from headgate.adapters.memory import MemoryKafka
from headgate.destinations import installed_destinations
from headgate.sources import installed_sources
from headgate.worker.chores import InlineExecutor
from headgate.worker.fleet import Fleet
from headgate.worker.options import WorkerOptions
from headgate.worker.pipeline import Means
from headgate.worker.runner import InlineRunner
from headgate.worker.supervisor import Supervisor
from headgate_events.names import cordon_key, cordoned_worker
from headgate_events.topics import Topics
from tests.unit.worker.test_fleet_and_reports import Beat, fleet_of

CORDON = orjson.dumps({"kind": "cordon", "worker": "a", "at_ms": 1, "actor": "mara", "reason": "disks"})

STEP_S = 5.0
"""How far the clock goes in one step of a supervisor."""


def cordon(fleet: Fleet, worker: str, value: bytes | None = CORDON) -> None:
    fleet.take(Beat(cordon_key(worker), value=value), 100.0, 50_000, caught_up=True)  # type: ignore[arg-type]


def test_a_cordoned_worker_is_given_nothing_until_the_cordon_ends() -> None:
    fleet = fleet_of(Beat("a"), Beat("b"))
    cordon(fleet, "a")
    assert fleet.live(101.0, me=True) == {"b", "me"}
    cordon(fleet, "me")
    assert fleet.live(101.0, me=True) == {"b"} and fleet.cordoned("me") is not None
    cordon(fleet, "a", None)
    cordon(fleet, "me", None)
    assert fleet.live(101.0, me=True) == {"a", "b", "me"} and fleet.cordoned("me") is None


def test_a_cordon_is_no_worker_and_one_that_cannot_be_read_changes_nothing() -> None:
    fleet = fleet_of(Beat("a"))
    cordon(fleet, "a", b"{")
    assert fleet.live(101.0, me=False) == {"a"}
    assert cordoned_worker("a") is None and cordoned_worker(cordon_key("a")) == "a"


def test_the_silence_of_a_cordoned_worker_is_still_heard_of() -> None:
    fleet = fleet_of(Beat("a", tasks=[{"stream": "s", "incarnation": 1, "transactional_ids": ["t"]}]))
    cordon(fleet, "a")
    assert fleet.left_open("s", 1, 110.0) == (("t", "i1"),)


def test_the_cordon_of_a_worker_that_is_gone_is_the_first_live_ones_to_say_again() -> None:
    fleet = fleet_of(Beat("a"), Beat("b"))
    for worker in ("a", "me", "gone"):
        cordon(fleet, worker)  # at 100 s
    said = orjson.loads(CORDON)
    assert fleet.fading_cordons(200.0, 900.0, first=True) == []
    for second in range(100, 1_100):  # the others are heard all the while
        fleet.take(Beat("a"), float(second), second * 1_000, caught_up=True)  # type: ignore[arg-type]
    assert fleet.fading_cordons(1_099.0, 900.0, first=True) == [("me", said), ("gone", said)]
    assert fleet.fading_cordons(1_099.0, 900.0, first=False) == [("me", said)]


@pytest.mark.parametrize("cordoned", ["a", "gone"])
def test_a_cordon_is_said_again_as_it_was_before_the_topic_drops_it(cordoned: str) -> None:
    clock = ManualClock()
    kafka = MemoryKafka(clock)
    topics = Topics("cordons")
    kafka.create_topics(topics.specs, 1)
    retention_ms = next(int(spec.config["retention.ms"]) for spec in topics.specs if spec.name == topics.heartbeats)
    options = WorkerOptions(name="a", instance="i1", namespace="cordons")
    means = Means(kafka.log("worker-a"), clock, options, installed_sources(), installed_destinations())
    supervisor = Supervisor(means, InlineRunner(), InlineExecutor(), random.Random(1))

    def cordons() -> list[Any]:
        key = cordon_key(cordoned).encode()
        return [record for record in kafka.records(topics.heartbeats) if record.key() == key]

    def pass_time(seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            clock.advance(STEP_S)
            supervisor.step(clock.monotonic_s())

    pass_time(10 * STEP_S)
    kafka.log("user").producer().produce(topics.heartbeats, CORDON, cordon_key(cordoned).encode())
    for _ in range(8):
        pass_time(retention_ms / 4_000)
        age_ms = clock.now_ms() - int(cordons()[-1].timestamp()[1])
        assert age_ms < retention_ms / 2, "the newest is far from being dropped"
    said = [orjson.loads(record.value()) for record in cordons()]
    assert len(said) >= 8
    assert said[0] == orjson.loads(CORDON)
    assert said[1:] == [said[0] | {"said_by": "i1"}] * (len(said) - 1), "with whoever cordoned it, when and why"

    kafka.log("user").producer().produce(topics.heartbeats, None, cordon_key(cordoned).encode())
    before = len(cordons())
    pass_time(retention_ms / 2_000)
    assert len(cordons()) == before, "an ended cordon is not brought back"
