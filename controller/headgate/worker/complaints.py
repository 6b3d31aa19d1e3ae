"""Complaints: what a task says of its errors, to people (reports) and to its log. One failure, one id, one sentence.

An error that is met again is the same failure, counted once more, and said at its 1st, 2nd, 4th, 8th … time: an outage
of days fills neither the history nor the log. The traceback of somebody else's code stands in the log and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from headgate.core import backoff
from headgate.ports.errors import StaleMember
from headgate.ports.log import Clock
from headgate.worker.failures import Failure, TransformFailed, classify
from headgate.worker.view import View
from headgate_events.errors import HeadgateError
from headgate_events.schema.config import RetryConfig

RETRY_AFTER_MAX_S: Final = 600.0
"""The longest wait that the other side may ask for; after that it is asked again."""
Say = Callable[[str, Mapping[str, Any], str], None]


class Complaints:
    """The errors of one task in its own words. Its thread owns it; `say` makes a report under the present view."""

    def __init__(self, view: Callable[[], View], clock: Clock, worker: str, say: Say) -> None:
        self._view = view
        self._clock = clock
        self._worker = worker
        self._say = say
        self._said = 0
        self.said_s = 0.0
        """When something was last said, in seconds of the monotonic clock."""

    def about(self, error: Exception, known: Failure | None, attempt: int, retry: RetryConfig) -> Failure:
        """Return what an error is: the failure that stands, met again, or another one, which clears that.

        `attempt` is how often it was retried; past `retry.max_attempts` it counts as unrecoverable.
        """
        view, now_ms = self._view(), self._clock.now_ms()
        failure = classify(error, worker=self._worker, now_ms=now_ms, about=f"{view.stream}|{view.incarnation}")
        if isinstance(error, StaleMember):
            failure = failure.as_recoverable()
        if known is not None and known.same_as(failure):
            failure = known.again(now_ms)
        elif known is not None:
            self.clear(known)
        if failure.recoverable and retry.max_attempts is not None and attempt >= retry.max_attempts:
            failure = failure.given_up(attempt)
        self._log(error, failure)
        return failure

    def tell(self, failure: Failure) -> None:
        """Say it when its count is a power of two, and when it does not pass by itself."""
        if failure.count & (failure.count - 1) == 0 or not failure.recoverable:
            self.repeat(failure)

    def repeat(self, failure: Failure) -> None:
        """Say it, whatever was said before."""
        self._said += 1
        self.said_s = self._clock.monotonic_s()
        self._say("error-raised", {"error": failure.payload()}, f"{failure.id}-{self._said}")

    def clear(self, failure: Failure) -> None:
        """Say that it is gone."""
        self._say("error-cleared", {"error_id": failure.id}, failure.id)
        self._logger().info("the cause is gone", action="task.cleared", error_id=failure.id)

    def _log(self, error: Exception, failure: Failure) -> None:
        # Our own errors' sentences say it all; of somebody else's code the traceback is wanted, here and nowhere else.
        cause: BaseException | None = None if isinstance(error, HeadgateError) else error
        if isinstance(error, TransformFailed) and not failure.recoverable:
            cause = error.__cause__
        logger = self._logger()
        (logger.warning if failure.recoverable else logger.error)(
            "task failed",
            action="task.failed",
            code=failure.code,
            error=failure.message,
            error_id=failure.id,
            exc_info=cause,
        )

    def _logger(self) -> Any:
        view = self._view()
        return structlog.get_logger("headgate.worker").bind(stream=view.stream, incarnation=view.incarnation)


def delay_s(attempt: int, error: Exception, retry: RetryConfig, draw: float) -> float:
    """Return how long to wait before the next attempt: by the stream's backoff, and as long as the error asks."""
    wait_s = backoff.delay_s(attempt, retry.initial_s, retry.max_s, draw)
    asked_s: Any = getattr(error, "retry_after_s", None)
    return max(wait_s, min(asked_s, RETRY_AFTER_MAX_S)) if isinstance(asked_s, (int, float)) else wait_s
