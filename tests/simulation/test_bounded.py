"""Streams that end, on the in-memory log, whatever befalls the workers: all of it up to the end, once, and no more.

The world is that of `test_workers`. Its source holds records when the stream is created `until: end`, and gets more all
the time. Whenever FINISHED is said of a partition, all that it held must stand in the destination by then.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.simulation.test_idleness import Oracle
from tests.simulation.test_workers import PARTITIONS, World

FIRST = 90
STEPS = 250


class Bounded(World):
    """A world whose stream ends with what the source held before it was created."""

    def command(self, kind: str, **payload: Any) -> None:
        if kind == "create":
            self.config |= {
                "source": {"kind": "kafka", "topic": "source", "until": "end"},
                "idleness": {"idle_after_s": 0.2, "event_time": {}},
                "max_batch_records": 7,
            }
            self.records(FIRST)
            payload = {"config": self.config}
        super().command(kind, **payload)

    def ends(self) -> dict[int, int]:
        """The ends that the start found, which stay the same from then on."""
        return {int(number): end for number, end in self.state()["ends"]["source"].items()}

    def wanted(self) -> list[int]:
        """The numbers of the records before the ends."""
        ends = self.ends()
        records = self.kafka.records("source")
        return sorted(
            int(each.value() or b"") for each in records if (each.offset() or 0) < ends[each.partition() or 0]
        )


class Ends:
    """Looks at what is newly said, and at whether it may be."""

    def __init__(self, world: Bounded) -> None:
        self.world = world
        self.finished: Counter[int] = Counter()
        self.first: dict[int, int] = {}
        self._edges = Oracle(world)

    def look(self) -> None:
        moved: Counter[int] | None = None
        for edge in self._edges._new_edges():
            if edge["status"] == "FINISHED":
                moved = moved or Counter(partition for partition, _ in set(self.world.moved()))
                partition, ends = edge["channel"]["partition"], self.world.ends()
                assert edge["evidence"]["end"] == ends[partition], edge
                assert moved[partition] == ends[partition], f"{edge} with {moved[partition]} moved"
                assert self.first in ({}, ends), "an end moved"
                self.first = ends
                self.finished[partition] += 1


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_a_partition_is_finished_when_all_that_it_held_has_come_and_nothing_behind_it_ever_comes(delivery: str) -> None:
    for seed in range(500, 506):
        run(seed, delivery)


def run(seed: int, delivery: str) -> None:
    world = Bounded(seed, delivery)
    ends = Ends(world)
    for _ in range(STEPS):
        world.step()
        ends.look()
    world.kafka.faults.commits.clear()
    world.kafka.faults.unavailable = False
    world.kafka.deliver_late_commits()
    world.wake()
    world.run(lambda: world.state().get("status") in {"RUNNING", "PAUSED"}, f"running or paused, with seed {seed}")
    if world.state()["status"] == "PAUSED":
        world.run(lambda: "fence_pending" not in world.state()["conditions"], "fenced")
        world.command("resume")
    world.run(lambda: world.state()["status"] == "RUNNING", "running")

    def all_said() -> bool:
        ends.look()
        return ends.finished.keys() == set(range(PARTITIONS))

    world.run(all_said, f"finished, with seed {seed}")
    world.command("pause")
    world.run(lambda: world.state()["status"] == "PAUSED", "paused")
    numbers = sorted(number for _, number in world.moved())
    once = numbers if delivery == "exactly_once" else sorted(set(numbers))
    assert once == world.wanted(), f"seed {seed}: {world.did}"
    receipts = world.state()["drain"]["receipts"]["source"]
    assert {int(number): each["end"] for number, each in receipts.items()} == world.ends()
    assert world.sent > len(once) >= FIRST, "more was produced all the time"
