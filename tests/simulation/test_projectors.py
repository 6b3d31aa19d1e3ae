"""Projectors on the in-memory log, killed, suspended and lied to by a seed; afterwards `verify` must find nothing.

The shells are the product's own. A seed decides who does the next step, which commands come, and what goes wrong: a
process killed or suspended past its session, a commit whose answer is lost, one that never arrives, one that arrives
late. A failing seed repeats exactly.
"""

from __future__ import annotations

import random
from collections import Counter

import orjson
import pytest

from headgate.adapters.clock import ManualClock
from headgate.adapters.memory import MemoryKafka, MemoryLog
from headgate.adapters.memory.faults import Call
from headgate.ports.errors import LogFatal
from headgate.projector.projector import Projector
from headgate.projector.setup import ProjectorSettings
from headgate.projector.verify import verify
from headgate_events.codec import command_headers, encode
from headgate_events.partitioner import partition_of
from headgate_events.topics import Topics

PARTITIONS = 3
STREAMS = 12
STEPS = 600
SESSION_S = 6.0
CONFIG = {"source": {"kind": "kafka", "topic": "source"}, "destination": {"kind": "discard"}}
KINDS = ("create", "create", "start", "pause", "delete", "modify", "explode")
SEEDS = range(25)


class PassingClock(ManualClock):
    """A clock on which every look takes a moment, so that no wait in a shell can last for ever."""

    def monotonic_s(self) -> float:
        self.advance(0.001)
        return super().monotonic_s()


class World:
    """A cluster, its projectors, and whoever sends commands."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.clock = PassingClock()
        self.kafka = MemoryKafka(self.clock)
        self.topics = Topics("sim")
        self.kafka.create_topics(self.topics.specs, PARTITIONS)
        self.started = 0
        self.sent = 0
        self.projectors: list[tuple[MemoryLog, Projector]] = []
        self.suspended: list[tuple[MemoryLog, Projector]] = []
        self.sender = self.kafka.log("sender").producer()
        self.did: Counter[str] = Counter()
        self.interrupting = False
        self.kafka.faults.interfere = self.interrupt
        for _ in range(2):
            self.start()

    def interrupt(self, call: Call) -> None:
        """Now and then, kill a process in the middle of a transaction, or stop it there while others take over."""
        if self.interrupting or call.operation not in {"produce", "send_offsets", "commit_transaction"}:
            return
        found = [each for each in self.projectors if each[0].process.name == call.process]
        if not found or self.random.random() > 0.01:
            return
        self.interrupting = True
        process = found[0][0].process
        if self.random.random() < 0.5:
            self.did["die inside"] += 1
            process.kill()
            self.projectors.remove(found[0])
            self.start()
        elif len(self.projectors) > 1:
            self.did["sleep inside"] += 1
            process.suspend()
            self.projectors.remove(found[0])
            self.clock.advance(SESSION_S + 1)
            for _ in range(self.random.randrange(1, 60)):
                self.random.choice(self.projectors)[1].step(self.clock.monotonic_s())
                self.clock.advance(0.05)
            process.resume()
            self.projectors.append(found[0])
        self.interrupting = False

    def start(self) -> None:
        self.started += 1
        log = self.kafka.log(f"projector-{self.started}")
        settings = ProjectorSettings(name="p", instance=str(self.started), session_timeout_ms=int(SESSION_S * 1_000))
        projector = Projector(log=log, topics=self.topics, clock=self.clock, settings=settings, draw=self.random.random)
        self.projectors.append((log, projector))

    def send(self, count: int) -> None:
        for _ in range(count):
            kind = self.random.choice(KINDS)
            stream = f"stream-{self.random.randrange(STREAMS)}"
            payload = {"kind": kind, **({"config": CONFIG} if kind in {"create", "modify"} else {})}
            headers = command_headers(kind, f"c-{self.sent}", stream, source="sim", at_ms=0, actor="sim")
            astray = self.random.randrange(PARTITIONS) if self.random.random() < 0.1 else None
            right = partition_of(stream, PARTITIONS)
            partition = right if astray is None else astray
            self.sender.produce(self.topics.commands, encode(payload), stream.encode(), headers, partition)
            self.sent += 1

    def misfortune(self) -> None:
        kind = self.random.choice(("kill", "suspend", "lost", "applied", "late", "deliver", "compact"))
        self.did[kind] += 1
        if kind == "kill" and self.projectors:
            log, _ = self.projectors.pop(self.random.randrange(len(self.projectors)))
            log.process.kill()
            self.start()
        elif kind == "suspend" and len(self.projectors) > 1 and not self.suspended:
            chosen = self.projectors.pop(self.random.randrange(len(self.projectors)))
            chosen[0].process.suspend()
            self.suspended.append(chosen)
        elif kind in {"lost", "applied", "late"}:
            self.kafka.faults.fail_commit(kind, "sim.projector")
        elif kind == "deliver":
            self.kafka.deliver_late_commits()
        elif kind == "compact":
            self.kafka.compact(self.topics.state)

    def step(self) -> None:
        draw = self.random.random()
        if draw < 0.70 and self.projectors:
            log, projector = self.random.choice(self.projectors)
            try:
                projector.step(self.clock.monotonic_s())
            except LogFatal:
                assert log.process.killed
        elif draw < 0.85:
            self.send(self.random.randrange(1, 8))
        elif draw < 0.95:
            self.clock.advance(self.random.choice((0.05, 0.5, 2.0, SESSION_S + 1)))
        else:
            self.misfortune()
        if self.suspended and self.random.random() < 0.02:
            chosen = self.suspended.pop()
            chosen[0].process.resume()
            self.projectors.append(chosen)

    def settle(self) -> None:
        """Let nothing more go wrong until every command has been folded."""
        self.kafka.faults.interfere = None
        self.kafka.faults.commits.clear()
        self.kafka.deliver_late_commits()
        for log, _ in self.suspended:
            log.process.kill()
        for _ in range(5_000):
            for _, projector in self.projectors:
                projector.step(self.clock.monotonic_s())
            self.clock.advance(0.05)
            if self.folded() == self.sent:
                return
        raise AssertionError(f"{self.sent - self.folded()} of {self.sent} commands are still unanswered")

    def folded(self) -> int:
        """Count the commands that have their final outcome."""
        outcomes = {
            payload["input_id"]
            for record in self.kafka.records(self.topics.history)
            if (payload := orjson.loads(record.value()))["kind"] == "outcome"
            and payload["input"]["topic"] == self.topics.commands
        }
        return len(outcomes)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_to_projectors_every_input_has_one_outcome_and_the_history_is_the_state(seed: int) -> None:
    world = World(seed)
    for _ in range(STEPS):
        world.step()
    world.settle()
    found = verify(world.kafka.log("verify"), world.topics, world.clock)
    assert found.differences == []
    assert found.inputs >= world.sent


def test_a_few_seeds_together_meet_every_misfortune() -> None:
    did: Counter[str] = Counter()
    for seed in SEEDS[:5]:
        world = World(seed)
        for _ in range(STEPS):
            world.step()
        did += world.did
    assert did.keys() == {
        "kill",
        "suspend",
        "lost",
        "applied",
        "late",
        "deliver",
        "compact",
        "die inside",
        "sleep inside",
    }
