"""The demo's transform: what it says of a departure is what the data set says, whatever the setting."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from headgate.demo.flights import AIRPORTS, by_airport, load_flights
from headgate.demo.transforms import delay_class, judge_departure, minutes_between
from headgate.worker.transforms import TransformRefused, load_transform

PATH = "headgate.demo.transforms:judge_departure"


def record(value: bytes) -> Any:
    return SimpleNamespace(value=lambda: value)


def test_the_project_carries_the_whole_month_for_three_airports() -> None:
    flights = load_flights()
    assert len(flights) == 23_698
    assert dict(zip(AIRPORTS, map(len, by_airport(flights)), strict=True)) == {"EWR": 8_610, "JFK": 8_033, "LGA": 7_055}
    assert len({flight.name for flight in flights}) == len(flights)
    assert [flight.timestamp_ms for flight in flights] == sorted(flight.timestamp_ms for flight in flights)


@pytest.mark.parametrize("late_after_min", [1, 15, 30, 120])
def test_every_result_of_the_month_is_what_the_data_sets_own_delay_means(late_after_min: int) -> None:
    judge = judge_departure({"late_after_min": late_after_min})
    differing = [
        flight.name
        for flight in load_flights()
        if judge(record(flight.source_value())) != flight.expected(late_after_min)
    ]
    assert differing == []


@pytest.mark.parametrize(
    ("delay", "expected"),
    [
        (-1, "early"), (0, "on time"), (14, "on time"), (15, "late"), (119, "late"), (120, "very late"),
    ],
)  # fmt: skip
def test_each_class_begins_where_it_says(delay: int, expected: str) -> None:
    assert delay_class(delay, 15) == expected


def test_minutes_are_counted_across_midnight_and_before_schedule() -> None:
    assert minutes_between("2013-01-31T23:59", "2013-02-01T00:04") == 5
    assert minutes_between("2013-02-01T00:04", "2013-01-31T23:59") == -5


@pytest.mark.parametrize(
    "settings", [{"late_after_min": 0}, {"late_after_min": "15"}, {"late_after_min": True}, {"late": 15}]
)
def test_settings_that_make_no_sense_refuse_the_start_with_a_sentence(settings: dict[str, Any]) -> None:
    with pytest.raises(TransformRefused, match="late"):
        load_transform(PATH, settings, ("headgate.demo.transforms",))


def test_without_settings_a_quarter_of_an_hour_counts_as_late() -> None:
    assert judge_departure({})(record(load_flights()[0].source_value()))["late_after_min"] == 15
