"""What the markers say, folded: channels, streams through the valve, and edges that alternate."""

from __future__ import annotations

from typing import Any

from headgate.adapters.memory.record import MemoryRecord
from headgate_events.client.channels import ActivityEdge, ActivityTable, AlternatingEdges
from headgate_events.idleness.signals import MAX, Status
from headgate_events.markers import (
    ChannelId,
    claim_key,
    decode_marker,
    in_band_record,
    is_in_band,
    marker_record,
    status_key,
)

ACTIVE, IDLE, FINISHED = Status.ACTIVE, Status.IDLE, Status.FINISHED
CHANNEL = ChannelId("departures", "flights", 1)


def marker(partition: int, status: str | None, claim: int = 1, watermark: int | None = None, **more: Any) -> Any:
    payload = {
        "kind": "marker",
        "marker": "STATUS",
        "stream": "departures",
        "channel": {"topic": "flights", "partition": partition},
        "status": status,
        "watermark": watermark,
        "incarnation": 40,
        "epoch": 4,
        "claim": claim,
        "worker": "worker-1",
        "emitted_at_ms": 1_000,
        **more,
    }
    record = marker_record("headgate.markers", 8, payload)
    return MemoryRecord(record.topic, record.partition, 0, record.key, record.value, record.headers, (1, 1_000))


def told(table: ActivityTable, *records: Any) -> list[tuple[int | None, Status]]:
    edges: list[ActivityEdge] = [edge for record in records for edge in table.apply(record)]
    return [(None if edge.channel is None else edge.channel.partition, edge.status) for edge in edges]


def test_a_stream_is_idle_when_the_last_of_its_channels_is_and_active_with_the_first_that_returns() -> None:
    table = ActivityTable()
    told(table, marker(0, "ACTIVE", watermark=5), marker(1, "ACTIVE", watermark=9))
    assert (table.status("departures"), table.watermark("departures")) == (ACTIVE, 5)
    assert told(table, marker(0, "IDLE", watermark=5)) == [(0, IDLE)]
    assert told(table, marker(1, "IDLE", watermark=9)) == [(1, IDLE), (None, IDLE)]
    assert table.watermark("departures") == 9
    assert told(table, marker(0, "ACTIVE", watermark=5)) == [(0, ACTIVE), (None, ACTIVE)]


def test_what_is_said_twice_is_no_edge() -> None:
    table = ActivityTable()
    told(table, marker(0, "IDLE"))
    assert told(table, marker(0, "IDLE"), marker(0, "IDLE")) == []


def test_a_zombie_that_wakes_and_says_idle_is_not_heard() -> None:
    table = ActivityTable()
    told(table, marker(0, "ACTIVE", claim=8))
    assert told(table, marker(0, "IDLE", claim=3)) == []
    assert table.status("departures") is ACTIVE


def test_a_claim_alone_changes_nothing_for_a_late_one_may_be_a_former_owners() -> None:
    table = ActivityTable()
    told(table, marker(0, "IDLE", claim=3))
    assert told(table, marker(0, None, claim=None, marker="CLAIM")) == []
    assert table.status("departures") is IDLE


def test_a_stream_that_was_created_again_begins_anew() -> None:
    table = ActivityTable()
    told(table, marker(0, "IDLE", watermark=99), marker(1, "ACTIVE"))
    told(table, marker(0, "ACTIVE", incarnation=41))
    assert [each.channel.partition for each in table.channels("departures")] == [0]
    assert table.watermark("departures") is None
    assert told(table, marker(1, "IDLE", incarnation=40)) == []


def test_a_damaged_marker_and_a_tombstone_are_passed_over() -> None:
    table = ActivityTable()
    whole = marker(0, "IDLE")
    broken = MemoryRecord("headgate.markers", 0, 0, b"k", b"{", whole.headers(), (1, 0))
    gone = MemoryRecord("headgate.markers", 0, 0, b"k", None, None, (1, 0))
    assert told(table, broken, gone) == []


def test_status_and_claim_have_keys_of_their_own_in_one_partition() -> None:
    assert status_key(CHANNEL) == "departures/flights/1"
    assert claim_key(CHANNEL) == "departures/flights/1/claim"
    assert len({marker(partition, "IDLE").partition() for partition in range(20)}) == 1


def test_a_marker_among_records_says_in_a_header_what_it_is() -> None:
    payload = {
        "marker": "STATUS",
        "stream": "departures",
        "channel": {"topic": "flights", "partition": 1},
        "incarnation": 40,
        "epoch": 4,
        "claim": 1,
        "worker": "worker-1",
        "emitted_at_ms": 1_000,
    }
    made = in_band_record("departures", 2, payload)
    record = MemoryRecord(made.topic, made.partition, 0, made.key, made.value, made.headers, (1, 0))
    assert (made.partition, made.key) == (2, b"m:departures/flights/1")
    assert is_in_band(record)
    assert not is_in_band(marker(0, "IDLE"))


def finish(partition: int, claim: int = 1, **more: Any) -> Any:
    return marker(partition, "FINISHED", claim, MAX, marker="FINISH", **more)


def test_one_finished_and_the_others_idle_is_idle_and_never_the_end_of_event_time_flink_38477() -> None:
    table = ActivityTable()
    told(table, marker(0, "ACTIVE", watermark=5, channels_total=3), marker(1, "ACTIVE", watermark=9))
    told(table, marker(2, "ACTIVE", watermark=7), marker(1, "IDLE", watermark=9), marker(2, "IDLE", watermark=7))
    assert told(table, finish(0)) == [(0, FINISHED), (None, IDLE)]
    assert (table.status("departures"), table.watermark("departures")) == (IDLE, 9)


def test_a_late_joiner_that_reads_the_finished_one_first_takes_it_for_the_end_neither() -> None:
    table = ActivityTable()
    told(table, finish(0, channels_total=2))
    assert (table.status("departures"), table.watermark("departures")) == (ACTIVE, None)
    told(table, marker(1, "IDLE", watermark=9, channels_total=2))
    assert (table.status("departures"), table.watermark("departures")) == (IDLE, 9)


def test_the_last_one_to_finish_ends_the_stream_with_active_before_where_it_was_idle() -> None:
    table = ActivityTable()
    told(table, marker(0, "IDLE", channels_total=2), marker(1, "IDLE", channels_total=2))
    assert told(table, finish(0)) == [(0, FINISHED)]
    assert told(table, finish(1)) == [(1, FINISHED), (None, ACTIVE), (None, FINISHED)]
    assert (table.status("departures"), table.watermark("departures")) == (FINISHED, MAX)
    assert told(table, finish(1, claim=2), finish(0, claim=2)) == []


def test_a_stream_whose_end_was_moved_after_it_had_ended_is_active_again() -> None:
    table = ActivityTable()
    told(table, finish(0, channels_total=2), finish(1, channels_total=2))
    assert told(table, marker(0, "ACTIVE", claim=1)) == [(0, ACTIVE)]  # under the token that had ended it
    told(table, finish(0))
    assert told(table, marker(0, "ACTIVE", claim=2, watermark=4)) == [(0, ACTIVE), (None, ACTIVE)]
    assert (table.status("departures"), table.watermark("departures")) == (ACTIVE, 4)


def test_channels_of_which_nothing_was_said_yet_keep_a_stream_active() -> None:
    table = ActivityTable()
    assert told(table, marker(0, "IDLE", watermark=5, channels_total=2)) == [(0, IDLE)]
    assert (table.status("departures"), table.watermark("departures")) == (ACTIVE, None)
    assert told(table, marker(1, "IDLE", watermark=3, channels_total=2)) == [(1, IDLE), (None, IDLE)]
    assert table.watermark("departures") == 5
    assert [each.channel.partition for each in table.channels("departures")] == [0, 1]


def test_a_source_that_gets_another_partition_is_active_until_something_is_known_of_it() -> None:
    table = ActivityTable()
    told(table, marker(0, "IDLE", channels_total=1))
    assert told(table, marker(0, "IDLE", channels_total=2)) == [(None, ACTIVE)]
    assert told(table, marker(1, "IDLE", channels_total=2)) == [(1, IDLE), (None, IDLE)]


def test_a_stream_says_for_itself_whether_all_idle_takes_the_largest_watermark_and_may_change_that() -> None:
    wants = {"flush_on_all_idle": "none"}
    ours, by_hand = ActivityTable(), ActivityTable(flush_on_all_idle=True)
    for table in (ours, by_hand):
        told(table, marker(0, "ACTIVE", watermark=5, **wants), marker(1, "ACTIVE", watermark=9, **wants))
        told(table, marker(1, "IDLE", watermark=9, **wants), marker(0, "IDLE", watermark=5, **wants))
    assert (ours.watermark("departures"), by_hand.watermark("departures")) == (5, 9)
    told(ours, marker(0, "ACTIVE", watermark=6), marker(0, "IDLE", watermark=6))
    assert ours.watermark("departures") == 9


def test_edges_alternate_across_new_owners_and_across_a_stream_that_is_created_again() -> None:
    table = ActivityTable()
    assert told(table, marker(0, "IDLE", claim=1)) == [(0, IDLE), (None, IDLE)]
    assert told(table, marker(0, "IDLE", claim=2)) == []
    assert told(table, marker(0, "IDLE", incarnation=41)) == [(None, ACTIVE), (None, IDLE)]
    assert told(table, marker(0, "ACTIVE", incarnation=41)) == [(0, ACTIVE), (None, ACTIVE)]
    assert told(table, marker(0, "ACTIVE", incarnation=42)) == []
    assert table.status("departures") is ACTIVE


def test_the_past_leaves_out_what_a_new_owner_says_again_and_a_former_one_says_late() -> None:
    alternating = AlternatingEdges()
    past = [marker(0, "IDLE", 1), marker(0, "IDLE", 2), marker(0, "ACTIVE", 2), marker(0, "IDLE", 1), marker(1, "IDLE")]
    shown = [found for each in past if (found := decode_marker(each)) is not None and alternating.passes(found)]
    assert [(each.channel.partition, each.status, each.claim) for each in shown] == [
        (0, "IDLE", 1),
        (0, "ACTIVE", 2),
        (1, "IDLE", 1),
    ]
