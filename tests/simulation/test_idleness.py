"""IDLE and ACTIVE on the in-memory log, whatever befalls the workers: never IDLE over what waits, never late ACTIVE.

The world is that of `test_workers`. An oracle of the test's own stands beside it: it knows where each source partition
ended at every moment, reads the edges as a reader does (lower tokens do not count), and looks after every step.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest

from headgate.ports.log import TopicPartition
from tests.simulation.test_workers import PARTITIONS, STEPS, World

GRACE_S = 0.3


class Oracle:
    """Looks at what was newly said and newly written, and at whether it may be."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ends: dict[int, list[tuple[int, int]]] = {each: [(0, 0)] for each in range(PARTITIONS)}
        self.said: dict[int, tuple[tuple[int, int, int], str]] = {}
        self.counted = {"IDLE": 0, "ACTIVE": 0, "stale": 0}
        self.decided: Counter[int] = Counter()
        self.edges_seen: set[tuple[int, int]] = set()
        self.moved_seen: Counter[int] = Counter()

    def note_ends(self) -> None:
        now_ms = self.world.clock.now_ms()
        for each, known in self.ends.items():
            end = self.world.kafka.partition(TopicPartition("source", each)).end
            if end != known[-1][1]:
                known.append((now_ms, end))

    def end_at(self, partition: int, at_ms: int) -> int:
        return max(end for since_ms, end in self.ends[partition] if since_ms <= at_ms)

    def look(self) -> None:
        self.note_ends()
        for edge in self._new_edges():
            self._take(edge)
        moved = Counter(partition for partition, _ in self.world.moved())
        for partition in moved - self.moved_seen:
            assert partition in self.said, f"partition {partition} was written to before anything was said of it"
            assert self.said[partition][1] == "ACTIVE", f"partition {partition} was written to while it was IDLE"
        self.moved_seen = moved

    def _new_edges(self) -> list[dict[str, Any]]:
        """Return what was committed since the last look, also behind a transaction that somebody left open.

        A reader that needs the order waits for the fate of everything up to the high watermark.
        """
        found = []
        topic = self.world.topics.edges
        for partition in range(self.world.kafka.partition_count(topic)):
            entries = self.world.kafka.partition(TopicPartition(topic, partition)).entries
            decided = True
            for entry in entries[self.decided[partition] :]:
                place = (partition, entry.offset)
                if entry.record is not None and entry.fate == "committed" and place not in self.edges_seen:
                    self.edges_seen.add(place)
                    found.append(orjson.loads(entry.record.value() or b"{}"))
                decided = decided and entry.fate != "open"
                self.decided[partition] += decided
        return found

    def _take(self, edge: dict[str, Any]) -> None:
        partition = edge["channel"]["partition"]
        token = (edge["incarnation"], edge["epoch"], edge["claim"])
        if partition in self.said and token < self.said[partition][0]:
            self.counted["stale"] += 1
            return
        self.said[partition] = token, edge["status"]
        self.counted[edge["status"]] += 1
        if edge["status"] == "IDLE":
            end = self.end_at(partition, edge["emitted_at_ms"] - 1)
            assert edge["evidence"]["position"] >= end, f"{edge} while the partition ended at {end}"


def a_world(seed: int, delivery: str, **config: Any) -> World:
    world = World(seed, delivery)
    world.config |= {"idleness": {"idle_after_s": GRACE_S, "flap_damping": False}, **config}
    world.command("modify", config=world.config)
    return world


class Rival:
    """Writes a few records in a transaction that stays open for a while, and then commits or aborts it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.count = world.random.randrange(1, 4)
        self.producer = world.kafka.log("rival").transactional_producer("rival")
        self.producer.init(1.0)
        self.producer.begin()
        for number in range(world.sent, world.sent + self.count):
            partition = world.random.randrange(PARTITIONS)
            self.producer.produce("source", b"%d" % number, b"key", partition=partition)

    def end(self) -> None:
        if self.world.random.random() < 0.5:
            self.producer.commit(1.0)
            self.world.sent += self.count
        else:
            self.producer.init(1.0)


def silence(world: World, oracle: Oracle) -> None:
    """Let those who live work on while nothing is produced, for longer than the grace or not."""
    rival = Rival(world) if world.random.random() < 0.5 and not world.kafka.faults.unavailable else None
    oracle.note_ends()
    for _ in range(world.random.randrange(25)):
        for name in sorted(world.workers):
            world.workers[name][1].step(world.clock.monotonic_s())
            oracle.look()
        world.projector.step(world.clock.monotonic_s())
        world.clock.advance(0.05)
    if rival is not None:
        rival.end()


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_no_partition_is_idle_over_what_waits_and_none_is_written_to_before_it_is_active(delivery: str) -> None:
    counted: Counter[str] = Counter()
    for seed in range(300, 305):
        counted.update(run(seed, delivery))
    assert counted["IDLE"] > 50, counted
    assert counted["ACTIVE"] > 50, counted


def run(seed: int, delivery: str) -> dict[str, int]:
    world = a_world(seed, delivery)
    oracle = Oracle(world)
    for number in range(STEPS):
        world.step()
        oracle.look()
        if number % 12 == 0:
            silence(world, oracle)
    world.kafka.faults.commits.clear()
    world.kafka.faults.unavailable = False
    world.kafka.deliver_late_commits()
    world.wake()
    oracle.look()
    world.run(lambda: world.state().get("status") in {"RUNNING", "PAUSED"}, f"running or paused, with seed {seed}")
    if world.state()["status"] == "PAUSED":
        world.run(lambda: "fence_pending" not in world.state()["conditions"], f"fenced, with seed {seed}")
        world.command("resume")

    def dry_and_idle() -> bool:
        oracle.look()
        everything = {number for _, number in world.moved()} == set(range(world.sent))
        return everything and [status for _, status in oracle.said.values()] == ["IDLE"] * PARTITIONS

    world.run(dry_and_idle, f"dry, and idle everywhere, with seed {seed}: {oracle.said}")
    return oracle.counted
