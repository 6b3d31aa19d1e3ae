"""What workers say on the in-memory log: event time that never goes back, switches, and markers that are no data."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest

from headgate_events.markers import IN_BAND_HEADER
from tests.simulation.test_workers import World

STEPS = 300
QUICK: dict[str, Any] = {"idle_after_s": 0.3, "flap_damping": False}


class Made(World):
    """A world whose stream is created with more settings."""

    def __init__(self, seed: int, delivery: str = "exactly_once", **more: Any) -> None:
        self.more = more
        super().__init__(seed, delivery)

    def command(self, kind: str, **payload: Any) -> None:
        if kind == "create":
            self.kafka.create_topic("single", 1)
            self.config |= self.more
            payload = {"config": self.config}
        super().command(kind, **payload)

    def records(self, count: int) -> None:
        """Write records with an event time in a header, in no order at all."""
        for _ in range(count):
            partition, at_ms = self.random.randrange(3), self.random.randrange(10**6)
            headers = [("at", b"%d" % at_ms)]
            self.user.produce("source", b"%d" % self.sent, b"%d" % (self.sent % 7), headers, partition=partition)
            self.sent += 1

    def told(self, topic: str) -> list[dict[str, Any]]:
        return [orjson.loads(each.value() or b"{}") for each in self.kafka.records(topic)]

    def edges(self, partition: int = 0) -> list[tuple[str, str]]:
        return [
            (each["status"], each["reason"])
            for each in self.told(self.topics.edges)
            if each["channel"]["partition"] == partition
        ]

    def until_edges(self, *expected: tuple[str, str]) -> None:
        self.run(lambda: self.edges() == [*expected], f"said as {expected}, but {self.edges()}")

    def work_on(self, seconds: float) -> None:
        until_s = self.clock.now_ms() / 1_000 + seconds
        self.run(lambda: self.clock.now_ms() / 1_000 >= until_s, "working on")


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_the_watermark_of_a_channel_never_goes_back_whatever_befalls_its_owners(delivery: str) -> None:
    owners: Counter[int] = Counter()
    for seed in range(700, 706):
        owners[seed] = run(seed, delivery)
    assert sum(owners.values()) > 50, "channels changed hands"


def run(seed: int, delivery: str) -> int:
    event_time = {"source": "header", "place": "at", "max_out_of_orderness_ms": 10}
    world = Made(seed, delivery, idleness={**QUICK, "watermark_interval_ms": 50, "event_time": event_time})
    for _ in range(STEPS):
        world.step()
    world.heal()
    reached: dict[int, tuple[tuple[int, int, int], int | None]] = {}
    tokens = set()
    for marker in world.told(world.topics.markers):
        if marker["marker"] == "CLAIM":
            continue
        partition, token = marker["channel"]["partition"], (marker["incarnation"], marker["epoch"], marker["claim"])
        before = reached.get(partition)
        if before is not None and token < before[0]:
            continue  # of an owner that was replaced: no reader hears it
        if before is not None and before[1] is not None:
            assert marker["watermark"] is not None, f"seed {seed}: {marker} after {before}"
            assert marker["watermark"] >= before[1], f"seed {seed}: {marker} after {before}"
        reached[partition] = token, marker["watermark"]
        tokens.add((partition, token))
    assert any(watermark is not None for _, watermark in reached.values())
    return len(tokens)


def test_markers_among_the_records_wake_nothing_and_a_record_does() -> None:
    world = Made(1, source={"kind": "kafka", "topic": "single", "skip_markers": True}, idleness=QUICK, parallelism=1)
    world.until_edges(("IDLE", "EMPTY"))
    for _ in range(3):
        world.user.produce("single", b"{}", b"m:foreign", [(IN_BAND_HEADER, b"1")])
        world.work_on(1.0)
    assert world.edges() == [("IDLE", "EMPTY")]
    world.user.produce("single", b"7")
    world.until_edges(("IDLE", "EMPTY"), ("ACTIVE", "RESUMED"), ("IDLE", "EMPTY"))
    assert [number for _, number in world.moved()] == [7]
    world.command("pause")
    world.run(lambda: world.state()["status"] == "PAUSED", "paused")
    receipt = world.state()["drain"]["receipts"]["single"]["0"]
    assert (receipt["end"], receipt["read"], receipt["written"]) == (4, 1, 1)


def test_a_position_behind_markers_alone_is_handed_on_by_a_drain() -> None:
    world = Made(2, source={"kind": "kafka", "topic": "single", "skip_markers": True}, idleness=QUICK, parallelism=1)
    world.until_edges(("IDLE", "EMPTY"))
    world.user.produce("single", b"{}", b"m:foreign", [(IN_BAND_HEADER, b"1")])
    world.work_on(1.0)
    world.command("pause")
    world.run(lambda: world.state()["status"] == "PAUSED", "paused")
    receipt = world.state()["drain"]["receipts"]["single"]["0"]
    assert (receipt["end"], receipt["read"]) == (1, 0)


def test_markers_are_switched_on_and_off_while_a_stream_runs() -> None:
    source, off = {"kind": "kafka", "topic": "single"}, {**QUICK, "markers": "off"}
    world = Made(3, source=source, idleness=off, parallelism=1)
    world.run(lambda: world.state().get("status") == "RUNNING", "running")
    world.user.produce("single", b"1")
    world.run(lambda: len(world.moved()) == 1, "moved")

    def switch(idleness: dict[str, Any]) -> None:
        world.command("modify", config=world.config | {"idleness": idleness})
        world.run(lambda: world.state()["revision"]["applied"] == world.state()["revision"]["desired"], "applied")

    assert world.edges() == []
    switch(QUICK)
    world.until_edges(("IDLE", "EMPTY"))
    switch(off)
    world.user.produce("single", b"2")
    world.run(lambda: len(world.moved()) == 2, "moved")
    switch(QUICK)
    world.until_edges(("IDLE", "EMPTY"), ("IDLE", "EMPTY"))  # nothing was said of the record between


def test_a_transaction_that_stays_open_past_the_cap_is_let_go_and_what_it_commits_is_moved_all_the_same() -> None:
    open_txn = {**QUICK, "open_txn": "ignore", "open_txn_cap_s": 5.0}
    world = Made(4, source={"kind": "kafka", "topic": "single"}, idleness=open_txn, parallelism=1)
    rival = world.kafka.log("rival").transactional_producer("rival")
    rival.init(1.0)
    rival.begin()
    rival.produce("single", b"1", partition=0)
    world.run(lambda: world.state().get("status") == "RUNNING", "running")
    world.work_on(4.0)
    assert world.edges() == []
    world.until_edges(("IDLE", "OPEN_TXN"))
    rival.commit(1.0)
    world.until_edges(("IDLE", "OPEN_TXN"), ("ACTIVE", "RESUMED"), ("IDLE", "EMPTY"))
    assert [number for _, number in world.moved()] == [1]


def test_a_worker_that_holds_no_partition_is_idle_and_says_why() -> None:
    world = Made(5, source={"kind": "kafka", "topic": "single"}, idleness=QUICK, parallelism=2)

    def shares() -> list[tuple[int, str, str]]:
        newest = {each["worker"]: each["tasks"] for each in world.told(world.topics.heartbeats)}
        return sorted(
            (len(task["partitions"]), task["activity"] or "", task["activity_reason"] or "")
            for tasks in newest.values()
            for task in tasks
        )

    world.run(lambda: shares() == [(0, "IDLE", "NO_ASSIGNMENT"), (1, "IDLE", "EMPTY")], "both say what they are")
