"""What a member of a group has, as one: partitions come and go, and nothing is said that no partition stands for."""

from __future__ import annotations

from collections.abc import Iterable

from headgate_events.idleness.share import Share
from headgate_events.idleness.signals import MAX, MIN, TO_ACTIVE, TO_IDLE, Status, Watermark


def having(*partitions: int) -> Share:
    share = Share()
    share.change(partitions)
    return share


def told(share: Share, watermarks: dict[int, int], idle: Iterable[int] = ()) -> None:
    for partition, value in watermarks.items():
        share.tell(partition, Watermark(value))
    for partition in idle:
        share.tell(partition, TO_IDLE)


def now(share: Share) -> tuple[Status, int]:
    return share.status, share.watermark


def test_a_member_is_idle_before_it_has_any_partition_and_active_with_the_first() -> None:
    share = having()
    assert now(share) == (Status.IDLE, MIN)
    share.change([0])
    assert now(share) == (Status.ACTIVE, MIN)


def test_a_member_that_loses_everything_is_idle_and_its_watermark_stays_where_it_was() -> None:
    share = having(0, 1, 2)
    told(share, {0: 3, 1: 10, 2: 20}, idle=[2])
    assert now(share) == (Status.ACTIVE, 3)
    share.change([])
    assert now(share) == (Status.IDLE, 3), "neither 10 nor 20 were due, in whatever order the partitions went"


def test_a_partition_that_leaves_takes_its_watermark_along_and_those_that_stay_decide() -> None:
    share = having(0, 1, 2)
    told(share, {0: 3, 1: 10, 2: 20})
    share.change([1, 2])
    assert now(share) == (Status.ACTIVE, 10)
    told(share, {}, idle=[2])
    share.change([2])
    assert now(share) == (Status.IDLE, 20)


def test_what_comes_and_what_leaves_in_one_rebalance_shows_as_a_whole() -> None:
    share = having(0, 1)
    told(share, {0: 3, 1: 10}, idle=[1])
    share.change([1, 2])
    assert now(share) == (Status.ACTIVE, 3), "the one that came holds until it reports"
    told(share, {2: 7})
    assert now(share) == (Status.ACTIVE, 7)


def test_a_partition_that_comes_back_holds_until_it_reports_also_behind_what_was_said() -> None:
    share = having(0, 1)
    told(share, {0: 5, 1: 5})
    share.change([1])
    told(share, {1: 9})
    share.change([0, 1])
    share.begin(0)
    told(share, {1: 30})
    assert now(share) == (Status.ACTIVE, 9)
    told(share, {0: 12})
    assert now(share) == (Status.ACTIVE, 12)


def test_the_program_is_told_active_of_one_that_comes_back_idle_and_no_watermark_below_the_last() -> None:
    share = having(0)
    assert share.begin(0) == []
    assert share.tell(0, Watermark(10)) + share.tell(0, TO_IDLE) == [Watermark(10), TO_IDLE]
    share.change([])
    share.change([0])
    assert share.begin(0) == [TO_ACTIVE]
    assert share.begin(0) == [], "once"
    assert share.tell(0, Watermark(3)) == []
    assert share.tell(0, Watermark(10)) == [Watermark(10)], "whoever gave its state away needs it again"
    assert share.tell(0, Watermark(11)) == [Watermark(11)]


def test_where_the_program_goes_back_by_itself_its_watermarks_come_again() -> None:
    share = having(0)
    told(share, {0: 10}, idle=[0])
    assert share.begin(0, gone_back=True) == [TO_ACTIVE]
    assert share.tell(0, Watermark(3)) == [Watermark(3)]
    assert share.watermark == 10, "what all come to does not go back"


def test_an_ended_partition_is_waited_for_no_longer_and_its_max_is_that_of_no_other() -> None:
    share = having(0, 1)
    told(share, {0: 4, 1: 6})
    assert share.tell(0, Watermark(MAX)) == [Watermark(MAX)]
    assert now(share) == (Status.ACTIVE, 6)
    share.tell(1, Watermark(MAX))
    assert now(share) == (Status.IDLE, 6)
    share.change([0, 1, 2])
    told(share, {2: 8})
    assert now(share) == (Status.ACTIVE, 8)
