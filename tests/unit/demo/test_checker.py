"""The demo's own judge: whatever is wrong in the destination is named for what it is, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from headgate.demo.checker import Arrival, Bounds, Verdict, check_destination
from headgate.demo.flights import AIRPORTS, Flight, by_airport, load_flights

OLD, NEW = 15, 30
CHANGED_AT = 40
SAMPLE = 120
KINDS = ("missing", "repeated", "foreign", "misordered", "wrong", "wrong_setting")


@pytest.fixture(scope="module")
def departures() -> list[list[Flight]]:
    return [airport[:SAMPLE] for airport in by_airport(load_flights()[:2_000])]


def arrival(flight: Flight, threshold: int, offset: int = 0) -> Arrival:
    value = orjson.dumps(flight.expected(threshold))
    return Arrival(flight.partition, offset, flight.key, value, flight.timestamp_ms)


@pytest.fixture
def arrivals(departures: list[list[Flight]]) -> list[Arrival]:
    return [
        arrival(flight, OLD if at < CHANGED_AT else NEW, at)
        for airport in departures
        for at, flight in enumerate(airport)
    ]


def found(verdict: Verdict) -> dict[str, int]:
    counts = {kind: getattr(verdict, kind).count for kind in KINDS}
    return {kind: count for kind, count in counts.items() if count}


def said(arrived: Arrival, **changed: object) -> Arrival:
    assert arrived.value is not None
    return replace(arrived, value=orjson.dumps({**orjson.loads(arrived.value), **changed}))


def test_a_whole_month_in_order_has_no_findings(departures: list[list[Flight]], arrivals: list[Arrival]) -> None:
    verdict = check_destination(departures, arrivals, (OLD, NEW))
    assert found(verdict) == {}
    assert verdict.arrived == SAMPLE * len(AIRPORTS)
    assert verdict.by_setting == [{OLD: CHANGED_AT, NEW: SAMPLE - CHANGED_AT}] * len(AIRPORTS)


def test_the_order_between_airports_does_not_matter(departures: list[list[Flight]], arrivals: list[Arrival]) -> None:
    interleaved = [each for at in range(SAMPLE) for each in arrivals[at::SAMPLE]]
    assert found(check_destination(departures, interleaved, (OLD, NEW))) == {}


def test_an_empty_destination_misses_everything(departures: list[list[Flight]]) -> None:
    assert found(check_destination(departures, [], (OLD, NEW))) == {"missing": SAMPLE * len(AIRPORTS)}


@pytest.mark.parametrize(
    ("kind", "plant"),
    [
        ("missing", lambda found: [*found[:10], *found[11:]]),
        ("missing", lambda found: found[:-1]),
        ("repeated", lambda found: [*found[:11], found[10], *found[11:]]),
        ("repeated", lambda found: [*found, found[0]]),
        ("misordered", lambda found: [*found[:10], found[11], found[10], *found[12:]]),
        ("foreign", lambda found: [*found, Arrival(0, 999, b"EWR", b'{"flight": "XX 1"}', 0)]),
        ("foreign", lambda found: [*found, Arrival(0, 999, b"EWR", b"not JSON", 0)]),
        ("foreign", lambda found: [*found, Arrival(0, 999, b"EWR", b"[1]", 0)]),
        ("foreign", lambda found: [*found, Arrival(0, 999, None, None, 0)]),
        ("wrong", lambda found: [said(found[0], **{"class": "punctual"}), *found[1:]]),
        ("wrong", lambda found: [said(found[0], delay_min=-999), *found[1:]]),
        ("wrong", lambda found: [said(found[0], surplus=1), *found[1:]]),
        ("wrong", lambda found: [said(found[0], late_after_min=20), *found[1:]]),
        ("wrong", lambda found: [said(found[0], late_after_min=True), *found[1:]]),
        ("wrong", lambda found: [replace(found[0], key=b"JFK"), *found[1:]]),
        ("wrong", lambda found: [replace(found[0], timestamp_ms=0), *found[1:]]),
    ],
)
def test_one_planted_fault_is_one_finding_of_its_kind(
    departures: list[list[Flight]],
    arrivals: list[Arrival],
    kind: str,
    plant: Callable[[list[Arrival]], list[Arrival]],
) -> None:
    verdict = check_destination(departures, plant(arrivals), (OLD, NEW))
    assert found(verdict) == {kind: 1}
    assert getattr(verdict, kind).examples[0]


def test_a_departure_in_another_airports_partition_is_out_of_place_and_missing_at_home(
    departures: list[list[Flight]], arrivals: list[Arrival]
) -> None:
    verdict = check_destination(departures, [replace(arrivals[0], partition=1), *arrivals[1:]], (OLD, NEW))
    assert found(verdict) == {"missing": 1, "foreign": 1}


def test_there_is_no_way_back_to_the_old_setting(departures: list[list[Flight]], arrivals: list[Arrival]) -> None:
    back = arrival(departures[0][CHANGED_AT + 5], OLD)
    verdict = check_destination(
        departures, [*arrivals[: CHANGED_AT + 5], back, *arrivals[CHANGED_AT + 6 :]], (OLD, NEW)
    )
    assert found(verdict) == {"wrong_setting": 1}


@pytest.mark.parametrize(
    ("bounds", "findings"),
    [
        (Bounds(CHANGED_AT, CHANGED_AT), 0),
        (Bounds(0, SAMPLE), 0),
        (Bounds(CHANGED_AT + 3, SAMPLE), 3),
        (Bounds(0, CHANGED_AT - 2), 2),
    ],
)
def test_the_new_setting_begins_within_the_bounds_of_its_change(
    departures: list[list[Flight]], arrivals: list[Arrival], bounds: Bounds, findings: int
) -> None:
    verdict = check_destination(departures, arrivals, (OLD, NEW), [bounds] * len(AIRPORTS))
    assert verdict.wrong_setting.count == findings * len(AIRPORTS)


def test_many_findings_are_counted_and_few_are_shown(departures: list[list[Flight]], arrivals: list[Arrival]) -> None:
    verdict = check_destination(departures, arrivals + arrivals, (OLD, NEW))
    assert verdict.repeated.count == SAMPLE * len(AIRPORTS)
    assert len(verdict.repeated.examples) == 3
