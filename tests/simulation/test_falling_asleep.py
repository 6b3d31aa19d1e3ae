"""Auto-pause on the in-memory log: records with long gaps, workers that come and go; nothing waits unread for ever.

The shells are the product's own, as in test_workers. A seed decides how long the gaps are and what goes wrong. What has
to hold: the stream falls asleep in a long gap and gives its tasks free, wakes for what comes, and moves every record
once; and a stream that a person paused sleeps on, whatever comes.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.simulation.test_workers import STREAM, World

IDLENESS = {"idle_after_s": 1.0, "flap_damping": False, "auto_pause_after_s": 8.0}


class Sleepy(World):
    """A world whose stream is paused after eight seconds of silence."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, "exactly_once")
        self.command("modify", config={**self.config, "idleness": IDLENESS})
        self.config = {**self.config, "idleness": IDLENESS}
        self.run(lambda: self.state().get("status") == "RUNNING", "running")

    def until_asleep(self) -> None:
        self.run(lambda: self.state()["status"] == "PAUSED", "asleep")
        assert self.state()["last"]["actor"] == "auto-pause"
        assert self.state()["tasks"] == {}

    def changes(self) -> list[tuple[str, str]]:
        """Return who changed the status to what, in order."""
        found = []
        for record in self.kafka.records(self.topics.history):
            told = orjson.loads(record.value() or b"{}")
            if record.key() == STREAM.encode() and told.get("to_status") not in {None, told.get("from_status")}:
                found.append((told["actor"], told["to_status"]))
        return found


@pytest.mark.parametrize("seed", range(6))
def test_a_stream_sleeps_in_each_long_gap_wakes_for_what_comes_and_loses_nothing(seed: int) -> None:
    world = Sleepy(seed)
    for _ in range(3):
        world.records(world.random.randrange(1, 20))
        world.run(lambda: len(world.moved()) == world.sent, "moved")
        world.until_asleep()
        if world.random.random() < 0.5:
            world.workers.pop("a")[0].process.kill()
            world.start("a")
    assert sorted(number for _, number in world.moved()) == list(range(world.sent))
    assert {actor for actor, status in world.changes() if status == "PAUSED"} == {"auto-pause"}
    assert sum(status == "PAUSED" for _, status in world.changes()) == 3, "and stays asleep while nothing comes"


@pytest.mark.parametrize("seed", range(6))
def test_records_that_come_in_the_very_moment_of_falling_asleep_are_read(seed: int) -> None:
    world = Sleepy(seed)
    world.records(5)
    world.run(lambda: world.state()["status"] == "DRAINING", "falling asleep")
    world.records(7)
    world.run(lambda: len(world.moved()) == world.sent, "moved")
    world.until_asleep()


def test_a_stream_that_a_person_paused_or_kept_paused_sleeps_on() -> None:
    world = Sleepy(3)
    world.until_asleep()
    world.command("pause", reason="stays off")
    world.run(lambda: world.state()["last"]["actor"] == "sim", "taken over")
    world.records(5)
    before = world.state()["version"]
    for _ in range(600):
        world.projector.step(world.clock.monotonic_s())
        for _, supervisor in world.workers.values():
            supervisor.step(world.clock.monotonic_s())
        world.clock.advance(0.05)
    state: dict[str, Any] = world.state()
    assert (state["status"], state["version"]) == ("PAUSED", before)
    assert world.moved() == []
    world.command("resume")
    world.run(lambda: len(world.moved()) == 5, "moved")


def test_a_delete_for_when_it_is_idle_for_long_begins_anew_with_each_record_and_goes_before_auto_pause() -> None:
    world = Sleepy(4)
    world.command("delete", drain=True, when_idle=True, idle_for_s=12.0)
    for _ in range(3):
        world.records(1)
        world.run(lambda: len(world.moved()) == world.sent, "moved")
        began_s = world.clock.monotonic_s()
        world.run(lambda: world.clock.monotonic_s() > began_s + 9, "quiet for less than is asked for")  # noqa: B023
        assert world.state()["status"] == "RUNNING"
    world.run(lambda: world.state()["status"] == "DELETED", "deleted")
    assert world.clock.monotonic_s() - began_s > 12, "not before the time was over"
    assert len(world.moved()) == world.sent
