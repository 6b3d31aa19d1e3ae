"""HTTP in its three bodies, against an endpoint on loopback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson
import pytest

from headgate.destinations.http.kind import Http
from headgate.testing import DestinationConformance, Seen
from tests.support.endpoint import OK, Answer, Endpoint, Got, cut, unshown

REFUSED = b'{"text": "refuse me"}'


def refusing(got: Got) -> Answer:
    return Answer(422, body=b"no such text") if b"refuse me" in got.body else OK


class OverHttp(DestinationConformance):
    kind = Http()
    order = "key"
    endpoint: Endpoint

    @pytest.fixture(autouse=True)
    def service(self) -> Iterator[None]:
        self.endpoint = Endpoint()
        self.endpoint.answer = refusing
        yield
        self.endpoint.close()

    def settings(self) -> Mapping[str, Any]:
        return {"url": self.endpoint.url, "path": "/events", "batch": {"records": 5}}

    def broken_settings(self) -> Mapping[str, Any]:
        return {"connection": "is_not_there"}

    def refused_value(self) -> bytes:
        return REFUSED

    def break_other_side(self) -> None:
        self.endpoint.answer = lambda _: Answer(then=cut)

    def heal_other_side(self) -> None:
        self.endpoint.answer = refusing


class TestArraysOfRecords(OverHttp):
    def read(self) -> Sequence[Seen]:
        return [
            Seen(
                unshown(each, "key"),
                unshown(each, "value"),
                [(header["name"], unshown(header, "value")) for header in each.get("headers", [])],
            )
            for each in self.endpoint.elements()
        ]


class TestLinesOfRecords(TestArraysOfRecords):
    def settings(self) -> Mapping[str, Any]:
        return {**super().settings(), "body": "json_lines"}

    def break_other_side(self) -> None:
        self.endpoint.answer = lambda _: Answer(503)


class TestArraysOfValues(OverHttp):
    carries_keys = carries_headers = False
    values = "json"

    def settings(self) -> Mapping[str, Any]:
        return {**super().settings(), "element": "value"}

    def read(self) -> Sequence[Seen]:
        return [Seen(None, None if each is None else orjson.dumps(each)) for each in self.endpoint.elements()]

    def as_read(self, value: bytes | None) -> Any:
        return None if value is None else orjson.loads(value)


class TestSingleValues(OverHttp):
    carries_headers = False

    def settings(self) -> Mapping[str, Any]:
        return {"url": self.endpoint.url, "body": "value", "method": "PUT"}

    def read(self) -> Sequence[Seen]:
        seen = []
        for got in list(self.endpoint.taken):
            key = got.headers.get("headgate-key")
            tombstone = got.headers.get("headgate-tombstone") == "true"
            seen.append(Seen(None if key is None else unquote_to_bytes(key), None if tombstone else got.body))
        return seen
