"""What can go wrong at a port, in the four classes on which callers branch.

The adapters translate each library's errors into these once, with `from`; nothing above them knows librdkafka's codes.
"""

from __future__ import annotations

from typing import ClassVar

from headgate_events.errors import HeadgateError


class LogError(HeadgateError):
    """Base of what a log port raises. Not retriable unless a subclass says so."""

    code: ClassVar[str] = "log.failed"


class LogUnavailable(LogError):
    """The broker did not answer within the bound, or is between leaders. The same call may succeed later."""

    code = "log.unavailable"
    retriable = True


class TransactionInDoubt(LogError):
    """A transaction did not end in a clean commit: it may or may not have taken effect.

    The rule (FACTS: librdkafka speaks version 1 of the transaction protocol): drop the producers, build new ones with
    the same ids, initialise them, and rewind to the committed positions. Never abort and go on.
    """

    code = "log.transaction_in_doubt"
    retriable = True


class ProducerFenced(TransactionInDoubt):
    """Another producer has initialised the same transactional id.

    That is no proof of a rival: check who owns the partition, then rebuild.
    """

    code = "log.producer_fenced"


class StaleMember(LogError):
    """A commit came from a member that the group has replaced, so it was refused: the partitions are another's now.

    Nobody's fault, and it settles itself: the listener hears `lost` or `revoked`, then perhaps `assigned` anew.
    """

    code = "log.stale_member"


class PositionLost(LogError):
    """A position lies outside what the log still holds. `topic` and `partition` say where.

    Unrecoverable by waiting: somebody has to decide where to go on.
    """

    code = "log.position_lost"

    def __init__(
        self, message: str, *, topic: str, partition: int, position: int | None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.topic = topic
        self.partition = partition
        self.position = position


class TopicMissing(LogError):
    """A topic (or partition) does not exist."""

    code = "log.topic_missing"


class NotAuthorized(LogError):
    """The principal lacks a right that this part needs."""

    code = "log.not_authorized"


class RecordRejected(LogError):
    """A topic will never take this record: it lacks the key of a compacted topic, say, or its time is out of bounds."""

    code = "log.record_rejected"


class RecordTooLarge(RecordRejected):
    """A record is larger than the topic or the producer takes. Never retriable: it will be as large next time."""

    code = "log.record_too_large"


class LogFatal(LogError):
    """The client instance is beyond use (a fatal error of the library): drop it and build a new one."""

    code = "log.client_fatal"
    retriable = True
