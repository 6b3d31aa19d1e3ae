"""Reports: what a worker, or the projector's observer, saw. Past tense; the fold decides what follows.

Every report names the incarnation and the epoch under which it was seen. A lower epoch or another incarnation makes it
stale: it is kept in the history and changes nothing.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from headgate_events.schema.common import (
    Check,
    Code,
    Condition,
    Count,
    Id,
    Model,
    Positions,
    Receipt,
    StreamError,
    Text,
    TimeMs,
    TopicName,
    Version,
    WorkerName,
)

Checks = Annotated[tuple[Check, ...], Field(max_length=100, strict=False)]
PartitionCounts = Annotated[dict[TopicName, Annotated[int, Field(ge=0, le=100_000)]], Field(max_length=100)]


class Report(Model):
    """What every report carries. `worker` is None when the observer speaks."""

    incarnation: Version
    epoch: Version
    worker: WorkerName | None = None


class ValidationPassed(Report):
    """The stream can run: its items, the source's partitions, where each begins, and where a bounded stream ends."""

    kind: Literal["validation-passed"] = "validation-passed"
    revision: Version
    checks: Checks = ()
    partitions: PartitionCounts = Field(default_factory=dict)
    positions: Positions = Field(default_factory=dict)
    ends: Positions = Field(default_factory=dict)


class ValidationFailed(Report):
    """The stream cannot run as it is defined."""

    kind: Literal["validation-failed"] = "validation-failed"
    revision: Version
    checks: Checks = ()


class SourceListed(Report):
    """How many partitions each topic of the source has now."""

    kind: Literal["source-listed"] = "source-listed"
    partitions: PartitionCounts


class PartitionDrained(Report):
    """One partition is read up to its final position, durable and committed."""

    kind: Literal["partition-drained"] = "partition-drained"
    receipt: Receipt


class TaskStarted(Report):
    """A worker's task runs the stream at this revision."""

    kind: Literal["task-started"] = "task-started"
    revision: Version


class TaskStopped(Report):
    """A worker's task has ended in good order."""

    kind: Literal["task-stopped"] = "task-stopped"


class RevisionRejected(Report):
    """A worker cannot apply the desired revision and goes on with the one it has."""

    kind: Literal["revision-rejected"] = "revision-rejected"
    revision: Version
    checks: Checks = ()


class ErrorRaised(Report):
    """A task met an error. `error.recoverable` decides between FAILED and FAILED_PERMANENTLY."""

    kind: Literal["error-raised"] = "error-raised"
    error: StreamError


class ErrorCleared(Report):
    """The cause of a recoverable error is gone: the task moves again."""

    kind: Literal["error-cleared"] = "error-cleared"
    error_id: Id


class PositionsChecked(Report):
    """The answer to a check: the explicit positions that a policy means, or how much is missing.

    `command_id` names the command that waits. `gap` counts the records that the source no longer holds. Against where
    the stream stands, `reread` counts the records that the positions would have it read again, and `skipped` those that
    it would never read.
    """

    kind: Literal["positions-checked"] = "positions-checked"
    command_id: Id
    passed: bool
    positions: Positions = Field(default_factory=dict)
    gap: Count = 0
    reread: Count = 0
    skipped: Count = 0
    code: Code | None = None
    message: Text = ""


class Fenced(Report):
    """The stragglers of a forced stop can no longer commit anything."""

    kind: Literal["fenced"] = "fenced"


class ConditionRaised(Report):
    """A condition holds."""

    kind: Literal["condition-raised"] = "condition-raised"
    condition: Condition
    message: Text = ""


class ConditionCleared(Report):
    """A condition holds no longer."""

    kind: Literal["condition-cleared"] = "condition-cleared"
    condition: Condition


class WorkerSilent(Report):
    """A worker's heartbeats stopped. `lost` is that worker; said once per stream on which it had a task."""

    kind: Literal["worker-silent"] = "worker-silent"
    lost: WorkerName


class DeadlinePassed(Report):
    """A deadline that stands in the state has passed.

    `deadline` says which, `due_ms` the time at which it stood: another time in the state means that it was moved, and
    the report has no effect. `command_id` names the waiting command for `not_before` and `check`.
    """

    kind: Literal["deadline-passed"] = "deadline-passed"
    deadline: Literal["validation", "drain", "check", "not_before", "unassigned", "flapping", "forget"]
    due_ms: TimeMs
    command_id: Id | None = None


class IdleReached(Report):
    """Every channel of the stream is idle: what a command `when_idle` waits for."""

    kind: Literal["idle-reached"] = "idle-reached"
    command_id: Id


class SilenceReached(Report):
    """Every channel of the stream was idle for as long as its auto-pause waits. `ends` is where the source ended."""

    kind: Literal["silence-reached"] = "silence-reached"
    ends: Positions = Field(default_factory=dict)


class SourceMoved(Report):
    """The source of a stream that auto-pause paused has moved on. `positions` are those at which it would go on.

    `message` says what moved.
    """

    kind: Literal["source-moved"] = "source-moved"
    positions: Positions = Field(default_factory=dict)
    message: Text = ""


AnyReport = Annotated[
    ValidationPassed
    | ValidationFailed
    | SourceListed
    | PartitionDrained
    | TaskStarted
    | TaskStopped
    | RevisionRejected
    | ErrorRaised
    | ErrorCleared
    | PositionsChecked
    | Fenced
    | ConditionRaised
    | ConditionCleared
    | WorkerSilent
    | DeadlinePassed
    | IdleReached
    | SilenceReached
    | SourceMoved,
    Field(discriminator="kind"),
]
REPORT_KINDS = (
    "validation-passed",
    "validation-failed",
    "source-listed",
    "partition-drained",
    "task-started",
    "task-stopped",
    "revision-rejected",
    "error-raised",
    "error-cleared",
    "positions-checked",
    "fenced",
    "condition-raised",
    "condition-cleared",
    "worker-silent",
    "deadline-passed",
    "idle-reached",
    "silence-reached",
    "source-moved",
)
