"""Calls that take no bound of their own are given one."""

from __future__ import annotations

import threading

import pytest

from headgate.adapters.kafka.bounded import Caller
from headgate.ports.errors import LogUnavailable


def test_a_caller_makes_calls_in_order_on_one_thread_of_its_own() -> None:
    caller, threads = Caller("test"), list[threading.Thread]()
    for _ in range(3):
        caller.call(10.0, lambda: threads.append(threading.current_thread()), "noting")
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()
    caller.end()
    threads[0].join(10.0)
    assert not threads[0].is_alive()


def test_what_a_call_raises_is_raised_to_its_owner() -> None:
    def fail() -> None:
        raise ValueError("no")

    caller = Caller("test")
    with pytest.raises(ValueError, match="no"):
        caller.call(10.0, fail, "failing")
    caller.end()


def test_a_call_that_does_not_end_in_time_is_left_behind() -> None:
    caller, release = Caller("test"), threading.Event()
    with pytest.raises(LogUnavailable, match=r"Hanging took longer than 0.05 s\."):
        caller.call(0.05, lambda: release.wait(30.0), "hanging")
    release.set()
    caller.end()
