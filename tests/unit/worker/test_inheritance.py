"""What a task inherits, with the markers on an in-memory log: in order, once they are all there, and by whom."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.adapters.clock import ManualClock
from headgate.adapters.memory import MemoryKafka
from headgate.ports.log import TopicPartition
from headgate.worker.inheritance import Inheritance, Inherited
from headgate.worker.markers_topic import MarkersOfLog
from headgate_events.idleness.signals import MIN, Status
from headgate_events.idleness.vigil import Spoken
from headgate_events.marker_feed import MarkerFeed
from headgate_events.markers import ChannelId, marker_record
from headgate_events.upstreams import Upstreams

MARKERS, PLACE = "headgate.markers", TopicPartition("t", 0)
SOURCE = {"kind": "kafka", "topic": "t"}


class Downstream:
    """A task that reads partition 0 of `t`, which `a` writes, as its source has it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.log = MemoryKafka(self.clock).log()
        self.log.create_topic(MARKERS, 3, {}, 1.0)
        self.producer = self.log.producer()
        self.upstreams = Upstreams()
        self.ends: dict[int, int] | None = {0: 0}
        self.feed = MarkerFeed(MarkersOfLog(self.log, MARKERS))
        self.inheritance = Inheritance("t", self.feed, self.upstreams, 6.0)
        self.inheritance.begin({PLACE: 0})
        self.run("a")

    def run(self, name: str, status: str = "RUNNING", **more: Any) -> None:
        config = {"destination": {"kind": "kafka", "topic": "t"}}
        state = {"status": status, "incarnation": 1, "partitions": {"source": 1}, "config": config}
        self.upstreams.note(name, state | more)

    def payload(self, status: str, covered: int | None, watermark: int | None = None, **more: Any) -> dict[str, Any]:
        return {
            "kind": "marker",
            "marker": "STATUS",
            "stream": "a",
            "channel": {"topic": "source", "partition": 0},
            "status": status,
            "watermark": watermark,
            "incarnation": 1,
            "epoch": 1,
            "claim": 1,
            "worker": "w",
            "emitted_at_ms": 1,
            "dest_topic": "t",
            "dest_offsets": None if covered is None else {"0": covered},
        } | more

    def say(self, status: str, covered: int | None, watermark: int | None = None, **more: Any) -> None:
        record = marker_record(MARKERS, 3, self.payload(status, covered, watermark, **more))
        self.producer.produce(record.topic, record.value, record.key, record.headers, record.partition, 1)
        self.producer.flush(1.0)

    def steps(self, reached: int, number: int = 6) -> Inherited | None:
        found = None
        for _ in range(number):
            self.clock.advance(0.2)
            found = self.inheritance.step(SOURCE, {PLACE: reached}, self.clock.monotonic_s(), lambda: self.ends).get(
                PLACE
            )
        return found

    def seen(self, reached: int) -> tuple[str, int]:
        found = self.steps(reached)
        assert found is not None
        return found.status.value, found.watermark


@pytest.fixture
def downstream() -> Downstream:
    return Downstream()


def test_a_marker_counts_once_the_place_that_it_covers_was_read(downstream: Downstream) -> None:
    downstream.say("ACTIVE", 0, 5, marker="WATERMARK")
    downstream.say("IDLE", 3, 7)
    assert downstream.seen(0) == ("ACTIVE", 5)
    assert downstream.seen(2) == ("ACTIVE", 5)
    assert downstream.seen(3) == ("IDLE", 7)


def test_an_open_transaction_at_the_end_of_the_markers_holds_what_comes_after_the_records_that_were_read(
    downstream: Downstream,
) -> None:
    downstream.say("IDLE", 0)
    assert downstream.seen(0) == ("IDLE", MIN)
    open_one = downstream.log.transactional_producer("rival")
    open_one.init(1.0)
    open_one.begin()
    record = marker_record(MARKERS, 3, downstream.payload("ACTIVE", None))
    open_one.produce(record.topic, record.value, record.key, record.headers, record.partition, 1)
    assert downstream.seen(1) == ("IDLE", MIN), "what was told before still stands"
    found = downstream.steps(1)
    assert found is not None
    assert found.position == 0, "and nothing is said of where the records have come to"
    open_one.commit(1.0)
    assert downstream.seen(1) == ("ACTIVE", MIN)


def test_a_phase_that_is_over_is_told_once(downstream: Downstream) -> None:
    downstream.say("IDLE", 0)
    assert downstream.seen(0) == ("IDLE", MIN)
    downstream.say("ACTIVE", None)
    downstream.say("IDLE", 0, 9)
    found = [downstream.steps(0, 1) for _ in range(6)]
    assert [each.woke for each in found if each is not None].count(True) == 1
    assert downstream.seen(0) == ("IDLE", 9)


def test_nothing_is_inherited_while_it_is_not_known_what_stands_among_the_markers(downstream: Downstream) -> None:
    downstream.say("IDLE", 0)
    open_one = downstream.log.transactional_producer("rival")
    open_one.init(1.0)
    open_one.begin()
    record = marker_record(MARKERS, 3, downstream.payload("ACTIVE", None))
    open_one.produce(record.topic, record.value, record.key, record.headers, record.partition, 1)
    assert downstream.steps(0) is None
    open_one.commit(1.0)
    assert downstream.seen(0) == ("ACTIVE", MIN)


def test_who_stands_still_is_held_by_name_and_who_speaks_again_by_the_same_claim_is_idle_still(
    downstream: Downstream,
) -> None:
    downstream.say("IDLE", 0)
    assert downstream.seen(0) == ("IDLE", MIN)
    downstream.run("a", "PAUSED")
    found = downstream.steps(0)
    assert found is not None
    assert (found.status, found.reason, found.because) == (Status.ACTIVE, "HELD", "a is PAUSED")
    downstream.run("a")
    assert downstream.seen(0) == ("ACTIVE", MIN)
    channel = ChannelId("a", "source", 0)
    now_s = downstream.clock.monotonic_s()
    downstream.upstreams.spoken_for = {channel: Spoken(now_s + 6.0, 1, now_s)}
    assert downstream.seen(0) == ("IDLE", MIN)
    downstream.steps(0, 40)
    found = downstream.steps(0)
    assert found is not None
    assert (found.status, found.reason) == (Status.ACTIVE, "SUSPECT")


def test_a_stream_that_no_longer_writes_ends_where_what_it_wrote_was_read(downstream: Downstream) -> None:
    downstream.run("b")
    downstream.say("IDLE", 0)
    assert downstream.seen(0) == ("ACTIVE", MIN)
    downstream.ends = None
    downstream.upstreams.note("b", None)
    assert downstream.seen(0) == ("ACTIVE", MIN), "nobody tells where that is"
    downstream.ends = {0: 2}
    assert downstream.seen(1) == ("ACTIVE", MIN)
    assert downstream.seen(2) == ("IDLE", MIN)


def test_what_a_later_stream_said_before_it_was_followed_is_not_missing(downstream: Downstream) -> None:
    downstream.say("IDLE", 0)
    downstream.say("IDLE", 0, 3, stream="b")
    assert downstream.seen(0) == ("IDLE", MIN)
    downstream.run("b")
    assert downstream.seen(0) == ("IDLE", 3)


def test_a_partition_that_is_begun_again_earlier_waits_for_the_same_places_again(downstream: Downstream) -> None:
    downstream.say("IDLE", 3, 7)
    assert downstream.seen(3) == ("IDLE", 7)
    downstream.inheritance.begin({PLACE: 1})
    assert downstream.seen(1) == ("ACTIVE", MIN)
    assert downstream.seen(3) == ("IDLE", 7)
    downstream.inheritance.close()
    assert downstream.upstreams.watched == frozenset()
