"""A command on its way: what is known of it, and how to wait for its final outcome.

`scheduled`, `checking` and `forwarded` are no answers but progress; whoever awaits the outcome passes over them. One
thread tells the handle, any number of threads may wait on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Condition
from typing import Final, TypeVar

from headgate_events.client.request import Request
from headgate_events.errors import HeadgateError, OutcomeTimeout, SendFailed
from headgate_events.schema.common import InputPosition
from headgate_events.schema.history import Checking, Forwarded, Outcome, Scheduled

Progress = Scheduled | Checking | Forwarded
DEFAULT_OUTCOME_TIMEOUT_S: Final = 30.0
MAX_PROGRESS: Final = 100
_Found = TypeVar("_Found")


class CommandHandle:
    """One command that was sent. Safe to use from any thread; dropping it forgets the waiting, not the command."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._changed = Condition()
        self._position: InputPosition | None = None
        self._outcome: Outcome | None = None
        self._progress: list[Progress] = []
        self._failure: HeadgateError | None = None

    @property
    def command_id(self) -> str:
        """The id under which sending again is safe."""
        return self._request.id

    @property
    def stream(self) -> str:
        """The stream that the command is about."""
        return self._request.stream

    @property
    def kind(self) -> str:
        """The command's kind, as in its record type."""
        return self._request.kind

    @property
    def dry_run(self) -> bool:
        """Whether only the outcome is asked for."""
        return self._request.dry_run

    @property
    def done(self) -> bool:
        """Whether the final outcome is known, or none can come any more."""
        with self._changed:
            return self._outcome is not None or self._failure is not None

    @property
    def progress(self) -> tuple[Progress, ...]:
        """What was recorded so far on the way to the outcome, in order (the first 100 of them)."""
        with self._changed:
            return tuple(self._progress)

    def outcome(self, timeout_s: float = DEFAULT_OUTCOME_TIMEOUT_S) -> Outcome:
        """Wait for the final outcome; a refusal is one.

        Raises OutcomeTimeout past the bound (the command may still take effect), or SendFailed when the command could
        not be written. Both may be asked again: an outcome that comes later is still taken.
        """
        return self._wait(lambda: self._outcome, timeout_s)

    def first_answer(self, timeout_s: float = DEFAULT_OUTCOME_TIMEOUT_S) -> Outcome | Scheduled | Checking:
        """Wait for the first thing that the projector says of the command: its outcome, or that it waits.

        For a command with `not_before` or `when_idle`, whose outcome may be far away. Raises like `outcome`.
        """

        def first() -> Outcome | Scheduled | Checking | None:
            for record in self._progress:
                if not isinstance(record, Forwarded):
                    return record
            return self._outcome

        answer = self._wait(first, timeout_s)
        assert isinstance(answer, Outcome | Scheduled | Checking)
        return answer

    def position(self, timeout_s: float = DEFAULT_OUTCOME_TIMEOUT_S) -> InputPosition:
        """Wait until the command is durable, and return where it stands in the commands topic.

        Raises SendFailed when it could not be written within the client's bound, or when this wait ended before.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._changed.wait_for(lambda: self._position or self._failure, _left(deadline))
            if self._position is not None:
                return self._position
            raise self._failure or SendFailed(
                f"The {self.kind} of {self.stream!r} was not acknowledged within {timeout_s:g} s.",
                hint=f"Send it again with the id {self.command_id}: that is safe.",
            )

    def tell_position(self, position: InputPosition) -> None:
        """Note that the command is durable. For the client that sent it."""
        with self._changed:
            self._position = position
            self._changed.notify_all()

    def tell(self, record: Outcome | Progress) -> None:
        """Note a record of the history that answers this command. For the client that sent it."""
        with self._changed:
            if isinstance(record, Outcome):
                if self._outcome is None:
                    self._outcome = record
            elif len(self._progress) < MAX_PROGRESS:
                self._progress.append(record)
            self._changed.notify_all()

    def fail(self, failure: HeadgateError) -> None:
        """Note that no outcome can be heard any more. For the client that sent it."""
        with self._changed:
            self._failure = self._failure or failure
            self._changed.notify_all()

    def _wait(self, look: Callable[[], _Found | None], timeout_s: float) -> _Found:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._changed.wait_for(lambda: look() is not None or self._failure is not None, _left(deadline))
            found = look()
            if found is not None:
                return found
            raise self._failure or self._timeout(timeout_s)

    def _timeout(self, timeout_s: float) -> OutcomeTimeout:
        again = f"sending it again with the id {self.command_id} is safe."
        if self._progress:
            said = self._progress[-1].kind
            return OutcomeTimeout(
                f"The {self.kind} of {self.stream!r} is {said}; no final outcome came within {timeout_s:g} s.",
                hint=f"Wait longer, or cancel it; {again}",
            )
        return OutcomeTimeout(
            f"No outcome of the {self.kind} of {self.stream!r} came within {timeout_s:g} s.",
            hint=f"See that a projector runs (`headgate projector`); {again}",
        )

    def __repr__(self) -> str:
        said = "accepted or refused" if self._outcome is None else self._outcome.outcome
        return f"<{self.kind} {self.stream} {self.command_id}: {said if self.done else 'waiting'}>"


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
