"""Channels that come, go, finish and change hands: what Flink's fixed set never meets (rules R16, R17, R22 to R25)."""

from __future__ import annotations

import pytest

from headgate_events.idleness.signals import MAX, MIN, TO_ACTIVE, TO_IDLE, Status, Watermark
from headgate_events.idleness.valve import Ignored, Join, WatermarkValve

ACTIVE, IDLE, FINISHED = Status.ACTIVE, Status.IDLE, Status.FINISHED


def valve_at(**watermarks: int) -> WatermarkValve[str]:
    """Return a valve whose channels have reported these watermarks."""
    valve = WatermarkValve(watermarks)
    for channel, value in watermarks.items():
        valve.input_watermark(channel, value)
    return valve


def test_without_partitions_it_is_idle_and_says_so_once() -> None:
    valve: WatermarkValve[str] = WatermarkValve([])
    assert valve.status is ACTIVE
    assert valve.open() == [TO_IDLE]
    assert valve.open() == []


def test_losing_the_last_partition_says_idle_without_a_flush() -> None:
    valve = WatermarkValve(["a"])
    valve.add("b")
    valve.input_watermark("a", 50)
    assert valve.remove("b") == [Watermark(50)]
    assert valve.remove("a") == [TO_IDLE]
    assert valve.watermark == 50


def test_removing_the_last_active_one_flushes_what_the_idle_ones_had() -> None:
    valve = valve_at(a=10, b=30, c=20)
    valve.input_status("b", IDLE)
    valve.input_status("c", IDLE)
    assert valve.remove("a") == [Watermark(30), TO_IDLE]


def test_removing_an_idle_channel_is_silent_and_its_value_is_gone() -> None:
    valve = valve_at(a=10, b=30)
    valve.input_status("b", IDLE)
    assert valve.remove("b") == []
    assert valve.input_status("a", IDLE) == [TO_IDLE]


def test_removal_never_leads_to_max() -> None:
    only_max_is_left = valve_at(a=MAX, b=5)
    assert only_max_is_left.remove("b") == []
    idle_at_max = valve_at(a=MAX, b=5)
    idle_at_max.input_status("a", IDLE)
    assert idle_at_max.remove("b") == [TO_IDLE]
    only_finished_are_left = valve_at(a=1, b=5)
    only_finished_are_left.finish("a")
    assert only_finished_are_left.remove("b") == [TO_IDLE]
    assert not only_finished_are_left.closed


def test_a_finished_channel_neither_holds_nor_decides() -> None:
    valve = valve_at(a=10, b=4)
    assert valve.finish("b") == [Watermark(10)]
    assert valve.input_watermark("a", 11) == [Watermark(11)]
    assert valve.input_status("a", IDLE) == [TO_IDLE]
    assert valve.input_status("a", ACTIVE) == [TO_ACTIVE]
    assert valve.input_watermark("a", 12) == [Watermark(12)]


def test_a_finished_channels_value_is_left_out_of_the_flush() -> None:
    valve = valve_at(a=10, b=90)
    valve.finish("b")
    assert valve.input_status("a", IDLE) == [TO_IDLE]
    assert valve.watermark == 10


def test_the_last_finish_emits_max_and_closes() -> None:
    valve = valve_at(a=10, b=4)
    assert valve.finish("a") == []
    assert valve.finish("b") == [Watermark(MAX)]
    assert valve.closed
    assert valve.input_status("a", IDLE, (9,)) == []
    assert valve.input_watermark("a", 99, (9,)) == []
    assert valve.add("c") == valve.remove("a") == valve.open() == []
    assert valve.ignored[Ignored.CLOSED] == 4


def test_a_finish_by_status_is_a_finish() -> None:
    valve = WatermarkValve(["a"])
    assert valve.input_status("a", FINISHED) == [Watermark(MAX)]


def test_finishing_an_idle_channel_beside_an_active_one_is_silent() -> None:
    valve = valve_at(a=10, b=4)
    valve.input_status("b", IDLE)
    assert valve.finish("b") == []
    assert valve.finish("b") == []
    assert valve.ignored[Ignored.CHANNEL_FINISHED] == 1


def test_a_finished_channel_wakes_only_for_a_new_incarnation() -> None:
    valve = valve_at(a=10, b=4)
    valve.finish("b", (1,))
    assert valve.input_status("b", ACTIVE, (1,)) == []
    assert valve.input_watermark("b", 50, (1,)) == []
    assert valve.channel("b").status is FINISHED  # type: ignore[union-attr]
    assert valve.input_status("b", IDLE, (2,)) == []
    assert valve.channel("b").status is IDLE  # type: ignore[union-attr]
    valve.finish("b", (2,))
    assert valve.input_watermark("b", 12, (3,)) == []
    assert valve.input_watermark("a", 20) == [Watermark(12)]


def test_a_new_channel_holds_unless_it_may_skip() -> None:
    holding, skipping = valve_at(a=10), valve_at(a=10)
    holding.add("b")
    skipping.add("b", join=Join.SKIP)
    assert holding.input_watermark("a", 20) == []
    assert skipping.input_watermark("a", 20) == [Watermark(20)]


def test_a_seed_of_min_is_no_seed() -> None:
    valve = valve_at(a=10)
    valve.add("b", watermark=MIN)
    assert valve.input_watermark("a", 20) == []


def test_a_holder_that_goes_idle_comes_back_as_a_laggard() -> None:
    valve = valve_at(a=10)
    valve.add("b")
    assert valve.input_watermark("a", 20) == []
    assert valve.input_status("b", IDLE) == [Watermark(20)]
    assert valve.input_status("b", ACTIVE) == []
    assert valve.input_watermark("a", 30) == [Watermark(30)]


def test_a_channel_may_join_idle() -> None:
    valve = valve_at(a=10)
    assert valve.add("b", status=IDLE) == []
    assert valve.input_watermark("a", 20) == [Watermark(20)]
    nobody: WatermarkValve[str] = WatermarkValve([])
    assert nobody.add("b", status=IDLE) == [TO_IDLE]


def test_nothing_joins_as_finished() -> None:
    with pytest.raises(ValueError, match="has nothing to wait for"):
        valve_at(a=1).add("b", status=FINISHED)


def test_an_heir_that_speaks_first_by_watermark_is_active_and_emits_once() -> None:
    valve = valve_at(a=10)
    valve.input_status("a", IDLE, (1,))
    assert valve.input_watermark("a", 25, (2,)) == [TO_ACTIVE, Watermark(25)]


def test_an_heir_keeps_the_watermark() -> None:
    valve = valve_at(a=10, b=4)
    valve.input_status("b", IDLE, (1,))
    assert valve.input_watermark("b", 3, (2,)) == []
    state = valve.channel("b")
    assert state is not None
    assert (state.watermark, state.status, state.aligned, state.epoch) == (4, ACTIVE, False, (2,))


def test_epochs_compare_part_by_part() -> None:
    valve = valve_at(a=10)
    valve.input_watermark("a", 11, (7, 2, 100))
    assert valve.input_watermark("a", 12, (7, 1, 900)) == []
    assert valve.input_watermark("a", 12, (7, 3, 1)) == [Watermark(12)]
    assert valve.ignored[Ignored.STALE_EPOCH] == 1


def test_a_zombie_can_neither_finish_remove_nor_add() -> None:
    valve = valve_at(a=10, b=4)
    valve.input_watermark("b", 5, (5,))
    assert valve.finish("b", (4,)) == valve.remove("b", (4,)) == []
    assert valve.remove("b", (5,)) != []
    assert valve.add("b", epoch=(4,)) == []
    assert len(valve) == 1
    assert valve.add("b", epoch=(5,)) == []
    assert len(valve) == 2
    assert valve.ignored == {Ignored.STALE_EPOCH: 1, Ignored.STALE_REMOVAL: 1, Ignored.STALE_ADD: 1}


def test_what_has_no_effect_is_counted() -> None:
    valve = valve_at(a=10)
    valve.input_watermark("x", 1)
    valve.input_status("x", IDLE)
    valve.remove("x")
    valve.finish("x")
    valve.add("a")
    assert valve.ignored == {Ignored.UNKNOWN_CHANNEL: 4, Ignored.DUPLICATE_ADD: 1}


def test_without_the_flush_a_laggard_is_on_time_when_it_returns() -> None:
    valve = WatermarkValve(["a", "b"], flush_on_all_idle=False)
    valve.input_watermark("a", 100)
    valve.input_watermark("b", 4)
    valve.input_status("a", IDLE)
    assert valve.input_status("b", IDLE) == [TO_IDLE]
    assert valve.input_status("b", ACTIVE) == [TO_ACTIVE]
    assert valve.input_watermark("b", 5) == [Watermark(5)]


def test_a_channel_stands_once_in_the_initial_set() -> None:
    with pytest.raises(ValueError, match="stands twice"):
        WatermarkValve(["a", "a"])
