"""Event time is found in the timestamp, a header or the value; what cannot be read is None and no error."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.core.idleness.event_time import EventTime, Unit, pointer_steps, reader_of
from headgate_events.idleness.signals import MAX, MIN

NOON = 1_359_720_000_000  # 2013-02-01T12:00:00Z


def test_the_timestamp_is_the_time_or_there_is_none() -> None:
    read = reader_of(EventTime())
    assert read(NOON, None, None) == NOON
    assert read(None, None, b"1") is None


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("at", b"1359720000000")], NOON),
        ([("at", b"1"), ("at", b"1359720000000")], NOON),
        ([("at", b"2013-02-01T12:00:00Z")], NOON),
        ([("at", b"2013-02-01T13:00:00+01:00")], NOON),
        ([("at", b"-5")], -5),
        ([("at", None)], None),
        ([("at", b"")], None),
        ([("at", b"\xff\xfe")], None),
        ([("at", b"9" * 65)], None),
        ([("at", b"1_000")], None),
        ([("At", b"1")], None),
        ([], None),
        (None, None),
    ],
)
def test_a_header_is_read(headers: list[tuple[str, bytes | None]] | None, expected: int | None) -> None:
    assert reader_of(EventTime("header", "at"))(7, headers, b"{}") == expected


@pytest.mark.parametrize(
    ("pointer", "value", "expected"),
    [
        ("/at", b'{"at": 1359720000000}', NOON),
        ("/at", b'{"at": "2013-02-01T12:00:00"}', NOON),
        ("/at", b'{"at": "2013-02-01"}', NOON - 43_200_000),
        ("/a~1b/~0/1", b'{"a/b": {"~": [0, 5]}}', 5),
        ("", b"5", 5),
        ("/", b'{"": 5}', 5),
        ("/0", b'{"0": 5}', 5),
        ("/01", b"[4, 5]", None),
        ("/-", b"[4, 5]", None),
        ("/2", b"[4, 5]", None),
        ("/at", b'{"at": true}', None),
        ("/at", b'{"at": null}', None),
        ("/at", b'{"at": "soon"}', None),
        ("/at", b'{"at": {}}', None),
        ("/at/x", b'{"at": "x"}', None),
        ("/at", b"{", None),
        ("/at", b"\xff", None),
        ("/at", b"", None),
        ("/at", None, None),
    ],
)
def test_a_place_in_the_value_is_read(pointer: str, value: bytes | None, expected: int | None) -> None:
    assert reader_of(EventTime("json_pointer", pointer))(7, None, value) == expected


@pytest.mark.parametrize(
    ("unit", "value", "expected"),
    [
        ("s", b"1359720000", NOON),
        ("s", b"1359720000.5", NOON + 500),
        ("us", b"1359720000000999", NOON),
        ("ns", b"1359720000000000000", NOON),
        ("ms", b"1.9", 1),
        ("us", b"-1", -1),
        ("s", b"18446744073709551615", MAX),
        ("s", b"-9223372036854775808", MIN),
        ("s", b"1e300", MAX),
        ("s", b'"999999999999999999999999"', MAX),
    ],
)
def test_units_are_turned_into_milliseconds_and_nothing_overflows(unit: Unit, value: bytes, expected: int) -> None:
    assert reader_of(EventTime("json_pointer", "", unit))(None, None, value) == expected


def test_a_place_that_cannot_be_one_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="needs the header's name"):
        reader_of(EventTime("header"))
    for pointer, problem in (("at", "does not begin"), ("/a~2", "neither")):
        with pytest.raises(ValueError, match=problem):
            pointer_steps(pointer)


def test_steps_of_a_pointer_are_unescaped_in_the_right_order() -> None:
    steps: Any = pointer_steps("/~01/a~1b")
    assert steps == ("~1", "a/b")
