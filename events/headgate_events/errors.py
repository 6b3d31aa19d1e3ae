"""The errors of Headgate: one base, stable codes, and always a way out.

An error that a person can meet says one sentence (what is wrong) and one remedy (what to do). `code` is public and
never changes its meaning; programs branch on it, people read the sentence. Refusals of commands are *not* errors:
they are values (`Outcome`), because a refused command is a normal answer.
"""

from __future__ import annotations

from typing import ClassVar


class HeadgateError(Exception):
    """Base of all errors that Headgate raises on purpose.

    `code` is stable and public, like `stream.not_found`; its first word says whose business it is: `environment.*` is
    the machine's or the cluster's, `request.*` the caller's, `stream.*` and `command.*` the stream's, `internal` ours.
    `retriable` says whether the same call may succeed later without any change.
    """

    code: ClassVar[str] = "internal"
    retriable: ClassVar[bool] = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class InvalidRequest(HeadgateError):
    """The caller's fault: an argument, a name or a definition is not valid. Nothing was sent."""

    code = "request.invalid"


class NotFound(HeadgateError):
    """What was asked for does not exist (any more)."""

    code = "stream.not_found"


class UnreadableRecord(HeadgateError):
    """A record that cannot be decoded. Carries the stable code of the reason, which differs by record.

    The writer's fault, never the reader's: a reader reports it with its topic, partition and offset and goes on.
    """

    code = "record.unreadable"

    def __init__(self, reason: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class EnvironmentProblem(HeadgateError):
    """The machine, the cluster or the network lacks something; a person has to act."""

    code = "environment.unavailable"


class ClusterUnreachable(EnvironmentProblem):
    """No broker answered within the bound. Trying again may help."""

    code = "environment.cluster_unreachable"
    retriable = True


class TopicsMissing(EnvironmentProblem):
    """The topics of the namespace do not exist, or not as they must be; `headgate init` creates and checks them."""

    code = "environment.topics_missing"


class OutcomeTimeout(HeadgateError):
    """The command is in the log, but no final outcome came within the bound.

    It may still take effect. Sending it again with the same id is safe: it gets the same outcome.
    """

    code = "command.outcome_timeout"
    retriable = True


class SendFailed(HeadgateError):
    """The command could not be written to the log within the bound; sending it again with the same id is safe."""

    code = "command.send_failed"
    retriable = True
