"""Markers on the wire: keys, headers and places, for whoever writes them and whoever reads them.

The markers topic is compacted, and each channel has two keys on it: the newest status and watermark together, and the
newest claim. They are apart because compaction keeps one record a key: a claim must not push the status of a channel
out, which is what a late joiner starts from, nor may a status push out the claim. Both are placed by their stream's
name and not by their key, so that everything about one stream stands in order in one partition.

Every status or watermark record tells the whole of its channel, so the last one alone is enough.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import orjson
from pydantic import ValidationError

from headgate_events.codec import MARKER_TYPE, encode, read
from headgate_events.envelope import Envelope, from_headers, header, rfc3339, to_headers
from headgate_events.partitioner import partition_of
from headgate_events.records import Payload, Record
from headgate_events.schema.workers import Marker

IN_BAND_HEADER: Final = "headgate_marker"
"""Stands on a marker among a destination's own records, so that a foreign reader can pass over it cheaply."""
IN_BAND_KEY_PREFIX: Final = "m:"
_CLAIM: Final = "/claim"

Headers = list[tuple[str, bytes]]


class ChannelId(NamedTuple):
    """One channel: a stream, and one partition of its source. The unit of status and watermarks."""

    stream: str
    topic: str
    partition: int


class MarkerRecord(NamedTuple):
    """A marker as it goes to Kafka; `partition` is the one where its stream stands."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers
    partition: int
    timestamp_ms: int


def channel_of(marker: Marker) -> ChannelId:
    """Return the channel that a marker speaks of."""
    return ChannelId(marker.stream, marker.channel.topic, marker.channel.partition)


def status_key(channel: ChannelId) -> str:
    """Name the record that holds a channel's newest status and watermark: `departures/flights/1`."""
    return f"{channel.stream}/{channel.topic}/{channel.partition}"


def claim_key(channel: ChannelId) -> str:
    """Name the record that holds a channel's newest claim: `departures/flights/1/claim`."""
    return status_key(channel) + _CLAIM


def stream_of(key: bytes) -> str:
    """Return the stream of a record of the markers topic, by its key."""
    return key.partition(b"/")[0].decode(errors="replace")


def is_claim(key: bytes) -> bool:
    """Say whether a key of the markers topic is that of a claim."""
    return key.endswith(_CLAIM.encode())


def marker_headers(payload: Payload) -> Headers:
    """Return the headers of a marker. Its id derives from channel, token and number: said twice, it is the same."""
    channel = payload["channel"]
    token = f"{payload['incarnation']}-{payload['epoch']}-{payload.get('claim')}-{payload.get('seq', 0)}"
    return to_headers(
        Envelope(
            type=MARKER_TYPE,
            id=f"{payload['marker'].lower()}-{channel['partition']}-{token}",
            source=f"headgate/worker/{payload['worker']}",
            subject=payload["stream"],
            time=rfc3339(payload["emitted_at_ms"]),
        )
    )


def marker_record(topic: str, partitions: int, payload: Payload) -> MarkerRecord:
    """Make the record of a marker for the markers or edges topic, which has `partitions` partitions."""
    channel = payload["channel"]
    one = ChannelId(payload["stream"], channel["topic"], channel["partition"])
    key = claim_key(one) if payload["marker"] == "CLAIM" else status_key(one)
    return MarkerRecord(
        topic=topic,
        key=key.encode(),
        value=encode(payload),
        headers=marker_headers(payload),
        partition=partition_of(one.stream, partitions),
        timestamp_ms=payload["emitted_at_ms"],
    )


def in_band_record(topic: str, partition: int, payload: Payload) -> MarkerRecord:
    """Make a marker that goes among the records of a destination partition, with a header that says what it is.

    It has a key, because a compacted topic refuses records without one.
    """
    beside: Payload = {**payload, "dest_offsets": None}
    channel = payload["channel"]
    one = ChannelId(payload["stream"], channel["topic"], channel["partition"])
    headers = [*marker_headers(beside), (IN_BAND_HEADER, b"1")]
    key = (IN_BAND_KEY_PREFIX + status_key(one)).encode()
    return MarkerRecord(topic, key, encode(beside), headers, partition, payload["emitted_at_ms"])


def is_in_band(record: Record) -> bool:
    """Say whether a record of a destination is a marker of ours."""
    return header(record.headers(), IN_BAND_HEADER) is not None


def decode_marker(record: Record) -> Marker | None:
    """Read a marker; None for a tombstone, a type that is not known here, or one that is damaged.

    A damaged marker is passed over as if it had not been sent: the next one of its channel repeats the whole.
    """
    value: Any = record.value()
    if value is None or from_headers(record.headers()).type != MARKER_TYPE:
        return None
    try:
        found: Marker = read("marker", orjson.loads(value))
    except (orjson.JSONDecodeError, ValidationError):
        return None
    return found
