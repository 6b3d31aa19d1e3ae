"""What a file of departures says about silence, worked out from its rows alone; nothing of Headgate's enters here.

Each airport is a lane, and so are all of them together, whose silence is the stream's. A gap between two departures of
a lane is a *silence* from one and a half times the threshold on, and none below the threshold; what lies between is the
dead band, where either is right, because a replay is never exact to the minute. Before its first departure and after
its last one a lane is silent, too: the replay begins and ends with nothing to read.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Literal

WHOLE = "all of them"
"""The lane of all airports together."""
BAND = 1.5
MOST_AIRPORTS = 100
BEFORE_ALL_S = -1.0

Kind = Literal["silence", "band", "short"]


class BadInput(ValueError):
    """The file or the options cannot be used; one clear sentence says why."""


@dataclass(frozen=True, slots=True)
class Departure:
    """One row: when, from where, and the row itself."""

    at: datetime
    origin: str
    row: dict[str, str]


@dataclass(frozen=True, slots=True)
class Gap:
    """What lies between departure number `number - 1` and departure number `number` of a lane.

    Times are seconds since the first departure of all; None before the first and after the last one. `due_s` is by when
    IDLE has to be said of a silence.
    """

    number: int
    from_s: float | None
    to_s: float | None
    kind: Kind
    due_s: float


@dataclass(frozen=True, slots=True)
class Lane:
    """An airport, or all together: when its departures are, and the gap before each and after the last."""

    name: str
    times_s: Sequence[float]
    gaps: Sequence[Gap]

    def edges(self) -> int:
        """Return how many edges have to come: IDLE for each silence, ACTIVE after each but the last."""
        return 2 * sum(gap.kind == "silence" for gap in self.gaps) - 1


def read_departures(path: Path) -> list[Departure]:
    """Return the rows of a file (gzip or not); BadInput for anything that is not of the form."""
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error
    try:
        text = (gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is neither text nor text packed by gzip: {error}.") from error
    reader = csv.DictReader(text.splitlines(), strict=True)
    try:
        found = list(_departures(path, reader))
    except csv.Error as error:
        raise BadInput(f"{path}, line {reader.line_num}: {error}.") from error
    if not found:
        raise BadInput(f"{path} has no departures.")
    for number, (one, other) in enumerate(pairwise(found), start=3):
        if other.at < one.at:
            raise BadInput(f"{path}, line {number}: the departure is before that of the line above.")
    return found


def _departures(path: Path, reader: csv.DictReader[str]) -> Iterator[Departure]:
    if missing := {"departure", "origin"} - set(reader.fieldnames or ()):
        raise BadInput(f"{path} has no column {' and no column '.join(sorted(missing))}.")
    for row in reader:
        try:
            at = datetime.fromisoformat(row["departure"] or "")
        except ValueError:
            at = None
        if at is None or at.tzinfo is not None:
            raise BadInput(
                f"{path}, line {reader.line_num}: {row['departure']!r} is no time of departure like 2013-02-01T00:01."
            )
        if not row["origin"]:
            raise BadInput(f"{path}, line {reader.line_num}: there is no origin.")
        yield Departure(at, row["origin"], {str(name): str(value) for name, value in row.items() if name is not None})


def between(departures: Sequence[Departure], first: datetime | None, end: datetime | None) -> list[Departure]:
    """Return the departures from `first` on and before `end`; BadInput when there is none."""
    kept = [each for each in departures if (first is None or each.at >= first) and (end is None or each.at < end)]
    if not kept:
        raise BadInput(
            f"No departure lies between {first or 'the beginning'} and {end or 'the end'}; the file has those from "
            f"{departures[0].at} to {departures[-1].at}."
        )
    return kept


def lanes_of(departures: Sequence[Departure], threshold: timedelta) -> list[Lane]:
    """Return a lane for each airport, sorted by name, and at last the lane of all together."""
    names = sorted({each.origin for each in departures})
    if len(names) > MOST_AIRPORTS:
        raise BadInput(f"There are {len(names)} origins, and each is a partition: {MOST_AIRPORTS} are the most.")
    began = departures[0].at
    seconds = [(each.at - began).total_seconds() for each in departures]
    lanes = [
        _lane(name, [at for at, each in zip(seconds, departures, strict=True) if each.origin == name], threshold)
        for name in names
    ]
    return [*lanes, _lane(WHOLE, seconds, threshold)]


def _lane(name: str, times_s: Sequence[float], threshold: timedelta) -> Lane:
    limit_s = threshold.total_seconds()

    def kind(lasting_s: float) -> Kind:
        if lasting_s < limit_s:
            return "short"
        return "silence" if lasting_s >= BAND * limit_s else "band"

    inner = [
        Gap(number, a, b, kind(b - a), min(b, a + BAND * limit_s))
        for number, (a, b) in enumerate(pairwise(times_s), start=1)
    ]
    first = Gap(0, None, times_s[0], "silence", BEFORE_ALL_S)
    last = Gap(len(times_s), times_s[-1], None, "silence", times_s[-1] + BAND * limit_s)
    return Lane(name, times_s, [first, *inner, last])
