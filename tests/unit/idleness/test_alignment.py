"""Markers among the records of a destination: who holds, who ends, and whose word counts."""

from __future__ import annotations

from typing import Any

from headgate_events.idleness.alignment import Alignment
from headgate_events.idleness.signals import MAX, MIN, Edge, Status, Watermark
from headgate_events.markers import ChannelId
from tests.support.markers import CHANNEL, SECOND, Placed, aligned, marker

IDLE, ACTIVE = Edge(Status.IDLE), Edge(Status.ACTIVE)
OF_B = ChannelId("b", "source", 0)


def test_idle_shows_after_the_records_before_it_and_active_before_those_after_it() -> None:
    one = aligned("a")
    one.take(marker("IDLE", 2, watermark=7))
    one.take(marker("ACTIVE", None))
    first, second, third = Placed(0), Placed(1), Placed(2)
    assert one.release(0, [first, second, third], 3) == [first, second, Watermark(7), IDLE, ACTIVE, third]


def test_idle_waits_for_what_it_covers_be_it_records_or_the_marks_of_transactions() -> None:
    one = aligned("a")
    one.take(marker("IDLE", 3))
    assert one.release(0, [Placed(0), Placed(1)], 2) == [Placed(0), Placed(1)]
    assert one.release(0, [], 3) == [IDLE]


def test_a_stream_of_which_nothing_was_heard_or_whose_channels_are_not_known_holds() -> None:
    one = aligned("a")
    one.expect("b", 1, None)
    one.take(marker("IDLE", 0))
    assert one.release(0, [], 0) == []
    one.expect("b", 1, [OF_B])
    assert one.release(0, [], 0) == []
    one.take(marker("IDLE", 0, stream="b"))
    assert one.release(0, [], 0) == [IDLE]


def test_neither_a_marker_without_a_place_nor_a_former_owner_makes_idle() -> None:
    one = aligned("a")
    one.take(marker("ACTIVE", None, claim=2))
    one.take(marker("IDLE", 0, claim=1))
    one.take(marker("IDLE", None, claim=2))
    one.take(marker("IDLE", {}, claim=2))
    assert one.release(0, [], 9) == []
    assert (one.status(0), one.unplaced) == (Status.ACTIVE, 2)


def test_a_new_owner_counts_as_active_unless_its_first_word_is_idle() -> None:
    one = aligned("a")
    one.take(marker("IDLE", 0, claim=1))
    assert one.release(0, [], 0) == [IDLE]
    one.take(marker("IDLE", 0, claim=2))
    assert one.release(0, [], 0) == []
    one.take(marker("ACTIVE", None, claim=3))
    assert one.release(0, [], 0) == [ACTIVE]


def test_a_later_source_partition_holds_until_it_reports() -> None:
    one = aligned("a")
    one.take(marker("ACTIVE", 0, watermark=5))
    assert one.release(0, [], 0) == [Watermark(5)]
    one.expect("a", 1, [CHANNEL, SECOND])
    one.take(marker("ACTIVE", 1, watermark=9))
    assert one.release(0, [Placed(0)], 1) == [Placed(0)]
    one.take(marker("ACTIVE", 1, watermark=7, partition=1))
    assert one.release(0, [], 1) == [Watermark(7)]


def test_a_later_source_partition_makes_an_idle_output_active() -> None:
    one = aligned("a")
    one.take(marker("IDLE", 0))
    assert one.release(0, [], 0) == [IDLE]
    one.expect("a", 1, [CHANNEL, SECOND])
    assert one.release(0, [], 0) == [ACTIVE]


def test_a_deleted_stream_ends_where_the_last_of_its_records_is_passed_and_takes_its_watermark_along() -> None:
    one = aligned("a", "b")
    one.take(marker("ACTIVE", 0, watermark=3))
    one.take(marker("ACTIVE", 0, watermark=8, stream="b"))
    assert one.release(0, [], 0) == [Watermark(3)]
    one.end("a", {0: 2})
    assert one.release(0, [Placed(0)], 1) == [Placed(0)]
    assert one.release(0, [Placed(1), Placed(2)], 3) == [Placed(1), Watermark(8), Placed(2)]
    assert list(one.streams) == ["b"]


def test_when_only_idle_channels_are_left_after_a_deletion_the_output_is_idle() -> None:
    one = aligned("a", "b")
    one.take(marker("IDLE", 0, stream="b"))
    assert one.release(0, [], 0) == []
    one.end("a", {0: 0})
    assert one.release(0, [], 0) == [IDLE]
    assert one.watermark(0) == MIN


def test_a_stream_that_is_created_again_holds_whatever_its_namesake_said() -> None:
    one = aligned("a")
    one.take(marker("IDLE", 0))
    assert one.release(0, [], 0) == [IDLE]
    one.end("a", {0: 4})
    one.expect("a", 2, [CHANNEL])
    assert one.release(0, [], 0) == [ACTIVE]
    one.take(marker("IDLE", 0))
    one.take(marker("IDLE", 3, incarnation=2))
    assert one.release(0, [Placed(0)], 2) == [Placed(0)]
    assert one.release(0, [], 4) == [IDLE]
    assert one.release(0, [], 9) == [], "the end of the namesake ends nothing of the new stream"


def test_what_a_new_stream_said_before_it_was_known_here_counts_once_it_is() -> None:
    one = aligned("a")
    one.take(marker("IDLE", 0, incarnation=2))
    one.end("a", {0: 0})
    one.expect("a", 2, [CHANNEL])
    one.take(marker("IDLE", 0, stream="b"))
    assert one.release(0, [], 0) == [IDLE]
    one.expect("b", 1, [OF_B])
    assert one.release(0, [], 0) == [ACTIVE, IDLE]


def test_channels_of_a_source_that_a_stream_no_longer_reads_end_and_come_back() -> None:
    one = aligned("a")
    elsewhere = ChannelId("a", "other", 0)
    one.expect("a", 1, [elsewhere])
    assert set(one.channels("a")) == {CHANNEL, elsewhere}, "without an end nothing ends"
    one.expect("a", 1, [elsewhere], {0: 2})
    assert set(one.channels("a")) == {elsewhere}
    one.expect("a", 1, [CHANNEL], {0: 2})
    one.take(marker("IDLE", 2))
    assert one.release(0, [], 2) == [IDLE]
    one.expect("a", 1, [elsewhere], {0: 2})
    assert one.release(0, [], 2) == [ACTIVE]
    one.expect("a", 1, [CHANNEL], {0: 2})
    assert one.release(0, [], 2) == [], "it holds again until it is heard of"


def test_a_held_channel_is_active_whatever_it_says_until_it_is_let_go() -> None:
    one = aligned("a")
    one.take(marker("IDLE", 0))
    assert one.release(0, [], 0) == [IDLE]
    one.hold([CHANNEL])
    assert one.release(0, [], 0) == [ACTIVE]
    one.take(marker("IDLE", 0, claim=2))
    one.confirm(CHANNEL, 2, 1)
    assert one.release(0, [], 0) == []
    one.hold([])
    assert one.release(0, [], 0) == []
    one.take(marker("IDLE", 0, claim=3))
    assert one.release(0, [], 0) == [IDLE]


def test_a_channel_that_is_let_go_is_idle_again_when_the_same_owner_shows_that_it_is_so_still() -> None:
    one = aligned("a")
    one.take(marker("IDLE", 0, claim=2))
    one.release(0, [], 0)
    one.hold([CHANNEL])
    one.hold([])
    one.confirm(CHANNEL, 3, 1)
    assert one.release(0, [], 0) == [ACTIVE], "its heir has not spoken yet"
    one.confirm(CHANNEL, 2, 1)
    assert one.release(0, [], 0) == [IDLE]


def test_what_was_said_in_an_earlier_run_is_not_confirmed() -> None:
    one = aligned("a")
    one.take(marker("IDLE", 0, claim=2))
    one.release(0, [], 0)
    one.hold([CHANNEL])
    one.hold([])
    one.confirm(CHANNEL, 2, 9)
    assert one.release(0, [], 0) == [ACTIVE], "it stood still since, and has not looked at its source yet"


def test_a_held_channel_that_said_active_meanwhile_stays_so() -> None:
    one = aligned("a")
    one.take(marker("IDLE", 0))
    one.hold([CHANNEL])
    one.take(marker("ACTIVE", None))
    assert one.release(0, [], 0) == []
    one.hold([])
    assert one.release(0, [], 0) == []


def test_one_finished_and_the_others_idle_is_never_max_and_the_last_finish_is() -> None:
    one = aligned("a", "b")
    one.take(marker("ACTIVE", 0, watermark=4))
    one.take(marker("FINISHED", 1, watermark=MAX, stream="b", kind="FINISH"))
    one.take(marker("IDLE", 1, watermark=4))
    assert one.release(0, [Placed(0)], 1) == [Placed(0), Watermark(4), IDLE]
    one.take(marker("FINISHED", 1, kind="FINISH"))
    assert one.release(0, [], 1) == [ACTIVE, Watermark(MAX)]
    assert one.status(0) is Status.FINISHED


def test_holding_a_finished_channel_does_not_bring_it_back() -> None:
    one = aligned("a", "b")
    one.take(marker("FINISHED", 0, kind="FINISH"))
    one.take(marker("IDLE", 0, stream="b"))
    one.hold([CHANNEL])
    assert one.release(0, [], 0) == [IDLE]


def test_each_partition_of_the_destination_is_at_its_own_place() -> None:
    one = aligned("a")
    one.begin(1, 0)
    one.take(marker("IDLE", {"0": 2, "1": 5}))
    assert one.release(0, [], 2) == [IDLE]
    assert one.release(1, [], 4) == []
    assert one.release(1, [], 5) == [IDLE]


def test_a_partition_that_was_created_after_a_marker_held_nothing_of_its_channel() -> None:
    one = aligned("a")
    one.take(marker("IDLE", {"0": 2}, watermark=6))
    one.begin(1, 0)
    assert one.release(1, [], 0) == [Watermark(6), IDLE]
    assert one.release(0, [], 1) == []


def test_who_begins_late_needs_the_newest_marker_of_each_channel_only_and_waits_for_its_end() -> None:
    one = aligned("a")
    one.take(marker("ACTIVE", 3, watermark=10))
    one.take(marker("ACTIVE", 6, watermark=20))
    one.begin(0, 4)
    assert one.release(0, [Placed(4)], 5) == [Placed(4)]
    assert one.release(0, [Placed(5)], 6) == [Placed(5), Watermark(20)]
    one.forget(0)
    assert not one.partitions


def test_a_marker_among_the_records_takes_effect_there_and_its_repetition_on_the_markers_topic_does_not() -> None:
    one = aligned("a")
    found: list[Any] = one.release(
        0,
        [Placed(0), Placed(1), Placed(2), Placed(3)],
        4,
        {1: marker("IDLE", None, seq=5), 2: marker("ACTIVE", None, seq=6)},
    )
    assert found == [Placed(0), IDLE, ACTIVE, Placed(3)]
    one.take(marker("IDLE", 1, seq=5))
    assert one.release(0, [], 4) == []


def test_markers_for_another_destination_and_claims_are_not_taken() -> None:
    one: Alignment[Placed] = Alignment("u")
    one.expect("a", 1, [CHANNEL])
    one.begin(0, 0)
    one.take(marker("IDLE", 0))
    assert one.release(0, [], 0) == []
    assert (one.unplaced, one.reached(0)) == (1, 0)


def test_of_a_channels_past_only_its_last_word_and_how_far_it_had_come_count_where_reading_begins() -> None:
    one = aligned("a", position=5)
    one.take(marker("IDLE", 2, watermark=7))
    one.take(marker("ACTIVE", None))
    one.take(marker("IDLE", 6))
    assert one.release(0, [Placed(5)], 6) == [Watermark(7), Placed(5), IDLE]


def test_an_idle_of_the_past_lets_no_event_time_pass_its_channel_where_reading_begins() -> None:
    one = aligned("a", "b", position=5)
    one.take(marker("ACTIVE", 3, watermark=50))
    for status, watermark in (("ACTIVE", 3), ("IDLE", 4), ("ACTIVE", 5)):
        one.take(marker(status, 4, watermark=watermark, stream="b"))
    assert one.release(0, [], 5) == [Watermark(5)], "neither IDLE nor 50, which b has not come to"


def test_a_stream_that_is_known_later_holds_whatever_its_past_was() -> None:
    one = aligned("a")
    one.take(marker("ACTIVE", 0, watermark=50))
    assert one.release(0, [Placed(0)], 1) == [Watermark(50), Placed(0)]
    one.expect("b", 1, [OF_B])
    for status, watermark in (("IDLE", 4), ("ACTIVE", 5)):
        one.take(marker(status, 1, watermark=watermark, stream="b"))
    one.take(marker("ACTIVE", 1, watermark=90, seq=1))
    assert one.release(0, [], 1) == [], "b is at 5 and is waited for"
