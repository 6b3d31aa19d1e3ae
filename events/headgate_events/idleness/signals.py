"""What is said about a channel, and what leaves a valve: statuses, watermarks and the two ends of time.

A watermark is a signed 64-bit number of milliseconds: "no record before this is expected any more". `MIN` means never
seen and is announced by nobody; `MAX` means the end, and after it every record is late.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

MIN: Final = -(2**63)
MAX: Final = 2**63 - 1


class Status(Enum):
    """What a channel or an output says of itself. FINISHED is a channel's only: an output that ends sends MAX."""

    ACTIVE = "ACTIVE"
    IDLE = "IDLE"
    FINISHED = "FINISHED"


@dataclass(frozen=True, slots=True)
class Watermark:
    """Event time has come to `value`, in milliseconds."""

    value: int


@dataclass(frozen=True, slots=True)
class Edge:
    """The output's status changed to `status`, ACTIVE or IDLE; edges of one output strictly alternate."""

    status: Status


Signal: TypeAlias = Watermark | Edge

TO_IDLE: Final = Edge(Status.IDLE)
TO_ACTIVE: Final = Edge(Status.ACTIVE)


def saturated(value: int) -> int:
    """Return the value held within 64 bits, so that adding to a time near an end never wraps or exceeds it."""
    return max(MIN, min(value, MAX))
