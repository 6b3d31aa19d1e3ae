"""What Flink and its neighbours have open, or fixed late: a test for each that applies here, named after the issue.

| issue | where it is held |
|---|---|
| FLINK-2577, 3121, 8001, 7721, 7728, 40475 | below |
| FLINK-38454, 18934 | below, and `test_combiner` |
| FLINK-40504, 22926 | below, and `test_activity` (a watermark that is not above the last) |
| FLINK-40499, 38477 | `test_activity`: ACTIVE before the end, and one finished with the others idle |
| FLINK-24347, 25818 | below: a worker without partitions stays, is idle and says so; only `until` ends anything |
| FLINK-39979, 39586 | below |
| FLINK-28975 | does not apply: a channel has one output, and no main one beside it |
| FLINK-35886 (FLIP-471), 36751 | below, and `test_detector` (back-pressure stops the clock) |
| FLINK-40234 | `test_activity` |
| FLINK-40503, 34252 | below |
| FLINK-22881 (FLIP-180) | below |
| FLINK-25982, 32496, 32414, 35157, 37670 | do not apply: no group of sources is held to one event time here |
| FLINK-31632 | below: the sums saturate |
| FLINK-20947 | below |
| FLINK-40517 | does not apply: channels are never merged; a partition keeps its own with every owner |
| FLINK-5479 | `test_activity` (silence without an answered fetch is never idle) |
| Druid 16689, Karapace 1355, RisingWave 25121 and 25258, FLINK-34470, SeaTunnel 11486, Pinot 19267, StarRocks 9054 | \
on a real broker: `integration/worker/test_emptiness`, `test_idle_faults` |
| Spring Kafka 4553 | below |
| Numaflow 3399 | `test_activity`, and on a real broker `test_emptiness` |
| Hazelcast 20740 | below |
| Beam 40016, 20908, 40176 | below |
| proxima-platform 155, Quix 1117 | below |
| librdkafka 4844 | below |

That one *false* idle lets the output jump is so by nature; the vector `idle_flap_lets_the_minimum_jump` keeps it.
"""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from headgate.core.idleness.detector import EmptinessDetector
from headgate.core.idleness.emptiness import FetchEvidence, Judging, Situation, Unmet, unmet
from headgate.core.idleness.grace import GraceSettings
from headgate.core.idleness.idle_timer import IdleTimer
from headgate.core.idleness.watermark import WatermarkGenerator
from headgate_events.idleness.combiner import WatermarkCombiner
from headgate_events.idleness.gate import OutputGate
from headgate_events.idleness.signals import MAX, MIN, TO_ACTIVE, TO_IDLE, Signal, Status, Watermark
from headgate_events.idleness.valve import Profile, WatermarkValve
from headgate_events.schema.config import EventTimeConfig
from tests.unit.worker.test_activity import FIRST, SECOND, Task, record

ACTIVE, IDLE = Status.ACTIVE, Status.IDLE
TOP = Path(__file__).resolve().parents[3]
QUIET = Situation(
    assigned=(1,), current=(1,), start=0, paused=False, polled_at_ms=0, connected=True, buffered=0, in_flight=0
)


def valve_at(**watermarks: int) -> WatermarkValve[str]:
    valve = WatermarkValve(watermarks)
    for channel, value in watermarks.items():
        valve.input_watermark(channel, value)
    return valve


def task_at(*places: Any, **config: Any) -> Task:
    task = Task(**config)
    task.assign(*places)
    return task


def test_flink_2577_and_3121_a_source_without_partitions_stalls_nobody_and_sends_no_end() -> None:
    empty: WatermarkValve[str] = WatermarkValve(())
    assert empty.open() == [TO_IDLE], "IDLE, where Flink sent MAX"
    downstream = valve_at(busy=7, empty=MIN)
    assert downstream.watermark == MIN
    assert downstream.input_status("empty", IDLE) == [Watermark(7)]


def test_flink_8001_nothing_is_sent_over_an_idle_that_was_said_at_the_start() -> None:
    assert WatermarkGenerator(0).due() is None, "no record, no watermark: above all no MAX"
    gate = OutputGate()
    assert gate.passes(TO_IDLE)
    assert not gate.passes(Watermark(MAX))


def test_flink_7721_the_minimum_of_no_aligned_channel_is_nothing_and_not_max() -> None:
    valve = valve_at(a=10, b=5)
    valve.input_status("b", IDLE)
    assert valve.watermark == 10
    valve.input_status("b", ACTIVE)  # behind the output: active, and unaligned
    assert valve.input_status("a", IDLE) == []
    assert (valve.status, valve.watermark) == (ACTIVE, 10)
    assert valve.input_watermark("b", 6) == []


@pytest.mark.parametrize("order", list(permutations("abc")))
def test_flink_7728_the_last_watermark_does_not_depend_on_who_goes_idle_first(order: tuple[str, ...]) -> None:
    valve = valve_at(a=3, b=9, c=6)
    out = [signal for channel in order for signal in valve.input_status(channel, IDLE)]
    assert out[-2:] == [Watermark(9), TO_IDLE]


@pytest.mark.parametrize(
    ("profile", "returned", "flushed"),
    [(Profile.MAIN, [Watermark(30)], [Watermark(30), TO_IDLE]), (Profile.RELEASED, [], [TO_IDLE])],
)
def test_flink_40475_the_only_aligned_channel_does_not_stall_and_an_unaligned_last_one_flushes(
    profile: Profile, returned: list[Signal], flushed: list[Signal]
) -> None:
    """Releases up to 2.3.0 do neither."""

    def one_lags_and_the_others_are_idle() -> WatermarkValve[str]:
        valve: WatermarkValve[str] = WatermarkValve("abc", profile=profile)
        for channel, value in (("a", 10), ("b", 5), ("c", 30)):
            valve.input_watermark(channel, value)
        for channel, status in (("b", IDLE), ("b", ACTIVE), ("c", IDLE)):
            valve.input_status(channel, status)
        valve.input_watermark("a", 20)
        valve.input_status("a", IDLE)
        assert (valve.watermark, valve.status) == (20, ACTIVE)
        return valve

    assert one_lags_and_the_others_are_idle().input_status("c", ACTIVE) == returned
    assert one_lags_and_the_others_are_idle().input_status("b", IDLE) == flushed


def test_flink_38454_and_18934_the_combiner_flushes_and_an_idle_input_releases_the_other() -> None:
    combiner = WatermarkCombiner(2)
    combiner.input_watermark(0, 10)
    combiner.input_watermark(1, 4)
    assert combiner.input_status(1, IDLE) == [Watermark(10)]
    assert combiner.input_watermark(0, 12) == [Watermark(12)]
    combiner.input_status(1, ACTIVE)
    combiner.input_watermark(0, 20)
    combiner.input_status(1, IDLE)
    assert combiner.input_status(0, IDLE) == [TO_IDLE]
    assert combiner.watermark == 20


def test_flink_40504_and_22926_active_is_sent_before_the_watermark_is_compared_also_for_a_channel_that_joins() -> None:
    valve = valve_at(a=50)
    valve.input_status("a", IDLE)
    assert valve.input_status("a", ACTIVE) == [TO_ACTIVE]
    assert valve.input_watermark("a", 50) == [], "which is not above the flushed one, and ACTIVE is out all the same"
    valve.input_status("a", IDLE)
    assert valve.add("new") == [TO_ACTIVE]


def test_flink_24347_and_25818_who_has_no_partition_stays_and_is_idle_and_ends_nothing() -> None:
    task = Task()
    task.polls(50)
    assert task.said == [], "no channel, so nothing to say of one"
    assert task.activity.quiet
    task.assign(FIRST)
    task.poll(record(FIRST, 0))
    assert task.edges == [(0, "ACTIVE")]


def test_flink_39979_and_39586_who_loses_every_channel_is_idle_and_wakes_with_the_next() -> None:
    valve: WatermarkValve[str] = WatermarkValve("ab")
    assert valve.remove("a") == []
    assert valve.remove("b") == [TO_IDLE], "also where none of them ever had a watermark"
    assert valve.add("c") == [TO_ACTIVE]


def test_flink_35886_and_36751_the_clock_stands_while_the_loop_is_kept_from_reading() -> None:
    detector = EmptinessDetector(grace=GraceSettings(grace_ms=1_000, poll_interval_ms=100, damping=False))
    detector.fetch_answered(FetchEvidence(0, 0, 0, 0))
    for now_ms in range(100, 60_000, 100):
        blocked = Situation(**{**vars_of(QUIET), "polled_at_ms": now_ms, "blocked": True})
        assert detector.step(now_ms, blocked) is None
    open_again = [
        detector.step(now_ms, Situation(**{**vars_of(QUIET), "polled_at_ms": now_ms}))
        for now_ms in range(60_000, 61_200, 100)
    ]
    idle = [number for number, each in enumerate(open_again) if each is not None]
    assert idle, "it runs on afterwards"
    assert idle[0] >= 8, "and begins where it stood"


def vars_of(situation: Situation) -> dict[str, Any]:
    return {name: getattr(situation, name) for name in Situation.__slots__}


@pytest.mark.parametrize("offset_ms", range(0, 100, 7))
def test_flink_40503_the_timer_fires_after_the_timeout_and_within_three_probes_more(offset_ms: int) -> None:
    timer, timeout_ms, probe_ms = IdleTimer(1_000), 1_000, 100
    last_record_ms = 10_000 + offset_ms
    timer.activity()
    at_ms = next(at_ms for at_ms in range(10_100, 20_000, probe_ms) if timer.fires(at_ms))
    assert timeout_ms < at_ms - last_record_ms <= timeout_ms + 3 * probe_ms


def test_flink_34252_each_record_counts_however_many_come_between_two_probes() -> None:
    timer = IdleTimer(250)
    for at_ms in range(100, 5_000, 100):
        for _ in range(1_000):
            timer.activity()
        assert not timer.fires(at_ms)


def test_flink_22881_records_toggle_nothing() -> None:
    task = task_at(FIRST)
    for number in range(50):
        task.poll(record(FIRST, number), ends={FIRST: number + 1})
        task.polls(3)  # always empty for a moment
    assert task.edges == [(0, "ACTIVE")]
    gate = OutputGate()
    assert [gate.passes(signal) for signal in (TO_IDLE, TO_IDLE, TO_ACTIVE, TO_ACTIVE)] == [True, False, True, False]


def test_flink_31632_times_near_the_end_of_64_bits_neither_wrap_nor_make_an_end() -> None:
    latest = WatermarkGenerator(0)
    latest.observe(MAX)
    assert latest.due() == MAX - 1
    earliest = WatermarkGenerator(60_000)
    earliest.observe(MIN)
    assert earliest.due() is None


def test_flink_20947_the_streams_own_timeout_is_the_one_that_counts() -> None:
    task = task_at(FIRST)
    task.poll(ends={FIRST: 0})
    task.polls(8)
    assert task.edges == [], "a second in these tests, and five by default"
    task.polls(6)
    assert task.edges == [(0, "IDLE")]


def test_spring_kafka_4553_a_marker_that_arrives_in_a_later_fetch_than_its_data_races_with_nothing() -> None:
    task = task_at(FIRST)
    task.poll(record(FIRST, 0), ends={FIRST: 1})
    task.high[FIRST] = 2  # the marker of its transaction is there, and no fetch has passed it yet
    task.polls(30)
    assert task.edges == [(0, "ACTIVE")]
    task.poll(ends={FIRST: 2})
    task.polls(15)
    assert task.edges == [(0, "ACTIVE"), (0, "IDLE")]
    assert task.activity.beat()[0]["end"] == 2


def test_hazelcast_20740_a_source_whose_records_are_all_filtered_out_advances_and_goes_idle() -> None:
    """Position, event time and idleness come from what is read, whatever the transform makes of it."""
    task = task_at(FIRST, event_time=EventTimeConfig(), watermark_interval_ms=10)
    for number in range(3):
        task.poll(record(FIRST, number, 1_000 * (number + 1)), ends={FIRST: number + 1})
    task.polls(15)
    assert [watermark for _, kind, _, watermark in task.said if kind == "WATERMARK"] == [999, 1_999, 2_999]
    assert task.edges == [(0, "ACTIVE"), (0, "IDLE")]


def test_beam_40016_the_end_is_the_next_offset_and_not_the_last() -> None:
    at_the_end = unmet(QUIET, FetchEvidence(5, 5, 5, 0), 0, Judging())
    one_before = unmet(QUIET, FetchEvidence(4, 5, 5, 0), 0, Judging())
    assert (at_the_end, one_before) == (frozenset(), frozenset({Unmet.BEHIND}))


def test_beam_20908_and_40176_no_first_record_is_needed_and_the_next_one_pulls_nothing_back() -> None:
    task = task_at(FIRST)
    task.poll(ends={FIRST: 0})
    task.polls(15)
    assert task.edges == [(0, "IDLE")]
    generator = WatermarkGenerator(0)
    assert generator.due_while_empty(10_000, margin_ms=100) == 9_899
    assert generator.observe(5), "it is late"
    assert generator.due() is None
    assert generator.announced == 9_899


def test_proxima_platform_155_nothing_is_said_before_the_first_answered_poll() -> None:
    task = task_at(FIRST, SECOND, event_time=EventTimeConfig(), watermark_interval_ms=10)
    task.polls(100)
    assert task.said == []


def test_quix_1117_after_a_restart_a_partition_that_is_at_its_end_already_is_idle() -> None:
    task = Task()
    task.positions[FIRST] = task.high[FIRST] = 500
    task.assign(FIRST)
    task.poll(ends={FIRST: 500})
    task.polls(15)
    assert task.edges == [(0, "IDLE")]


def test_librdkafka_4844_no_client_is_used_that_moves_its_position_past_the_end() -> None:
    declared = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["dependencies"]
    assert "confluent-kafka>=2.13.2" in declared
    assert tuple(map(int, version("confluent-kafka").split(".")[:3])) >= (2, 13, 2)
