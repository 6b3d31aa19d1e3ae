"""The demo's transform: how late each departure was, and whether that counts as late.

    transform:
      function: headgate.demo.transforms:judge_departure
      settings:
        late_after_min: 15

A departure is `early`, `on time` (below the threshold), `late`, or `very late` (two hours and more). `made_up_min` is
what the crew made up in the air: by how much less late it arrived than it left; None where the arrival is unknown. The
result names the threshold that it was judged by, so that a reader of old results need not guess.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import orjson

from headgate.transform import Record, factory

DEFAULT_LATE_AFTER_MIN: Final = 15
VERY_LATE_AFTER_MIN: Final = 120
_MINUTE_S: Final = 60


@factory
def judge_departure(settings: Mapping[str, Any]) -> Callable[[Record], dict[str, Any]]:
    """Make the transform for one threshold. Raises ValueError for one that makes no sense: the start is refused."""
    late_after_min = settings.get("late_after_min", DEFAULT_LATE_AFTER_MIN)
    if type(late_after_min) is not int or not 0 < late_after_min <= VERY_LATE_AFTER_MIN:
        raise ValueError(f"late_after_min must be a whole number from 1 to {VERY_LATE_AFTER_MIN}")
    if unknown := sorted(settings.keys() - {"late_after_min"}):
        raise ValueError(f"{unknown[0]} is not a setting; the only one is late_after_min")

    def judge(record: Record) -> dict[str, Any]:
        departure = orjson.loads(record.value())
        delay = minutes_between(departure["scheduled"], departure["departed"])
        arrival_delay = departure["arrival_delay_min"]
        return {
            "flight": f"{departure['carrier']} {departure['flight']}",
            "aircraft": departure["aircraft"],
            "origin": departure["origin"],
            "destination": departure["destination"],
            "scheduled": departure["scheduled"],
            "departed": departure["departed"],
            "delay_min": delay,
            "class": delay_class(delay, late_after_min),
            "made_up_min": None if arrival_delay is None else delay - arrival_delay,
            "late_after_min": late_after_min,
        }

    return judge


def minutes_between(scheduled: str, actual: str) -> int:
    """Return by how many minutes `actual` was after `scheduled` (two ISO times without zone); negative when before."""
    late = datetime.fromisoformat(actual) - datetime.fromisoformat(scheduled)
    return int(late.total_seconds()) // _MINUTE_S


def delay_class(delay_min: int, late_after_min: int) -> str:
    """Put a delay in minutes into one of four classes."""
    if delay_min >= VERY_LATE_AFTER_MIN:
        return "very late"
    if delay_min >= late_after_min:
        return "late"
    return "on time" if delay_min >= 0 else "early"
