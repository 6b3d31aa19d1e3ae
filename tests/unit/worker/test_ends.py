"""Where a bounded stream stops: what is resolved at its start, and when a partition has come to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from headgate.adapters.memory.record import MemoryRecord
from headgate.ports.log import Committed, Range, TopicPartition
from headgate.worker.ends import UntilEnd, UntilInFuture, UntilUnknownPartition, resolve
from headgate.worker.view import View, view_of
from headgate_events.schema.config import UntilOffsets, UntilTime
from tests.golden.samples import STATE

FIRST, SECOND = TopicPartition("flights", 0), TopicPartition("flights", 1)
BOTH = [FIRST, SECOND]
NOW_MS = 10_000


class Catalogue:
    """A source with ten positions in each of two partitions, a second apart."""

    def partitions(self) -> Mapping[str, int]:
        return {"flights": 2}

    def range(self, partition: TopicPartition) -> Range:
        return Range(0, 10)

    def at_time(self, partitions: Sequence[TopicPartition], timestamp_ms: int) -> Mapping[TopicPartition, int]:
        return {each: min(10, timestamp_ms // 1_000) for each in partitions}

    def committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, Committed]:
        return {}

    def close(self) -> None: ...


def record(place: TopicPartition, offset: int) -> Any:
    return MemoryRecord(place.topic, place.partition, offset, None, b"{}", [], (1, 5_000))


def view(**more: Any) -> View:
    return view_of({**STATE, **more})


def test_the_end_is_where_each_partition_ends_when_the_stream_starts() -> None:
    assert resolve(Catalogue(), "end", BOTH, NOW_MS) == {FIRST: 10, SECOND: 10}


def test_a_time_is_the_first_position_at_or_after_it_and_the_end_where_there_is_none() -> None:
    assert resolve(Catalogue(), UntilTime(timestamp_ms=4_000), BOTH, NOW_MS) == {FIRST: 4, SECOND: 4}
    assert resolve(Catalogue(), UntilTime(timestamp_ms=NOW_MS), BOTH, NOW_MS) == {FIRST: 10, SECOND: 10}


def test_a_time_that_has_not_come_is_refused_because_nobody_can_tell_where_it_lies() -> None:
    with pytest.raises(UntilInFuture):
        resolve(Catalogue(), UntilTime(timestamp_ms=NOW_MS + 1), BOTH, NOW_MS)


def test_offsets_need_no_resolving_but_their_partitions_have_to_be_there() -> None:
    assert resolve(Catalogue(), UntilOffsets(offsets={"flights": {"0": 99}}), BOTH, NOW_MS) == {}
    with pytest.raises(UntilUnknownPartition, match="no partition 2"):
        resolve(Catalogue(), UntilOffsets(offsets={"flights": {"2": 1}}), BOTH, NOW_MS)


def test_a_partition_ends_with_the_record_before_its_end_and_what_comes_after_is_left_out() -> None:
    until = UntilEnd("end")
    until.take_on(view(ends={"flights": {"0": 2, "1": 2}}), {FIRST: 0, SECOND: 0})
    batch = [record(FIRST, 1), record(FIRST, 2), record(SECOND, 0), record(FIRST, 3)]
    assert until.within(batch) == [batch[0], batch[2]]
    assert until.newly_ended({FIRST: 2, SECOND: 1}, {}) == {FIRST: 2}
    assert until.ended == {FIRST}
    assert until.newly_ended({FIRST: 2, SECOND: 1}, {}) == {}


def test_a_partition_whose_last_offsets_hold_no_record_ends_where_the_log_is_seen_to_end_or_goes_on_behind() -> None:
    until = UntilEnd("end")
    until.take_on(view(ends={"flights": {"0": 5, "1": 5}}), {FIRST: 0, SECOND: 0})
    until.within([record(FIRST, 2)])
    assert until.newly_ended({FIRST: 3, SECOND: 0}, {FIRST: 4}) == {}
    assert until.newly_ended({FIRST: 3, SECOND: 0}, {FIRST: 5}) == {FIRST: 5}
    assert until.within([record(SECOND, 7)]) == []
    assert until.newly_ended({SECOND: 0}, {}) == {SECOND: 5}


def test_what_lies_behind_a_record_that_failed_does_not_end_its_partition_neither_then_nor_later() -> None:
    until = UntilEnd("end")
    until.take_on(view(ends={"flights": {"0": 2}}), {FIRST: 0})
    until.within([record(FIRST, 0), record(FIRST, 1), record(FIRST, 2)])
    assert until.newly_ended({}, {FIRST: 3}) == {}  # it stands in front of offset 0
    until.within([record(FIRST, 0)])
    assert until.newly_ended({FIRST: 1}, {}) == {}


def test_an_heir_that_begins_at_or_behind_the_end_finds_the_partition_ended() -> None:
    until = UntilEnd("end")
    until.take_on(view(ends={"flights": {"0": 2, "1": 2}}), {FIRST: 2, SECOND: 1})
    assert until.ended == {FIRST}
    until.forget([FIRST])
    assert until.ended == set()


def test_a_partition_that_appeared_after_the_start_was_not_there_to_be_read() -> None:
    until = UntilEnd("end")
    until.take_on(view(ends={"flights": {"0": 2}}), {SECOND: 0})
    assert until.ended == {SECOND}


def test_a_partition_that_the_offsets_do_not_name_has_no_end() -> None:
    until = UntilEnd(UntilOffsets(offsets={"flights": {"0": 0}}))
    until.take_on(view(), {FIRST: 0, SECOND: 0})
    assert until.ended == {FIRST}
    assert until.within([record(SECOND, 1_000)]) != []
    assert until.newly_ended({SECOND: 1_001}, {SECOND: 1_001}) == {}
