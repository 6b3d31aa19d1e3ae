"""The second level: laggards stall, watermarks wake, and the flush comes before IDLE (rule R18)."""

from __future__ import annotations

import pytest

from headgate_events.idleness.combiner import WatermarkCombiner
from headgate_events.idleness.signals import TO_ACTIVE, TO_IDLE, Status, Watermark


def at(*watermarks: int, flush: bool = True) -> WatermarkCombiner:
    combiner = WatermarkCombiner(len(watermarks), flush_on_all_idle=flush)
    for number, value in enumerate(watermarks):
        combiner.input_watermark(number, value)
    return combiner


def test_the_last_one_out_flushes_the_maximum() -> None:
    """FLINK-38454."""
    combiner = at(10, 4)
    assert combiner.input_status(0, Status.IDLE) == []
    assert combiner.input_status(1, Status.IDLE) == [Watermark(10), TO_IDLE]


def test_flink_1_20_does_not_flush() -> None:
    combiner = at(10, 4, flush=False)
    combiner.input_status(0, Status.IDLE)
    assert combiner.input_status(1, Status.IDLE) == [TO_IDLE]


def test_a_watermark_wakes_its_input_which_then_holds() -> None:
    combiner = at(10, 4)
    assert combiner.input_status(1, Status.IDLE) == [Watermark(10)]
    assert combiner.input_watermark(1, 4) == []
    assert combiner.input_watermark(0, 20) == []
    assert combiner.input_watermark(1, 12) == [Watermark(12)]


def test_a_watermark_that_wakes_all_comes_before_the_edge() -> None:
    combiner = at(10)
    combiner.input_status(0, Status.IDLE)
    assert combiner.input_watermark(0, 11) == [Watermark(11), TO_ACTIVE]
    assert combiner.input_status(0, Status.ACTIVE) == []


def test_an_idle_input_releases_a_two_input_operator() -> None:
    """FLINK-18934."""
    combiner = WatermarkCombiner(2)
    assert combiner.input_watermark(0, 10) == []
    assert combiner.input_status(1, Status.IDLE) == [Watermark(10)]


def test_an_input_that_does_not_exist_is_the_callers_fault() -> None:
    with pytest.raises(IndexError, match="no input 2"):
        at(1, 2).input_watermark(2, 5)
    with pytest.raises(IndexError, match="no input -1"):
        at(1, 2).input_status(-1, Status.IDLE)
    with pytest.raises(ValueError, match="one input at least"):
        WatermarkCombiner(0)
