"""Failures: one classifier from whatever was raised to what people and programs see.

Two classes matter: a *recoverable* error goes away by itself or by somebody's work elsewhere, and is retried for
ever; an *unrecoverable* one needs a decision about this stream. Ours and the connectors' errors say it themselves
(`retriable`); anything else is a fault in somebody's code, and code does not mend itself. Tracebacks go to the log,
never into an event.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, ClassVar, Final

from headgate.ports.destination import RecordRefused
from headgate.ports.errors import PositionLost
from headgate.worker.error_classes import is_recoverable
from headgate_events.errors import HeadgateError

MAX_MESSAGE: Final = 1_000
_CODE: Final = re.compile(r"[a-z0-9_.]{1,64}")


class TransformFailed(HeadgateError):
    """A transform raised for a record, or returned what cannot be written. The author's fault.

    `later` says that the transform asked for a retry, or met an error that passes; `stops` that it asked for the stream
    to stop here, whatever `on_error` says.
    """

    code: ClassVar[str] = "transform.failed"

    def __init__(
        self,
        message: str,
        *,
        topic: str | None,
        partition: int | None,
        offset: int | None,
        later: bool,
        stops: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.stops = stops
        self.retry_after_s = retry_after_s
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.later = later


class SourceGone(HeadgateError):
    """The source of a running stream does not exist any more. Whoever deleted it, a person has to decide."""

    code: ClassVar[str] = "source.gone"


class TooManyErrors(HeadgateError):
    """More records were set aside than the stream's `error_limit` allows. Whoever writes the source has to look."""

    code: ClassVar[str] = "record.too_many_errors"


class ConfigRejected(HeadgateError):
    """A definition that this worker cannot run; `checks` itemise it (dictionaries of the shape `Check`)."""

    code: ClassVar[str] = "config.rejected"

    def __init__(self, checks: list[dict[str, Any]]) -> None:
        failed = next((check for check in checks if check["result"] == "failed"), None)
        super().__init__(failed["message"] if failed else "The definition cannot be run.")
        self.checks = checks


@dataclass(frozen=True, slots=True)
class Failure:
    """A standing error of a task, in the words of `StreamError`. Times are epoch milliseconds."""

    id: str
    code: str
    recoverable: bool
    message: str
    worker: str
    topic: str | None
    partition: int | None
    offset: int | None
    first_seen_ms: int
    last_seen_ms: int
    count: int = 1
    next_retry_ms: int | None = None

    def again(self, now_ms: int) -> Failure:
        """Return the same error, met once more."""
        return replace(self, last_seen_ms=max(now_ms, self.last_seen_ms), count=self.count + 1, next_retry_ms=None)

    def same_as(self, other: Failure) -> bool:
        """Say whether the other is this error, met again."""
        return (self.code, self.topic, self.partition) == (other.code, other.topic, other.partition)

    def as_recoverable(self) -> Failure:
        """Return it as one that is retried."""
        return replace(self, recoverable=True)

    def given_up(self, attempts: int) -> Failure:
        """Return it as one that was retried as often as the stream allows."""
        message = f"{self.message} Given up after {attempts} attempts (retry.max_attempts)."[-MAX_MESSAGE:]
        return replace(self, recoverable=False, message=message, next_retry_ms=None)

    def retried_at(self, next_retry_ms: int) -> Failure:
        """Return it with the time of the next attempt."""
        return replace(self, next_retry_ms=next_retry_ms)

    def payload(self) -> dict[str, Any]:
        """Return it as the JSON of a report."""
        return {name: getattr(self, name) for name in self.__slots__ if getattr(self, name) is not None}


def classify(error: BaseException, *, worker: str, now_ms: int, about: str) -> Failure:
    """Return what is shown of an error. `about` (stream and incarnation) makes its id unique."""
    topic = partition = offset = None
    if isinstance(error, TransformFailed):
        code, recoverable, message = error.code, error.later, str(error)
        topic, partition, offset = error.topic, error.partition, error.offset
        if error.later:
            code = "transform.retry_later"
    elif isinstance(error, RecordRefused):
        code, recoverable, message = error.code, False, str(error)
        topic, partition, offset = error.origin.topic(), error.origin.partition(), error.origin.offset()
    elif isinstance(error, PositionLost):
        code, recoverable, message = "position.lost", False, str(error)
        topic, partition, offset = error.topic, error.partition, error.position
    elif isinstance(error, HeadgateError):
        code, recoverable, message = error.code, error.retriable, str(error)
    elif is_recoverable(error):
        code, recoverable = "connector.unavailable", True
        message = f"{type(error).__name__}: {error}. It is tried again."
    else:
        code, recoverable = "internal", False
        message = f"{type(error).__name__}: {error}. This is a fault in the worker or in a connector; see its log."
    if _CODE.fullmatch(code) is None:
        code = "connector.error"
    return Failure(
        id=sha256(f"{about}|{worker}|{topic}|{partition}|{code}|{now_ms}".encode()).hexdigest()[:16],
        code=code,
        recoverable=recoverable,
        message=" ".join(message.split())[:MAX_MESSAGE],
        worker=worker,
        topic=topic or None,
        partition=partition if partition is not None and partition >= 0 else None,
        offset=offset if offset is not None and offset >= 0 else None,
        first_seen_ms=now_ms,
        last_seen_ms=now_ms,
    )
