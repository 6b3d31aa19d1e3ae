"""Markers among a destination's records: where they go, who is told what later, and that a reader passes over them."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.adapters.memory.record import MemoryRecord
from headgate.ports.errors import LogUnavailable
from headgate.ports.log import TopicPartition
from headgate.worker.among_records import InBandTopics, MarkersAmong
from headgate.worker.in_band import LOOK_MS, InBand, why_not_in_band
from headgate_events.markers import in_band_record
from headgate_events.schema.config import StreamConfig
from tests.golden.samples import CONFIG, MARKER, STATE

PLACE = TopicPartition("flights", 0)


class Growing:
    """A log of which only the number of a topic's partitions is asked."""

    def __init__(self) -> None:
        self.count: int | None = 2

    def partitions(self, topic: str, timeout_s: float) -> int | None:
        if self.count is None:
            raise LogUnavailable("No broker answers.")
        return self.count


def data(offset: int) -> Any:
    return MemoryRecord("flights", 0, offset, b"key", b"{}", [("other", b"1")], (1, 5_000))


def marker(offset: int) -> Any:
    made = in_band_record("flights", 0, MARKER)
    return MemoryRecord("flights", 0, offset, made.key, made.value, made.headers, (1, 5_000))


def places(records: Any) -> list[int]:
    return [each.partition for each in records]


def test_a_marker_goes_to_every_partition_and_names_no_offsets_since_its_place_says_what_it_covers() -> None:
    records = InBand(Growing(), "departures").records([MARKER])  # type: ignore[arg-type]
    assert [(each.topic, each.partition, each.key) for each in records] == [
        ("departures", 0, b"m:departures/flights/1"),
        ("departures", 1, b"m:departures/flights/1"),
    ]
    assert b'"dest_offsets":null' in records[0].value


def test_new_partitions_are_seen_after_a_while_and_what_is_repeated_goes_to_them_alone_once() -> None:
    log = Growing()
    among = InBand(log, "departures")  # type: ignore[arg-type]
    again = {**MARKER, "marker": "HEARTBEAT"}
    assert not among.grown(1_000)
    log.count = 4
    assert not among.grown(1_000 + LOOK_MS - 1)
    assert among.grown(1_000 + LOOK_MS)
    assert places(among.records([MARKER, again])) == [0, 1, 2, 3, 2, 3]
    assert not among.grown(1_000 + 10 * LOOK_MS)
    assert places(among.records([again])) == []


def test_a_broker_that_does_not_answer_hinders_nothing_and_is_asked_again() -> None:
    log = Growing()
    among = InBand(log, "departures")  # type: ignore[arg-type]
    among.grown(0)
    log.count = None
    assert not among.grown(LOOK_MS)
    log.count = 3
    assert among.grown(2 * LOOK_MS)


@pytest.mark.parametrize(
    ("destination", "why"),
    [
        ({"kind": "kafka", "topic": "departures"}, None),
        ({"kind": "jsonl", "folder": "/data"}, "a Kafka topic only, and the destination is jsonl"),
        ({"kind": "kafka", "topic": "departures", "connection": "other"}, "the stream's own cluster only"),
    ],
)
def test_in_band_is_refused_where_the_destination_is_no_topic_of_the_streams_cluster(
    destination: dict[str, Any], why: str | None
) -> None:
    wanted = {**CONFIG, "destination": destination, "idleness": {**CONFIG["idleness"], "markers": "in_band"}}
    found = why_not_in_band(StreamConfig.model_validate(wanted))
    assert found is None if why is None else why in (found or "")
    beside = {**wanted, "idleness": {**CONFIG["idleness"], "markers": "side_topic"}}
    assert why_not_in_band(StreamConfig.model_validate(beside)) is None


def test_a_topic_may_hold_markers_from_the_first_state_that_says_so_on_also_when_the_stream_is_gone() -> None:
    topics = InBandTopics()
    source = {"kind": "kafka", "topic": "departures"}
    among = MarkersAmong(topics, source, always=False)
    topics.note(STATE)
    assert not among.expected
    in_band = {**CONFIG, "idleness": {**CONFIG["idleness"], "markers": "in_band"}}
    topics.note({**STATE, "status": "DELETED", "config": in_band})
    assert among.expected
    topics.note(STATE)
    assert among.expected
    assert not MarkersAmong(topics, {**source, "topic": "others"}, always=False).expected
    assert MarkersAmong(topics, {**source, "topic": "others"}, always=True).expected


def test_markers_are_left_out_and_the_position_behind_the_last_of_them_is_told() -> None:
    among = MarkersAmong(InBandTopics(), {}, always=True)
    kept, behind = among.without([data(3), marker(4), data(5), marker(6), marker(7)])
    assert [each.offset() for each in kept] == [3, 5]
    assert behind == {PLACE: 8}
    batch = [data(8), data(9)]
    assert among.without(batch) == (batch, {})
