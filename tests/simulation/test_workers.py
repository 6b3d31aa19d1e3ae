"""Workers and a projector on the in-memory log, killed, suspended and lied to by a seed; nothing is lost or doubled.

The shells are the product's own: the supervisor, its tasks and its chores, stepped one after the other. A seed decides
who does the next step, when records and commands come, and what goes wrong: a worker killed or suspended past its
session, a commit whose answer is lost, one that never arrives, one that arrives late, a broker that is away. Afterwards
all is healed, the stream is paused, and a reader of the test's own counts what the destination holds.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import orjson
import pytest

from headgate.adapters.clock import ManualClock
from headgate.adapters.memory import MemoryKafka, MemoryLog
from headgate.adapters.memory.faults import Call
from headgate.destinations import installed_destinations
from headgate.ports.errors import LogError, LogUnavailable
from headgate.ports.log import TopicPartition
from headgate.projector.projector import Projector
from headgate.projector.setup import ProjectorSettings
from headgate.sources import installed_sources
from headgate.worker.chores import InlineExecutor
from headgate.worker.options import WorkerOptions
from headgate.worker.pipeline import Means
from headgate.worker.runner import InlineRunner
from headgate.worker.supervisor import Supervisor
from headgate_events.codec import command_headers, encode
from headgate_events.topics import Topics

PARTITIONS = 3
STEPS = 500
SESSION_S = 6.0
SEEDS = range(40)
STREAM = "orders"
CONFIG: dict[str, Any] = {
    "source": {"kind": "kafka", "topic": "source"},
    "destination": {"kind": "kafka", "topic": "destination", "partition": "source"},
    "parallelism": 2,
}
KINDS = ("pause", "resume", "modify", "cancel-drain", "retry", "force")


class PassingClock(ManualClock):
    """A clock on which every look takes a moment, so that no wait in a shell can last for ever."""

    def monotonic_s(self) -> float:
        self.advance(0.001)
        return super().monotonic_s()


class World:
    """A cluster, its projector, its workers, and whoever sends commands and records."""

    def __init__(self, seed: int, delivery: str) -> None:
        self.random = random.Random(seed)
        self.clock = PassingClock()
        self.kafka = MemoryKafka(self.clock)
        self.topics = Topics("sim")
        self.kafka.create_topics(self.topics.specs, PARTITIONS)
        self.kafka.create_topic("source", PARTITIONS)
        self.kafka.create_topic("destination", PARTITIONS)
        self.config = {**CONFIG, "delivery": delivery}
        settings = ProjectorSettings(name="p", instance="1", session_timeout_ms=int(SESSION_S * 1_000))
        self.projector = Projector(
            log=self.kafka.log("projector"),
            topics=self.topics,
            clock=self.clock,
            settings=settings,
            draw=self.random.random,
        )
        self.user = self.kafka.log("user").producer()
        self.started = self.commands = self.sent = 0
        self.did: Counter[str] = Counter()
        self.workers: dict[str, tuple[MemoryLog, Supervisor]] = {}
        self.suspended: dict[str, tuple[MemoryLog, Supervisor]] = {}
        for name in ("a", "b"):
            self.start(name)
        self.command("create", config=self.config)
        self.command("start")

    def start(self, name: str) -> None:
        self.started += 1
        log = self.kafka.log(f"worker-{name}-{self.started}")
        options = WorkerOptions(
            name=name, instance=str(self.started), namespace="sim", session_timeout_ms=int(SESSION_S * 1_000)
        )
        means = Means(log, self.clock, options, installed_sources(), installed_destinations())
        seeded = random.Random(self.random.random())
        self.workers[name] = (log, Supervisor(means, InlineRunner(), InlineExecutor(), seeded))

    def command(self, kind: str, **payload: Any) -> None:
        self.commands += 1
        headers = command_headers(kind, f"c-{self.commands}", STREAM, source="sim", at_ms=0, actor="sim")
        self.user.produce(self.topics.commands, encode({"kind": kind, **payload}), STREAM.encode(), headers)

    def records(self, count: int) -> None:
        for _ in range(count):
            partition = self.random.randrange(PARTITIONS)
            self.user.produce("source", b"%d" % self.sent, b"%d" % (self.sent % 7), partition=partition)
            self.sent += 1

    def misfortune(self) -> None:
        kind = self.random.choice(("kill", "suspend", "lost", "applied", "late", "deliver", "away", "resume"))
        self.did[kind] += 1
        faults = self.kafka.faults
        if kind == "kill":
            name = self.random.choice("ab")
            if name in self.workers:
                self.workers.pop(name)[0].process.kill()
                self.start(name)
        elif kind == "suspend" and len(self.workers) == 2:
            name = self.random.choice("ab")
            self.suspended[name] = self.workers.pop(name)
            self.suspended[name][0].process.suspend()
        elif kind in {"lost", "applied", "late"}:
            faults.fail_commit(kind, "sim.a" if self.random.random() < 0.5 else "sim.b")  # type: ignore[arg-type]
        elif kind == "deliver":
            self.kafka.deliver_late_commits()
        elif kind == "away":
            faults.unavailable = not faults.unavailable
        if kind == "resume" or self.random.random() < 0.2:
            self.wake()

    def wake(self) -> None:
        for name, worker in self.suspended.items():
            worker[0].process.resume()
            self.workers[name] = worker
        self.suspended.clear()

    def step(self) -> None:
        draw = self.random.random()
        if draw < 0.25:
            self.projector.step(self.clock.monotonic_s())
        elif draw < 0.75 and self.workers:
            name = self.random.choice(sorted(self.workers))
            self.workers[name][1].step(self.clock.monotonic_s())
        elif self.kafka.faults.unavailable and draw < 0.85:
            self.kafka.faults.unavailable = False
        elif draw < 0.85 and not self.kafka.faults.unavailable:
            self.records(self.random.randrange(1, 20))
        elif draw < 0.88 and not self.kafka.faults.unavailable:
            kind = self.random.choice(KINDS)
            if kind == "force":
                self.command("pause", force=True)
            elif kind == "modify":
                interval = self.random.choice((1, 100, 2_000))
                parallelism = self.random.choice((1, 2))
                self.command(
                    "modify", config=self.config | {"commit_interval_ms": interval, "parallelism": parallelism}
                )
            else:
                self.command(kind)
        elif draw < 0.95:
            self.clock.advance(self.random.choice((0.05, 0.5, 2.5, SESSION_S + 1)))
        else:
            self.misfortune()

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for record in self.kafka.records(self.topics.state):
            if record.key() == STREAM.encode() and record.value() is not None:
                found = orjson.loads(record.value() or b"{}")
        return found

    def moved(self) -> list[tuple[int, int]]:
        return [(record.partition() or 0, int(record.value() or b"")) for record in self.kafka.records("destination")]

    def run(self, until: Any, what: str) -> None:
        for _ in range(4_000):
            self.projector.step(self.clock.monotonic_s())
            for _, supervisor in self.workers.values():
                supervisor.step(self.clock.monotonic_s())
            self.clock.advance(0.05)
            if until():
                return
        raise AssertionError(f"not {what}: {self.state()} {len(self.moved())} of {self.sent}")

    def heal(self) -> None:
        """Let nothing more go wrong until the stream has run dry and is paused in good order."""
        self.kafka.faults.commits.clear()
        self.kafka.faults.unavailable = False
        self.kafka.deliver_late_commits()
        self.wake()
        self.run(lambda: self.state().get("status") in {"RUNNING", "PAUSED", "DRAINING"}, "running or paused")
        if self.state()["status"] == "DRAINING":
            self.run(lambda: self.state()["status"] == "PAUSED", "drained")
        if self.state()["status"] == "PAUSED":
            self.run(lambda: "fence_pending" not in self.state()["conditions"], "fenced")
            self.command("resume")
        self.run(lambda: self.state()["status"] == "RUNNING", "running")
        self.run(lambda: {number for _, number in self.moved()} == set(range(self.sent)), "moved")
        self.command("pause")
        self.run(lambda: self.state()["status"] == "PAUSED", "paused")


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_befalls_the_workers_every_record_arrives_once_and_in_order(seed: int) -> None:
    world = World(seed, "exactly_once")
    for _ in range(STEPS):
        world.step()
    world.heal()
    moved = world.moved()
    assert sorted(number for _, number in moved) == list(range(world.sent)), f"seed {seed}: {world.did}"
    for partition in range(PARTITIONS):
        numbers = [number for where, number in moved if where == partition]
        assert numbers == sorted(numbers), f"seed {seed}: partition {partition} is out of order"
    receipts = world.state()["drain"]["receipts"]["source"]
    ends = {str(each): world.kafka.partition(TopicPartition("source", each)).end for each in range(PARTITIONS)}
    assert {number: each["end"] for number, each in receipts.items()} == ends
    for each in receipts.values():
        assert each["read"] == each["written"] == each["end"] - each["start"]


@pytest.mark.parametrize("seed", range(100, 115))
def test_at_least_once_loses_nothing(seed: int) -> None:
    world = World(seed, "at_least_once")
    for _ in range(STEPS):
        world.step()
    world.heal()
    assert {number for _, number in world.moved()} == set(range(world.sent)), f"seed {seed}: {world.did}"


def test_a_seed_repeats_exactly() -> None:
    runs = []
    for _ in range(2):
        world = World(7, "exactly_once")
        for _ in range(STEPS):
            world.step()
        runs.append((world.moved(), world.did, world.clock.now_ms()))
    assert runs[0] == runs[1]


def test_a_destination_that_takes_no_commit_any_more_fails_the_stream_until_it_does() -> None:
    world = World(1, "exactly_once")
    world.run(lambda: world.state().get("status") == "RUNNING", "running")
    world.records(30)
    world.run(lambda: len(world.moved()) == 30, "moved")

    def refuse(call: Call) -> LogError | None:
        commits = call.operation == "commit_transaction" and call.process.startswith("worker")
        return LogUnavailable("The destination takes nothing.") if commits else None

    world.kafka.faults.interfere = refuse
    world.records(20)
    world.run(lambda: world.state()["status"] == "FAILED", "failed, with records read again and again and no commit")
    world.kafka.faults.interfere = None
    world.run(lambda: world.state()["status"] == "RUNNING" and not world.state()["errors"], "running by itself again")
    world.run(lambda: sorted(number for _, number in world.moved()) == list(range(50)), "moved")


def test_a_paused_stream_whose_positions_are_gone_resumes_at_positions_of_the_person_s_choice() -> None:
    world = World(2, "exactly_once")
    world.run(lambda: world.state().get("status") == "RUNNING", "running")
    world.command("pause")
    world.run(lambda: world.state()["status"] == "PAUSED", "paused")
    world.records(60)
    world.kafka.delete_records({TopicPartition("source", number): 5 for number in range(PARTITIONS)})
    world.command("resume")
    world.run(lambda: world.state()["commands"][-1].get("code") == "position.lost", "refused for its lost positions")
    assert world.state()["status"] == "PAUSED"
    world.command("resume", positions={"policy": "earliest"})
    world.run(lambda: world.state()["status"] == "RUNNING", "running")
    world.run(lambda: len(world.moved()) == 60 - 5 * PARTITIONS, "moved")
