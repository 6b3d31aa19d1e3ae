"""Edge by edge: what was said about a lane against what the file says. Pure, so that planted errors can be tried.

An IDLE names the position up to which everything was read, which is the number of departures before it: so each IDLE
belongs to one gap for certain, however the clock ran. That it came too early, that an ACTIVE came before its departure,
or that another lane's edge should have come first, is told by what the replay had sent when the edge was seen.

A gap below the threshold that the replay itself stretched beyond what workers wait for (it stood still, or its machine
did) is a silence in truth. An IDLE there is right, and shows nothing: it is counted as undecided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.conformance.silences.expecting import Gap, Lane

MOST_UNDECIDED = 3


@dataclass(frozen=True, slots=True)
class Edge:
    """One edge as it was seen. `position` is the number of departures before an IDLE, None for an ACTIVE.

    `sent` is how many departures of its lane the replay had sent when the edge was seen, at `seen_s`.
    """

    lane: str
    status: Literal["IDLE", "ACTIVE"]
    position: int | None
    sent: int
    seen_s: float


@dataclass(slots=True)
class Sent:
    """When the departures of a lane were handed to the client, and when the broker had acknowledged them."""

    sent_s: list[float] = field(default_factory=list)
    acknowledged_s: list[float] = field(default_factory=list)

    def stretched_s(self, gap: Gap) -> float:
        """Return how long a gap lasted at most, as the broker saw it; for ever where it has no end."""
        if gap.to_s is None or gap.from_s is None or len(self.acknowledged_s) <= gap.number:
            return float("inf")
        return self.acknowledged_s[gap.number] - self.sent_s[gap.number - 1]


@dataclass(slots=True)
class Comparison:
    """What came of it: each mismatch as a sentence, and the gaps that the replay's own noise left undecided."""

    mismatches: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    idle_s: list[float] = field(default_factory=list)
    """How long after the departure before it each IDLE was seen."""


def compare(lanes: Sequence[Lane], edges: Sequence[Edge], sent: Mapping[str, Sent], idle_after_s: float) -> Comparison:
    """Compare all edges, in the order in which they were said, with what the file says."""
    found = Comparison()
    for lane in lanes:
        said = [each for each in edges if each.lane == lane.name]
        _compare_lane(lane, said, sent[lane.name], idle_after_s, found)
    known = {lane.name: lane for lane in lanes}
    _compare_order(known, [each for each in edges if each.lane in known], found)
    if len(found.undecided) > MOST_UNDECIDED:
        found.mismatches.append(
            f"{len(found.undecided)} gaps were stretched beyond the wait by a machine that stood still; "
            f"{MOST_UNDECIDED} are the most that can be left undecided."
        )
    return found


def _compare_lane(lane: Lane, said: Sequence[Edge], sent: Sent, idle_after_s: float, found: Comparison) -> None:
    wrong = found.mismatches.append
    silent: int | None = None
    idle_at: set[int] = set()
    for edge in said:
        if edge.status == "ACTIVE":
            if silent is None:
                wrong(f"{lane.name}: ACTIVE without an IDLE before it.")
            elif edge.sent <= silent:
                wrong(f"{lane.name}: ACTIVE before the departure that ends the silence {_told(lane.gaps[silent])}.")
            silent = None
            continue
        number = edge.position
        if number is None or not 0 <= number < len(lane.gaps):
            wrong(f"{lane.name}: IDLE at {number}, where nothing ends.")
            continue
        gap = lane.gaps[number]
        if silent is not None:
            wrong(f"{lane.name}: IDLE {_told(gap)} without an ACTIVE since the last IDLE.")
        silent = number
        if number in idle_at or any(number < each for each in idle_at):
            wrong(f"{lane.name}: IDLE {_told(gap)} once more, or after a later one.")
        idle_at.add(number)
        if number:
            found.idle_s.append(edge.seen_s - sent.sent_s[number - 1])
        if gap.kind == "short" and sent.stretched_s(gap) >= idle_after_s:
            found.undecided.append(f"{lane.name}: {_told(gap)}")
        elif gap.kind == "short":
            wrong(f"{lane.name}: false IDLE {_told(gap)}, which is below the threshold.")
        elif number and edge.seen_s < sent.sent_s[number - 1] + idle_after_s:
            wrong(f"{lane.name}: IDLE {_told(gap)} earlier than a worker may know it.")
    for gap in lane.gaps:
        if gap.kind == "silence" and gap.number not in idle_at:
            wrong(f"{lane.name}: no IDLE {_told(gap)}.")
    if silent is not None and silent < len(lane.times_s):
        wrong(f"{lane.name}: no ACTIVE after the silence {_told(lane.gaps[silent])}.")


def _compare_order(lanes: Mapping[str, Lane], edges: Sequence[Edge], found: Comparison) -> None:
    """See that the edges of all lanes can have come in this order: each not before what the last ones waited for."""
    now_s, last = float("-inf"), ""
    silent: dict[str, int] = {}
    for edge in edges:
        lane = lanes[edge.lane]
        if edge.status == "IDLE":
            if edge.position is None or not 0 <= edge.position < len(lane.gaps):
                continue
            gap = lane.gaps[edge.position]
            silent[edge.lane] = edge.position
            least_s, most_s = now_s if gap.from_s is None else gap.from_s, gap.due_s
        elif edge.lane in silent:
            gap = lane.gaps[silent[edge.lane]]
            least_s = most_s = now_s if gap.to_s is None else gap.to_s
        else:
            continue
        if most_s < now_s:
            found.mismatches.append(f"{edge.lane}: {edge.status} {_told(gap)} came after {last}.")
        elif least_s > now_s:
            now_s, last = least_s, f"{edge.lane}: {edge.status} {_told(gap)}"


def _told(gap: Gap) -> str:
    if gap.from_s is None:
        return "before the first departure"
    if gap.to_s is None:
        return "after the last departure"
    minutes = round((gap.to_s - gap.from_s) / 60)
    return f"of {minutes // 60} h {minutes % 60:02} min before departure {gap.number}"
