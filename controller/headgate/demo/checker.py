"""Judge the destination: every departure is there exactly once, in order, with the right result.

Pure: it gets what lies in the destination and compares it with the data set. Nothing that the worker says of itself
enters. A record is recognised by what it says (flight, airport, scheduled time), not by its place, so a loss, a repeat
and a swap are told apart.

Around the change of the transform's settings either setting is right, but within one airport there is no way back: the
old one before, the new one after, and `must_hold` narrows down where the change may lie.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from headgate.demo.flights import AIRPORTS, Flight

SHOWN: Final = 3
"""How many examples of one kind of finding are kept."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One record as it lies in the destination."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int

    @property
    def place(self) -> str:
        return f"partition {self.partition}, offset {self.offset}"


@dataclass(slots=True)
class Findings:
    """How often something was found, and the first examples."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, example: str) -> None:
        """Count one more."""
        self.count += 1
        if len(self.examples) < SHOWN:
            self.examples.append(example)

    def __bool__(self) -> bool:
        return self.count > 0


@dataclass(slots=True)
class Verdict:
    """What was found. The destination is right when every list is empty."""

    arrived: int = 0
    missing: Findings = field(default_factory=Findings)
    repeated: Findings = field(default_factory=Findings)
    foreign: Findings = field(default_factory=Findings)
    """Records that are no departure of the month, or stand in another airport's partition."""
    misordered: Findings = field(default_factory=Findings)
    wrong: Findings = field(default_factory=Findings)
    """Departures whose result, key or time is not what the data set says."""
    wrong_setting: Findings = field(default_factory=Findings)
    """Departures judged by a setting that was not, or no longer, or not yet in force."""
    by_setting: list[dict[int, int]] = field(default_factory=lambda: [{} for _ in AIRPORTS])
    """For each partition how many departures were judged by which threshold."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where the change of the setting may lie in one airport's departures: not before `first`, not after `last`.

    Departures below the index `first` had arrived when the change was sent; those from `last` on were not yet produced
    when it was shown as applied.
    """

    first: int
    last: int


def check_destination(
    departures: Sequence[Sequence[Flight]],
    arrivals: Iterable[Arrival],
    thresholds: tuple[int, int],
    must_hold: Sequence[Bounds] | None = None,
) -> Verdict:
    """Compare arrivals, in the order of each partition, with the month's departures of each airport.

    `thresholds` are the old and the new setting in minutes; `must_hold` has the bounds of each partition, None for
    anywhere.
    """
    verdict = Verdict()
    known = {_identity(flight.expected(0)): flight for airport in departures for flight in airport}
    index = {_identity(flight.expected(0)): at for airport in departures for at, flight in enumerate(airport)}
    seen: set[tuple[Any, ...]] = set()
    furthest = [-1 for _ in departures]
    changed = [False for _ in departures]
    for arrival in arrivals:
        verdict.arrived += 1
        said = _read(arrival)
        identity = _identity(said)
        flight = known.get(identity)
        if flight is None:
            verdict.foreign.add(f"a record that is no departure of this month ({arrival.place})")
            continue
        if flight.partition != arrival.partition:
            verdict.foreign.add(f"{flight.name}, in another airport's partition ({arrival.place})")
            continue
        if identity in seen:
            verdict.repeated.add(f"{flight.name} ({arrival.place})")
            continue
        seen.add(identity)
        at, partition = index[identity], arrival.partition
        if at < furthest[partition]:
            verdict.misordered.add(f"{flight.name} ({arrival.place})")
        furthest[partition] = max(furthest[partition], at)
        if problem := _wrong(flight, arrival, said, thresholds):
            verdict.wrong.add(f"{flight.name}: {problem} ({arrival.place})")
            continue
        threshold = said["late_after_min"]
        counts = verdict.by_setting[partition]
        counts[threshold] = counts.get(threshold, 0) + 1
        is_new = threshold == thresholds[1]
        if problem := _wrong_setting(at, is_new, changed[partition], must_hold[partition] if must_hold else None):
            verdict.wrong_setting.add(f"{flight.name}: {problem} ({arrival.place})")
        changed[partition] |= is_new
    for airport in departures:
        for flight in airport:
            if _identity(flight.expected(0)) not in seen:
                verdict.missing.add(flight.name)
    return verdict


def _read(arrival: Arrival) -> Mapping[str, Any]:
    try:
        said = orjson.loads(arrival.value or b"null")
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _identity(said: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(said.get(name)) for name in ("flight", "origin", "scheduled"))


def _wrong(flight: Flight, arrival: Arrival, said: Mapping[str, Any], thresholds: tuple[int, int]) -> str | None:
    if arrival.key != flight.key:
        return f"its key is {arrival.key!r}"
    if arrival.timestamp_ms != flight.timestamp_ms:
        return f"its time is {arrival.timestamp_ms}, not that of the departure"
    threshold = said.get("late_after_min")
    if type(threshold) is not int or threshold not in thresholds:
        return f"it was judged by a threshold of {threshold!r} minutes, which nobody set"
    expected = flight.expected(threshold)
    differing = sorted(name for name in {*expected, *said} if expected.get(name) != said.get(name))
    if differing:
        name = differing[0]
        return f"{name} is {said.get(name)!r} and should be {expected.get(name)!r}"
    return None


def _wrong_setting(at: int, is_new: bool, changed: bool, bounds: Bounds | None) -> str | None:
    if not is_new and changed:
        return "judged by the old setting after the new one was in force"
    if bounds is not None and is_new and at < bounds.first:
        return "judged by the new setting before anybody asked for it"
    if bounds is not None and not is_new and at >= bounds.last:
        return "judged by the old setting after the new one was shown as applied"
    return None
