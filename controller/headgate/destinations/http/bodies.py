"""Requests made of records: a body, a content type, and the key by which a repeated request can be told.

The idempotency key names the group of the stream and the records by topic, partition and offset, so a request that is
made again with the same records has the same key. A batch is named by its first and last record: it has the same key
again only when it is cut alike, so who gets batches tells records apart by what stands in each of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote

import orjson

from headgate.destinations.http.settings import HttpDestinationSettings
from headgate.destinations.shown import shown
from headgate.ports.destination import Output, RecordRefused

TYPES: Final = {
    "json_array": "application/json",
    "json_lines": "application/x-ndjson",
    "value": "application/octet-stream",
}


class Part(NamedTuple):
    """One output, encoded. `nth` tells the outputs of one record apart (0 is the first)."""

    output: Output
    data: bytes
    nth: int


class Request(NamedTuple):
    """What is sent of one or several outputs."""

    body: bytes
    headers: Mapping[str, str]


class Bodies:
    """Makes requests by a stream's settings."""

    def __init__(self, settings: HttpDestinationSettings, group: str) -> None:
        self._settings = settings
        self._group = group
        self.batched = settings.body != "value"
        self._type = settings.content_type or TYPES[settings.body]

    def part(self, output: Output, nth: int) -> Part:
        """Encode one output. Raises RecordRefused when it should be JSON and is not."""
        if not self.batched:
            return Part(output, output.value or b"", nth)
        if self._settings.element == "record":
            return Part(output, orjson.dumps(shown(output)), nth)
        if output.value is None:
            return Part(output, b"null", nth)
        try:
            return Part(output, orjson.dumps(orjson.loads(output.value)), nth)
        except orjson.JSONDecodeError:
            raise RecordRefused(
                "A value is not JSON, and `element: value` sends JSON.",
                origin=output.origin,
                code="record.not_json",
                hint="Set element: record, or body: value.",
            ) from None

    def request(self, parts: Sequence[Part]) -> Request:
        """Make the request for parts of one source partition, in their order."""
        headers = {"Content-Type": self._type, "Idempotency-Key": self._key(parts)}
        if self._settings.body == "json_array":
            return Request(b"[" + b",".join(part.data for part in parts) + b"]", headers)
        if self._settings.body == "json_lines":
            return Request(b"".join(part.data + b"\n" for part in parts), headers)
        (part,) = parts
        return Request(part.data, headers | _about(part.output))

    def _key(self, parts: Sequence[Part]) -> str:
        first, last = parts[0], parts[-1]
        origin = first.output.origin
        named = _place(first) if len(parts) == 1 else f"{_place(first)}-{_place(last)}"
        return f"{self._group}:{origin.topic()}:{origin.partition()}:{named}"


def _place(part: Part) -> str:
    offset = part.output.origin.offset()
    return f"{offset}.{part.nth}" if part.nth else f"{offset}"


def _about(output: Output) -> dict[str, str]:
    """Return what a body of a bare value does not say, as headers; the key is percent-encoded."""
    origin = output.origin
    about = {
        "Headgate-Topic": str(origin.topic()),
        "Headgate-Partition": str(origin.partition()),
        "Headgate-Offset": str(origin.offset()),
        "Headgate-Timestamp-Ms": str(output.timestamp_ms),
    }
    if output.key is not None:
        about["Headgate-Key"] = quote(output.key, safe="")
    if output.value is None:
        about["Headgate-Tombstone"] = "true"
    return about
