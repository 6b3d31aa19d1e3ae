"""The check of the demo that one airport woke: it counts what was said, however late it is looked at."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from headgate.demo.flights import AIRPORTS, load_flights, longest_silence
from headgate.demo.judging import check_woken, has_woken
from headgate.demo.scene import STREAM
from headgate.demo.view import View
from headgate_events.client.channels import ActivityEdge
from headgate_events.idleness.signals import Status
from headgate_events.markers import ChannelId

FLIGHTS = load_flights()
SILENCE_AT = longest_silence(FLIGHTS)
FIRST = FLIGHTS[SILENCE_AT]
OTHER = (FIRST.partition + 1) % len(AIRPORTS)


def edge(partition: int | None, status: Status) -> ActivityEdge:
    return ActivityEdge(STREAM, None if partition is None else ChannelId(STREAM, "flights", partition), status, 0)


AWAKE = [edge(FIRST.partition, Status.ACTIVE), edge(None, Status.ACTIVE)]
ASLEEP_AGAIN = [*AWAKE, edge(FIRST.partition, Status.IDLE), edge(None, Status.IDLE)]


def held(said: list[ActivityEdge]) -> list[bool]:
    view = View(Console(file=io.StringIO(), width=200))
    scene: Any = SimpleNamespace(flights=FLIGHTS, traffic=SimpleNamespace(silence_at=SILENCE_AT))
    check_woken(view, scene, FIRST, said)
    return [each for each, _ in view.checks]


@pytest.mark.parametrize("said", [AWAKE, ASLEEP_AGAIN], ids=["in time", "when it is idle again"])
def test_an_airport_that_woke_has_woken(said: list[ActivityEdge]) -> None:
    assert has_woken(said, FIRST.partition)
    assert held(said) == [True, True]


def test_an_airport_of_which_nothing_was_said_has_not_woken() -> None:
    assert not has_woken([], FIRST.partition)
    assert not has_woken(ASLEEP_AGAIN, OTHER)


def test_another_airport_that_woke_as_well_is_found() -> None:
    assert held([*AWAKE, edge(OTHER, Status.ACTIVE), edge(OTHER, Status.IDLE)]) == [False, True]
