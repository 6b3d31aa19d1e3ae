"""The departures of February 2013: what goes into the source topic, and what has to come out of the destination.

The right results are computed here from the delay that the data set itself states, while the transform computes it from
the two times of the record. So the two can be wrong in different ways only, and a comparison says something.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from importlib.resources import files
from typing import Any, Final

import orjson

AIRPORTS: Final = ("EWR", "JFK", "LGA")
"""An airport's place in this list is its partition, in the source and in the destination."""
DATA: Final = "nyc_departures_2013_02.csv.gz"
NEW_YORK: Final = timezone(timedelta(hours=-5), "EST")
"""February has no daylight saving time."""
VERY_LATE_MIN: Final = 120


@dataclass(frozen=True, slots=True)
class Flight:
    """One departure. Times are local without zone, as written in the data; delays are minutes, None where unknown."""

    carrier: str
    number: str
    aircraft: str
    origin: str
    destination: str
    scheduled: str
    departed: str
    departure_delay_min: int
    arrival_delay_min: int | None

    @property
    def name(self) -> str:
        """What tells this departure from every other one in the month."""
        return f"{self.carrier} {self.number} from {self.origin}, scheduled {self.scheduled}"

    @property
    def partition(self) -> int:
        return AIRPORTS.index(self.origin)

    @property
    def key(self) -> bytes:
        return self.origin.encode()

    @property
    def timestamp_ms(self) -> int:
        """The moment of departure, in epoch milliseconds."""
        return int(datetime.fromisoformat(self.departed).replace(tzinfo=NEW_YORK).timestamp() * 1_000)

    def source_value(self) -> bytes:
        """Return the record's JSON: what an airport would know, without any delay worked out."""
        return orjson.dumps(
            {
                "carrier": self.carrier,
                "flight": self.number,
                "aircraft": self.aircraft,
                "origin": self.origin,
                "destination": self.destination,
                "scheduled": self.scheduled,
                "departed": self.departed,
                "arrival_delay_min": self.arrival_delay_min,
            }
        )

    def expected(self, late_after_min: int) -> Mapping[str, Any]:
        """Return what the destination has to hold for this departure, under one setting of the transform."""
        delay = self.departure_delay_min
        if delay < 0:
            judged = "early"
        elif delay < late_after_min:
            judged = "on time"
        else:
            judged = "late" if delay < VERY_LATE_MIN else "very late"
        made_up = None if self.arrival_delay_min is None else delay - self.arrival_delay_min
        return {
            "flight": f"{self.carrier} {self.number}",
            "aircraft": self.aircraft,
            "origin": self.origin,
            "destination": self.destination,
            "scheduled": self.scheduled,
            "departed": self.departed,
            "delay_min": delay,
            "class": judged,
            "made_up_min": made_up,
            "late_after_min": late_after_min,
        }


def load_flights() -> list[Flight]:
    """Return the month, in the order of departure."""
    packed = files("headgate.demo").joinpath("data", DATA).read_bytes()
    text = io.StringIO(gzip.decompress(packed).decode())
    return [
        Flight(
            carrier=row["carrier"],
            number=row["flight"],
            aircraft=row["tailnum"],
            origin=row["origin"],
            destination=row["dest"],
            scheduled=row["scheduled_departure"],
            departed=row["departure"],
            departure_delay_min=int(row["dep_delay"]),
            arrival_delay_min=int(row["arr_delay"]) if row["arr_delay"] else None,
        )
        for row in csv.DictReader(text)
    ]


def longest_silence(flights: Sequence[Flight]) -> int:
    """Return the number of the first departure after the longest time without any: after the blizzard of 8 February."""
    return max(range(1, len(flights)), key=lambda at: flights[at].timestamp_ms - flights[at - 1].timestamp_ms)


def by_airport(flights: Sequence[Flight]) -> list[list[Flight]]:
    """Return the departures of each airport in order; the index is the partition."""
    parted: list[list[Flight]] = [[] for _ in AIRPORTS]
    for flight in flights:
        parted[flight.partition].append(flight)
    return parted
