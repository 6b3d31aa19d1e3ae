"""Waiting for a condition with a deadline, so that no test sleeps and hopes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(predicate: Callable[[], T], timeout_s: float, what: str, every_s: float = 0.05) -> T:
    """Call `predicate` until it returns something true, and return that.

    An AssertionError raised by `predicate` counts as "not yet"; any other exception ends the wait at once, because it
    is a fault and not a state. `predicate` is called at least once, and once more at the deadline. Raises
    AssertionError that names `what`, the bound and what was seen last.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        last_look = time.monotonic() >= deadline
        try:
            value = predicate()
        except AssertionError as not_yet:
            seen = f"the last look failed: {not_yet}"
        else:
            if value:
                return value
            seen = f"the last look gave {value!r}"
        if last_look:
            raise AssertionError(f"{what}: not within {timeout_s:g} s; {seen}")
        time.sleep(max(0.0, min(every_s, deadline - time.monotonic())))
