"""What wakes a stream that auto-pause paused: a source that has more than where it was left, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.ports.log import Range, TopicPartition
from headgate.worker.view import View, view_of
from headgate.worker.waking import what_moved

SILENCE = {"orders": {"0": 10, "1": 21}}


class Catalogue:
    def __init__(self, *ends: int) -> None:
        self.ends = ends

    def partitions(self) -> dict[str, int]:
        return {"orders": len(self.ends)}

    def range(self, partition: TopicPartition) -> Range:
        return Range(0, self.ends[partition.partition])


def asleep(silence: dict[str, Any] | None = None, **receipts: int) -> View:
    found = {each[1:]: {"end": end} for each, end in receipts.items()}
    drain = {"listed": True, "receipts": {"orders": found}, "silence": SILENCE if silence is None else silence}
    state = {"stream": "orders", "incarnation": 7, "version": 9, "status": "PAUSED", "epoch": 5, "started_epoch": 3}
    return view_of(state | {"revision": {"desired": 1}, "config": {}, "partitions": {"orders": 2}, "drain": drain})


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((10, 21), None),
        ((11, 21), "orders[0] moved from 10 to 11."),
        ((10, 1_021), "orders[1] moved from 21 to 1,021."),
        ((10, 21, 0), None),
        ((10, 21, 3), "orders[2] is new, and holds records."),
        ((9, 21), None),
    ],
)
def test_an_end_beyond_the_one_that_was_seen_wakes(ends: tuple[int, ...], said: str | None) -> None:
    assert what_moved(Catalogue(*ends), asleep()) == said  # type: ignore[arg-type]


def test_what_was_read_while_the_stream_drained_wakes_nobody_nor_does_a_control_record_before_the_proof() -> None:
    assert what_moved(Catalogue(12, 21), asleep(p0=12)) is None  # type: ignore[arg-type]
    assert what_moved(Catalogue(10, 21), asleep(p0=9, p1=20)) is None  # type: ignore[arg-type]


def test_a_partition_that_had_ended_for_good_wakes_nobody() -> None:
    assert what_moved(Catalogue(10, 99), asleep({"orders": {"0": 10}})) is None  # type: ignore[arg-type]


def test_only_a_stream_that_auto_pause_paused_is_looked_at() -> None:
    assert asleep().silence == SILENCE
    state = {"stream": "orders", "incarnation": 7, "version": 9, "status": "DRAINING", "epoch": 5, "started_epoch": 3}
    state |= {"revision": {"desired": 1}, "config": {}, "drain": {"silence": SILENCE, "receipts": {}}}
    assert view_of(state).silence is None
    assert view_of(state | {"status": "PAUSED", "drain": {"receipts": {}}}).silence is None
