"""Silence measured by probes (rule R20)."""

from __future__ import annotations

import pytest

from headgate.core.idleness.idle_timer import IdleTimer


def test_it_takes_strictly_longer_than_the_timeout_from_the_first_quiet_probe() -> None:
    timer = IdleTimer(10)
    assert [timer.probe(at) for at in (5, 15, 16)] == [False, False, True]


def test_it_fires_once_per_silence_and_stays_idle() -> None:
    timer = IdleTimer(10)
    assert [timer.fires(at) for at in (1, 12, 13)] == [False, True, False]
    assert timer.probe(14)
    timer.activity()
    assert [timer.fires(at) for at in (15, 16, 27, 28)] == [False, False, True, False]


def test_one_record_between_two_probes_is_enough() -> None:
    timer = IdleTimer(10)
    timer.probe(1)
    timer.activity()
    assert [timer.probe(at) for at in (100, 101, 111, 112)] == [False, False, False, True]


def test_a_timeout_is_longer_than_zero() -> None:
    with pytest.raises(ValueError, match="longer than zero"):
        IdleTimer(0)
