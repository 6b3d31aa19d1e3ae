"""Waiting with a deadline: `tests.support.eventually`."""

from __future__ import annotations

import pytest

from tests.support.eventually import eventually


def test_it_returns_the_first_true_value() -> None:
    values = iter([0, "", "there"])
    assert eventually(lambda: next(values), 5, "a value comes", every_s=0) == "there"


def test_an_assertion_that_fails_is_looked_at_again() -> None:
    looks: list[int] = []

    def third_time() -> bool:
        looks.append(1)
        assert len(looks) == 3
        return True

    assert eventually(third_time, 5, "the third look", every_s=0)


def test_past_the_deadline_it_names_what_was_waited_for_and_what_was_seen() -> None:
    with pytest.raises(AssertionError, match=r"the lights go out: not within 0 s; the last look gave \[\]"):
        eventually(list, 0, "the lights go out")


def test_a_fault_is_not_waited_away() -> None:
    with pytest.raises(ZeroDivisionError):
        eventually(lambda: 1 // 0, 60, "never mind")
