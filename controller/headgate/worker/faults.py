"""Faults: partitions that stand still, each with its error and the time of its next attempt, while the others move.

A fault that passes by itself is tried again with the stream's backoff, and is over once its partition got past the
record in its way. One that does not waits for a person, and stands also when the partition moves to another worker: the
state says of which partitions that is so.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from headgate.ports.log import Clock, TopicPartition
from headgate.worker.complaints import Complaints, delay_s
from headgate.worker.engine import Engine
from headgate.worker.failures import Failure
from headgate_events.schema.config import RetryConfig


@dataclass(slots=True)
class Fault:
    """A partition that stands still at `position`. `retry_at_s` None: not before somebody decides."""

    failure: Failure
    attempt: int
    retry_at_s: float | None
    position: int
    trying: bool = False


class Faults:
    """The faults of one task. Its thread owns it."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        draw: random.Random,
        complaints: Complaints,
        retry: Callable[[], RetryConfig],
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._draw = draw
        self._complaints = complaints
        self._retry = retry
        self._of: dict[TopicPartition, Fault] = {}

    def __bool__(self) -> bool:
        return bool(self._of)

    @property
    def failures(self) -> list[Failure]:
        """The standing errors. Any thread may ask."""
        return [fault.failure for fault in list(self._of.values())]

    def add(self, place: TopicPartition, error: Exception) -> None:
        """Remember a partition that stopped, and when it is tried again."""
        known, retry = self._of.get(place), self._retry()
        attempt = 0 if known is None else known.attempt
        failure = self._complaints.about(error, None if known is None else known.failure, attempt, retry)
        if known is not None and known.failure.id != failure.id:
            attempt = 0
        retry_at_s = None
        if failure.recoverable:
            wait_s = delay_s(attempt, error, retry, self._draw.random())
            failure = failure.retried_at(self._clock.now_ms() + round(1000 * wait_s))
            retry_at_s = self._clock.monotonic_s() + wait_s
        account = self._engine.accounts.of.get(place)
        self._of[place] = Fault(failure, attempt + 1, retry_at_s, 0 if account is None else account.position)
        self._complaints.tell(failure)

    def step(self, now_s: float) -> None:
        """Read partitions again whose time has come, and clear the errors of those that got past theirs."""
        for place, fault in list(self._of.items()):
            account = self._engine.accounts.of.get(place)
            if account is None:  # another worker has it now, and meets the same or does not
                del self._of[place]
                if fault.failure.recoverable:
                    self._complaints.clear(fault.failure)
            elif fault.trying and account.position > fault.position and place not in self._engine.stopped:
                del self._of[place]
                self._complaints.clear(fault.failure)
            elif fault.retry_at_s is not None and now_s >= fault.retry_at_s and not fault.trying:
                fault.trying = True
                self._engine.readmit(place)

    def retry_at_once(self, now_s: float) -> None:
        """Try all that pass by themselves again, now."""
        for fault in self._of.values():
            if fault.retry_at_s is not None:
                fault.retry_at_s = now_s

    def forget(self) -> None:
        """Begin without any: another run of the stream."""
        self._of.clear()
