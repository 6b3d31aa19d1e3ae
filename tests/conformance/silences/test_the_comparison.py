"""The comparison finds what is planted, and finds nothing where all is right. Without a broker: edges are made here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.conformance.silences.comparing import MOST_UNDECIDED, Comparison, Edge, Sent, compare
from tests.conformance.silences.expecting import WHOLE, Departure, Lane, lanes_of

THRESHOLD = timedelta(hours=3)
COMPRESSION = 3 * 3600.0
"""The threshold lasts a second, and workers wait 1.35 s."""
WAIT_S = 1.35
HOURS = {
    "A": (0.0, 2.9, 3.0, 8.0, 8.1, 12.4, 20.0),  # a gap just below, one of 5 h, one in the band, one of 7.6 h
    "B": (0.5, 1.0, 2.0, 9.0, 9.5, 19.0),
}


def departures() -> list[Departure]:
    began = datetime.fromisoformat("2013-02-01")
    found = [Departure(began + timedelta(hours=at), origin, {}) for origin, hours in HOURS.items() for at in hours]
    return sorted(found, key=lambda each: each.at)


def sent_of(lanes: Sequence[Lane]) -> dict[str, Sent]:
    """Return a replay without noise: each departure exactly when it is due."""
    return {
        lane.name: Sent([at / COMPRESSION for at in lane.times_s], [at / COMPRESSION + 0.001 for at in lane.times_s])
        for lane in lanes
    }


def perfect(lanes: Sequence[Lane]) -> list[Edge]:
    """Return what a Headgate without fault says: IDLE 1.4 s after the last departure of a silence, ACTIVE at once."""
    edges = []
    for lane in lanes:
        for gap in lane.gaps:
            if gap.kind != "silence":
                continue
            from_s = -10.0 if gap.from_s is None else gap.from_s / COMPRESSION
            edges.append(Edge(lane.name, "IDLE", gap.number, gap.number, from_s + 1.4))
            if gap.to_s is not None:
                edges.append(Edge(lane.name, "ACTIVE", None, gap.number + 1, gap.to_s / COMPRESSION + 0.01))
    return sorted(edges, key=lambda edge: edge.seen_s)


LANES = lanes_of(departures(), THRESHOLD)
RIGHT = perfect(LANES)


def judged(edges: Sequence[Edge], sent: dict[str, Sent] | None = None) -> Comparison:
    return compare(LANES, edges, sent or sent_of(LANES), WAIT_S)


def test_the_file_says_which_gaps_are_silences_which_are_none_and_which_may_go_either_way() -> None:
    kinds = {lane.name: [(gap.number, gap.kind) for gap in lane.gaps[1:-1] if gap.kind != "short"] for lane in LANES}
    assert kinds == {
        "A": [(3, "silence"), (5, "band"), (6, "silence")],
        "B": [(3, "silence"), (5, "silence")],
        WHOLE: [(6, "silence"), (11, "silence")],
    }
    assert [lane.edges() for lane in LANES] == [7, 7, 7]


def test_nothing_is_found_where_every_edge_is_right() -> None:
    found = judged(RIGHT)
    assert (found.mismatches, found.undecided) == ([], [])
    assert [round(each, 3) for each in found.idle_s] == [1.4] * 9


def test_a_gap_in_the_dead_band_may_be_said_to_be_idle() -> None:
    at_s = LANES[0].gaps[5].from_s
    assert at_s is not None
    idle = Edge("A", "IDLE", 5, 5, at_s / COMPRESSION + 1.36)
    active = Edge("A", "ACTIVE", None, 6, 12.4 / 3 + 0.01)
    assert judged(sorted([*RIGHT, idle, active], key=lambda edge: edge.seen_s)).mismatches == []


@pytest.mark.parametrize("number", range(len(RIGHT)))
def test_each_edge_that_is_missing_is_found(number: int) -> None:
    lane = RIGHT[number].lane
    found = judged([*RIGHT[:number], *RIGHT[number + 1 :]]).mismatches
    assert found
    assert all(each.startswith(f"{lane}: ") for each in found)


@pytest.mark.parametrize("number", range(len(RIGHT)))
def test_each_edge_that_is_said_twice_is_found(number: int) -> None:
    assert judged([*RIGHT[: number + 1], RIGHT[number], *RIGHT[number + 1 :]]).mismatches


def planted_idle(edges: list[Edge]) -> None:
    """Say IDLE in the gap of 174 minutes."""
    edges += [Edge("A", "IDLE", 1, 1, 1.3), Edge("A", "ACTIVE", None, 2, 1.31)]
    edges.sort(key=lambda edge: edge.seen_s)


def flap_in_a_silence(edges: list[Edge]) -> None:
    at = edges.index(next(each for each in edges if each.lane == "A" and each.position == 3))
    edges.insert(at + 1, Edge("A", "ACTIVE", None, 3, edges[at].seen_s + 0.01))
    edges.insert(at + 2, Edge("A", "IDLE", 3, 3, edges[at].seen_s + 0.02))


def active_before_its_departure(edges: list[Edge]) -> None:
    at = edges.index(next(each for each in edges if each.lane == "B" and each.status == "ACTIVE" and each.sent == 4))
    edges[at] = replace(edges[at], sent=3)


def idle_too_early(edges: list[Edge]) -> None:
    at = edges.index(next(each for each in edges if each.lane == "A" and each.position == 3))
    edges[at] = replace(edges[at], seen_s=edges[at].seen_s - 0.5)


def two_lanes_swapped(edges: list[Edge]) -> None:
    """Let A's ACTIVE at hour 20 come before B's at hour 19."""
    first = edges.index(next(each for each in edges if each.lane == "B" and each.status == "ACTIVE" and each.sent == 6))
    second = edges.index(
        next(each for each in edges if each.lane == "A" and each.status == "ACTIVE" and each.sent == 7)
    )
    edges[first], edges[second] = edges[second], edges[first]


def an_idle_where_nothing_ends(edges: list[Edge]) -> None:
    edges.append(Edge("A", "IDLE", 99, 7, 20.0))


def an_idle_far_too_late(edges: list[Edge]) -> None:
    """Let B's IDLE of hours 2 to 9 come after A's ACTIVE of hour 8."""
    idle = next(each for each in edges if each.lane == "B" and each.position == 3)
    edges.remove(idle)
    after = next(each for each in edges if each.lane == "A" and each.status == "ACTIVE" and each.sent == 4)
    edges.insert(edges.index(after) + 1, replace(idle, seen_s=after.seen_s))


@pytest.mark.parametrize(
    ("plant", "sentence"),
    [
        (planted_idle, "false IDLE of 2 h 54 min before departure 1"),
        (flap_in_a_silence, "A: ACTIVE before the departure that ends the silence of 5 h 00 min"),
        (active_before_its_departure, "B: ACTIVE before the departure that ends the silence of 7 h 00 min"),
        (idle_too_early, "A: IDLE of 5 h 00 min before departure 3 earlier than a worker may know it"),
        (two_lanes_swapped, "B: ACTIVE of 9 h 30 min before departure 5 came after A: ACTIVE"),
        (an_idle_where_nothing_ends, "A: IDLE at 99, where nothing ends"),
        (an_idle_far_too_late, "B: IDLE of 7 h 00 min before departure 3 came after A: ACTIVE"),
    ],
)
def test_what_is_planted_is_found_and_named(plant: Callable[[list[Edge]], None], sentence: str) -> None:
    edges = list(RIGHT)
    plant(edges)
    assert any(sentence in each for each in judged(edges).mismatches), judged(edges).mismatches


def test_a_gap_that_the_replay_stretched_itself_is_undecided_and_few_of_them_are_borne() -> None:
    edges = list(RIGHT)
    planted_idle(edges)
    noisy = sent_of(LANES)
    for name in ("A", WHOLE):
        noisy[name].acknowledged_s[1] += 0.5  # the second departure came half a second late
    assert noisy["A"].stretched_s(LANES[0].gaps[1]) > WAIT_S
    found = judged(edges, noisy)
    assert found.mismatches == []
    assert found.undecided == ["A: of 2 h 54 min before departure 1"]


def test_a_replay_that_stood_still_too_often_shows_nothing_and_fails() -> None:
    began = datetime.fromisoformat("2013-02-01")
    steady = [Departure(began + timedelta(hours=2 * number), "A", {}) for number in range(MOST_UNDECIDED + 3)]
    lane, _ = lanes_of(steady, THRESHOLD)
    sent = {"A": Sent([2.0 * number for number in range(len(steady))], [2.0 * number for number in range(len(steady))])}
    edges = [Edge("A", "IDLE", 0, 0, -1.0), Edge("A", "ACTIVE", None, 1, 0.0)]
    for number in range(1, len(steady)):
        edges += [
            Edge("A", "IDLE", number, number, 2.0 * number - 0.1),
            Edge("A", "ACTIVE", None, number + 1, 2.0 * number),
        ]
    edges.append(Edge("A", "IDLE", len(steady), len(steady), 2.0 * len(steady)))
    found = compare([lane], edges, sent, WAIT_S)
    assert len(found.undecided) == MOST_UNDECIDED + 2
    assert len(found.mismatches) == 1
    assert "stretched beyond the wait" in found.mismatches[0]
