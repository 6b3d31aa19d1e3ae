"""Records that cannot be processed: which are known, how many are too many, and what becomes of one that is set aside.

A transform says at once which record it could not process. A destination often says it when some of the batch may be
written already; so its refusals are remembered, and the record is treated when it comes again. A record that is set
aside is passed over, as a dead letter where the stream asks for one, up to the stream's limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import structlog

from headgate.core.error_limit import ErrorLimit
from headgate.ports.destination import Destination, RecordRefused
from headgate.ports.log import TopicPartition
from headgate.worker.accounts import Accounts, partition_of
from headgate.worker.dead_letters import DeadLetters
from headgate.worker.failures import TooManyErrors
from headgate.worker.pipeline import Pipeline
from headgate.worker.view import View
from headgate_events.errors import HeadgateError
from headgate_events.records import Record
from headgate_events.topics import Topics

MAX_REFUSED: Final = 10_000
"""Records that a destination refused and that have not come again yet."""

logger = structlog.get_logger("headgate.worker")


class BadRecords:
    """The bad records of one task, whose thread owns it. `take_on` comes first."""

    def __init__(self) -> None:
        self.set_aside_count = 0
        self._pipeline: Pipeline | None = None
        self._limit = ErrorLimit(0, 1)
        self._letters: DeadLetters | None = None
        self._refused: dict[tuple[TopicPartition, int], RecordRefused] = {}

    def take_on(self, pipeline: Pipeline, destination: Destination) -> None:
        """Go on by a revision's settings, with a destination that is open. Raises LogError.

        What was refused was so by the settings before, or in the run before: it is tried again.
        """
        before, self._pipeline = self._pipeline, pipeline
        if pipeline is not before:
            self._refused.clear()
        config = pipeline.config
        if before is None or before.config.error_limit != config.error_limit:
            self._limit = ErrorLimit(config.error_limit.errors, config.error_limit.records)
        if config.on_error == "dead_letter" and self._letters is None:
            context = pipeline.context
            topic = Topics(pipeline.namespace).dead_letters(context.stream)
            self._letters = DeadLetters(context.log, topic, destination)
            self._letters.open()

    @property
    def any_refused(self) -> bool:
        """Whether a record that was refused has yet to come again."""
        return bool(self._refused)

    def refuse(self, refused: RecordRefused) -> bool:
        """Remember a record that the destination refuses, for when it comes again.

        False when there are too many, and when it was remembered: then it has come again, and stops the stream.
        """
        place = partition_of(refused.origin), refused.origin.offset() or 0
        if place in self._refused or len(self._refused) >= MAX_REFUSED:
            return False
        self._refused[place] = refused
        return True

    def up_to_refused(self, records: Sequence[Any]) -> tuple[Sequence[Any], RecordRefused | None]:
        """Return the records before the first that was refused, and that refusal, if there is one."""
        if self._refused:
            for number, record in enumerate(records):
                refused = self._refused.get((partition_of(record), record.offset()))
                if refused is not None:
                    return records[:number], refused
        return records, None

    def good(self, count: int) -> None:
        """Count records that were processed."""
        self._limit.good(count)

    def too_many(self, failure: HeadgateError) -> TooManyErrors | None:
        """Count one that was not; return what ends the stream when there are too many now."""
        if not self._limit.bad():
            return None
        return TooManyErrors(
            f"More than {self._limit.errors:,} of the last {self._limit.records:,} records could not be processed;"
            f" the last one: {failure.message}",
            hint="Look at the records and at the transform, then recover the stream.",
        )

    def set_aside(self, record: Record, failure: HeadgateError, view: View) -> None:
        """Pass a record over, with a dead letter where the stream asks for one. Raises LogError."""
        assert self._pipeline is not None
        if self._pipeline.config.on_error == "dead_letter":
            assert self._letters is not None, "they are opened with the settings that ask for them"
            self._letters.write(record, failure, view, self._pipeline.revision)
        self.set_aside_count += 1
        if self.set_aside_count & (self.set_aside_count - 1) == 0:  # 1, 2, 4, 8 …: many do not fill the log
            logger.warning(
                "a record was set aside",
                action="task.set_aside",
                stream=self._pipeline.context.stream,
                code=failure.code,
                error=failure.message,
                set_aside=self.set_aside_count,
            )

    def flush(self) -> None:
        """Make the letters durable that are outside of a transaction, before their positions. Raises LogError."""
        if self._letters is not None:
            self._letters.flush()

    def committed(self, accounts: Accounts) -> None:
        """Forget the letters that the committed positions are past, and the refusals that will not come again."""
        if self._letters is not None:
            self._letters.committed()
        if self._refused:
            self._refused = {
                (place, offset): refused
                for (place, offset), refused in self._refused.items()
                if place in accounts.of and offset >= accounts.of[place].position
            }

    def close(self) -> None:
        """Let go of the producer of dead letters, if there is one; what was refused stays known. Raises LogError."""
        letters, self._letters = self._letters, None
        if letters is not None:
            letters.close()
