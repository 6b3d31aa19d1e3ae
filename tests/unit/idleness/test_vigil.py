"""Who is held, and why: what stands still is expected to be silent, what runs is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from headgate_events.idleness.vigil import Spoken, Vigil
from headgate_events.markers import ChannelId
from headgate_events.upstreams import Upstream
from tests.support.markers import CHANNEL, SECOND

PATIENCE_S: Final = 6.0


def stream(status: str = "RUNNING", partitions: dict[str, int] | None = None) -> Upstream:
    return Upstream("a", 1, status, frozenset({(None, "t")}), {"source": 2} if partitions is None else partitions)


def reasons(vigil: Vigil, now_s: float, upstream: Upstream, **more: float) -> dict[int, str]:
    spoken = {ChannelId("a", "source", int(number[1:])): Spoken(until) for number, until in more.items()}
    return {each.partition: hold.reason for each, hold in vigil.holds([upstream], now_s, spoken).items()}


def test_a_channel_for_which_nobody_speaks_for_longer_than_three_heartbeats_is_suspect() -> None:
    vigil = Vigil(PATIENCE_S)
    assert reasons(vigil, 100.0, stream()) == {}
    assert reasons(vigil, 106.0, stream()) == {}
    assert reasons(vigil, 106.1, stream(), p1=110.0) == {0: "SUSPECT"}
    vigil.heard(CHANNEL, 107.0)
    assert reasons(vigil, 110.0, stream(), p1=110.0) == {}
    assert reasons(vigil, 113.5, stream(), p1=110.0) == {0: "SUSPECT", 1: "SUSPECT"}


def test_a_stream_that_stands_still_is_held_with_the_reason_and_not_suspect() -> None:
    vigil = Vigil(PATIENCE_S)
    for status in ("PAUSED", "FAILED", "FAILED_PERMANENTLY", "DRAINING", "NOT_STARTED", "DELETED"):
        holds = vigil.holds([stream(status)], 100.0)
        assert {each: (hold.reason, hold.because) for each, hold in holds.items()} == {
            CHANNEL: ("HELD", f"a is {status}"),
            SECOND: ("HELD", f"a is {status}"),
        }


def test_a_stream_that_runs_again_has_three_heartbeats_to_speak() -> None:
    vigil = Vigil(PATIENCE_S)
    reasons(vigil, 100.0, stream())
    reasons(vigil, 1_000.0, stream("PAUSED"))
    assert reasons(vigil, 1_001.0, stream()) == {}
    assert set(reasons(vigil, 1_008.0, stream()).values()) == {"SUSPECT"}


def test_of_a_channel_that_was_held_only_a_heartbeat_that_came_later_says_that_it_is_idle_still() -> None:
    vigil = Vigil(PATIENCE_S)
    said = {CHANNEL: Spoken(106.0, 7, 100.0)}
    vigil.holds([stream()], 100.0, said)
    assert vigil.confirmed(said) == {CHANNEL: 7}
    vigil.holds([stream("PAUSED")], 101.0, said)
    assert vigil.confirmed(said) == {}
    vigil.holds([stream()], 102.0, said)
    assert vigil.confirmed(said) == {}
    vigil.holds([stream()], 103.0, said)
    assert vigil.confirmed({CHANNEL: Spoken(109.0, 7, 103.0)}) == {CHANNEL: 7}


def test_a_stream_that_sleeps_because_its_source_is_silent_is_neither_held_nor_suspect() -> None:
    vigil = Vigil(PATIENCE_S)
    asleep = replace(stream("PAUSED"), asleep=True)
    assert vigil.holds([asleep], 0.0) == vigil.holds([asleep], 1_000.0) == {}


def test_a_stream_whose_partitions_are_not_known_is_suspect_as_a_whole() -> None:
    vigil = Vigil(PATIENCE_S)
    unknown = Upstream("a", 1, "RUNNING", frozenset({(None, "t")}), None)
    assert vigil.holds([unknown], 0.0) == {}
    (hold,) = vigil.holds([unknown], 7.0).values()
    assert hold.because == "nothing is known of the partitions that a reads"
