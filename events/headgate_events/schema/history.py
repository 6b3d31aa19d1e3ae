"""History: every transition and every outcome, written by the projector alone.

A transition is a fact that changed a stream; it is numbered by `version` within an incarnation and carries the SHA-256
of the stored bytes of the one before it. An outcome is the one final answer to one input. `forwarded` is neither: it
says that an input lay in the wrong partition and was written again in the right one. Folding the transitions and the
outcomes of a stream gives its state, byte for byte: that is what `headgate verify` checks.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from headgate_events.schema.common import (
    Actor,
    Code,
    Condition,
    Count,
    Hash,
    Id,
    InputPosition,
    Json,
    Model,
    Positions,
    Reason,
    Receipt,
    StatusName,
    StreamError,
    StreamName,
    Text,
    TimeMs,
    Version,
    WorkerName,
)
from headgate_events.schema.config import StreamConfig
from headgate_events.schema.reports import Checks, PartitionCounts
from headgate_events.schema.state import Pending

RecordType = Annotated[str, Field(max_length=100)]


class Cause(InputPosition):
    """The input from which a record of the history followed."""

    id: Id
    type: RecordType


class Transition(Model):
    """What every transition carries. `from_status` is None at a creation; `previous` is None for the first ever."""

    stream: StreamName
    incarnation: Version
    version: Version
    epoch: Version
    from_status: StatusName | None
    to_status: StatusName
    at_ms: TimeMs
    actor: Actor
    reason: Reason | None = None
    cause: Cause
    previous: Hash | None = None


class StreamCreated(Transition):
    """A stream was defined."""

    kind: Literal["stream-created"] = "stream-created"
    config: StreamConfig


class StreamStarting(Transition):
    """A stream is being validated, until `deadline_ms` at the latest."""

    kind: Literal["stream-starting"] = "stream-starting"
    deadline_ms: TimeMs


class StreamStarted(Transition):
    """A stream passed its validation and runs, from `positions`; a bounded one up to `ends`."""

    kind: Literal["stream-started"] = "stream-started"
    checks: Checks = ()
    partitions: PartitionCounts
    positions: Positions
    ends: Positions = Field(default_factory=dict)


class ValidationFailed(Transition):
    """A stream did not pass its validation and is not started."""

    kind: Literal["stream-validation-failed"] = "stream-validation-failed"
    checks: Checks = ()


class DrainStarted(Transition):
    """A stream stops reading and finishes what is in flight; `then` says what follows.

    `silence` says that auto-pause asked for it, and where the source ended then.
    """

    kind: Literal["stream-draining"] = "stream-draining"
    deadline_ms: TimeMs
    then: Literal["paused", "deleted"]
    silence: Positions | None = None


class PauseKept(Transition):
    """Somebody wants a stream to stay paused that auto-pause paused: it does not go on by itself any more."""

    kind: Literal["pause-kept"] = "pause-kept"


class DrainCancelled(Transition):
    """A stream runs again from an unfinished drain."""

    kind: Literal["stream-drain-cancelled"] = "stream-drain-cancelled"


class SourceListed(Transition):
    """The source's partitions are these now."""

    kind: Literal["source-listed"] = "source-listed"
    partitions: PartitionCounts


class PartitionDrained(Transition):
    """One partition has its receipt."""

    kind: Literal["partition-drained"] = "partition-drained"
    receipt: Receipt


class StreamPaused(Transition):
    """A stream is paused; `unclean` when a forced pause gave up on its drain."""

    kind: Literal["stream-paused"] = "stream-paused"
    unclean: bool = False


class StreamResumed(Transition):
    """A paused stream runs again, from `positions`."""

    kind: Literal["stream-resumed"] = "stream-resumed"
    positions: Positions


class StreamRecovered(Transition):
    """A permanently failed stream runs again (or drains, until `deadline_ms`), from what `policy` meant."""

    kind: Literal["stream-recovered"] = "stream-recovered"
    positions: Positions
    policy: Json
    deadline_ms: TimeMs | None = None


class StreamFailed(Transition):
    """A stream met a recoverable error; its workers go on retrying."""

    kind: Literal["stream-failed"] = "stream-failed"
    error: StreamError


class StreamFailedPermanently(Transition):
    """A stream met an error that it cannot get over by itself."""

    kind: Literal["stream-failed-permanently"] = "stream-failed-permanently"
    error: StreamError


class ErrorNoted(Transition):
    """An error was met that changes no status: while draining, or again while failed."""

    kind: Literal["error-noted"] = "error-noted"
    error: StreamError


class ErrorCleared(Transition):
    """The cause of an error is gone; a failed stream runs again."""

    kind: Literal["error-cleared"] = "error-cleared"
    error_id: Id | None = None


class RetryRequested(Transition):
    """A person asked a failed stream to retry at once."""

    kind: Literal["retry-requested"] = "retry-requested"


class StreamModified(Transition):
    """A new revision of the definition is desired; `restart` says that the tasks restart at the same positions.

    `deadline_ms` is set while the stream is STARTING: the new revision is validated afresh.
    """

    kind: Literal["stream-modified"] = "stream-modified"
    revision: Version
    restart: bool
    config: StreamConfig
    deadline_ms: TimeMs | None = None


class RevisionRejected(Transition):
    """The workers could not apply a revision and go on with the one before."""

    kind: Literal["revision-rejected"] = "revision-rejected"
    revision: Version
    checks: Checks = ()


class TaskStarted(Transition):
    """A worker runs the stream at this revision."""

    kind: Literal["task-started"] = "task-started"
    worker: WorkerName
    revision: Version


class TaskStopped(Transition):
    """A worker runs the stream no longer: its task ended, or the worker fell silent."""

    kind: Literal["task-stopped"] = "task-stopped"
    worker: WorkerName
    silent: bool = False


class ConditionRaised(Transition):
    """A condition holds. Where it leads further by itself, `deadline_ms` says when."""

    kind: Literal["condition-raised"] = "condition-raised"
    condition: Condition
    message: Text = ""
    deadline_ms: TimeMs | None = None


class ConditionCleared(Transition):
    """A condition holds no longer. A drain that moves again has until `deadline_ms`."""

    kind: Literal["condition-cleared"] = "condition-cleared"
    condition: Condition
    deadline_ms: TimeMs | None = None


class Scheduled(Transition):
    """A command waits for its time or for a fact; its final outcome follows."""

    kind: Literal["scheduled"] = "scheduled"
    pending: Pending


class Checking(Transition):
    """A command waits for a worker's check of the positions; its final outcome follows."""

    kind: Literal["checking"] = "checking"
    pending: Pending


class StreamDeleted(Transition):
    """A stream is gone. Its command ids are remembered until `forget_ms`."""

    kind: Literal["stream-deleted"] = "stream-deleted"
    forget_ms: TimeMs
    drained: bool = False


class StreamForgotten(Transition):
    """The memory of a deleted stream ended: its state is a tombstone now."""

    kind: Literal["stream-forgotten"] = "stream-forgotten"


class Outcome(Model):
    """The one final answer to one input.

    `outcome` is accepted, refused, stale (a report of an older epoch or another incarnation) or without_effect (it was
    already so). `version` is the one that an accepted command led to. `input` is where the input stands; for a command
    that was forwarded, the place it was forwarded to. `causes` tells the report that decided a waiting command.
    """

    kind: Literal["outcome"] = "outcome"
    stream: Annotated[str, Field(max_length=256)] | None
    incarnation: Version | None = None
    outcome: Literal["accepted", "refused", "stale", "without_effect"]
    code: Code | None = None
    message: Text = ""
    hint: Text = ""
    version: Version | None = None
    status: StatusName | None = None
    dry_run: bool = False
    repeated: bool = False
    at_ms: TimeMs
    actor: Actor | None = None
    reason: Reason | None = None
    input: InputPosition
    input_id: Id | None = None
    input_type: RecordType | None = None
    decided_by: Cause | None = None
    gap: Count | None = None

    @property
    def accepted(self) -> bool:
        """Whether it took effect (for a dry run: whether it would have)."""
        return self.outcome == "accepted"


class Forwarded(Model):
    """An input lay in a partition that is not its key's and was written again in the right one."""

    kind: Literal["forwarded"] = "forwarded"
    stream: Annotated[str, Field(max_length=256)]
    at_ms: TimeMs
    input: InputPosition
    input_id: Id | None = None
    input_type: RecordType | None = None
    to_partition: Count


AnyTransition = Annotated[
    StreamCreated
    | StreamStarting
    | StreamStarted
    | ValidationFailed
    | DrainStarted
    | PauseKept
    | DrainCancelled
    | SourceListed
    | PartitionDrained
    | StreamPaused
    | StreamResumed
    | StreamRecovered
    | StreamFailed
    | StreamFailedPermanently
    | ErrorNoted
    | ErrorCleared
    | RetryRequested
    | StreamModified
    | RevisionRejected
    | TaskStarted
    | TaskStopped
    | ConditionRaised
    | ConditionCleared
    | Scheduled
    | Checking
    | StreamDeleted
    | StreamForgotten,
    Field(discriminator="kind"),
]
AnyHistory = Annotated[AnyTransition | Outcome | Forwarded, Field(discriminator="kind")]
HISTORY_KINDS = (
    "stream-created",
    "stream-starting",
    "stream-started",
    "stream-validation-failed",
    "stream-draining",
    "pause-kept",
    "stream-drain-cancelled",
    "source-listed",
    "partition-drained",
    "stream-paused",
    "stream-resumed",
    "stream-recovered",
    "stream-failed",
    "stream-failed-permanently",
    "error-noted",
    "error-cleared",
    "retry-requested",
    "stream-modified",
    "revision-rejected",
    "task-started",
    "task-stopped",
    "condition-raised",
    "condition-cleared",
    "scheduled",
    "checking",
    "stream-deleted",
    "stream-forgotten",
    "outcome",
    "forwarded",
)
