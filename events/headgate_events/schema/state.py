"""State: where each stream is now, one record per stream on the compacted topic.

Everything here follows from the history by folding it; nothing is known only here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from headgate_events.schema.common import (
    Actor,
    Code,
    Condition,
    Hash,
    Id,
    Json,
    Model,
    PartitionKey,
    Positions,
    Reason,
    Receipt,
    StatusName,
    StreamError,
    StreamName,
    Text,
    TimeMs,
    TopicName,
    Version,
    WorkerName,
)
from headgate_events.schema.config import StreamConfig
from headgate_events.schema.reports import Checks, PartitionCounts


class Pending(Model):
    """A command that is decided later: at a time (`not_before_ms`), on a fact (`when_idle`), or after a check.

    With `idle_for_ms` the stream has to have been idle for so long.

    With `dry_run` it will be answered, and nothing will have happened.
    """

    command_id: Id
    command: Literal["create", "start", "pause", "resume", "recover", "modify", "delete", "cancel-drain", "retry"]
    payload: dict[str, Json]
    actor: Actor
    reason: Reason | None = None
    type: Annotated[str, Field(max_length=100)]
    topic: TopicName
    partition: Annotated[int, Field(ge=0)]
    offset: Version
    since_ms: TimeMs
    not_before_ms: TimeMs | None = None
    when_idle: bool = False
    idle_for_ms: TimeMs | None = None
    deadline_ms: TimeMs | None = None
    dry_run: bool = False


class Revision(Model):
    """The number of the configuration: accepted (`desired`), run by every task (`applied`, 0 for none yet)."""

    desired: Version
    applied: Version
    rejected: Version | None = None
    checks: Checks = ()


class LastApplied(Model):
    """The definition that every task ran before the desired one: where that is rejected, tasks go on by this."""

    revision: Version
    config: StreamConfig


class Task(Model):
    """One worker's share of the stream, as last reported."""

    revision: Version
    epoch: Version
    since_ms: TimeMs


class Drain(Model):
    """How the present or the last drain went. `listed` says that the source's partitions are known for this epoch.

    `silence` is set where auto-pause began it: the ends at which the source was silent, by topic and partition. When
    the source moves past them, the stream goes on by itself; where a person paused it, it never does.
    """

    epoch: Version
    then: Literal["paused", "deleted"]
    started_ms: TimeMs
    deadline_ms: TimeMs | None
    finished_ms: TimeMs | None = None
    listed: bool = False
    receipts: dict[TopicName, dict[PartitionKey, Receipt]] = Field(default_factory=dict)
    silence: Positions | None = None


class StandingError(StreamError):
    """An error that stands, with the epoch under which it was last reported."""

    epoch: Version


class ConditionState(Model):
    """Since when a condition holds, what it says, and when it leads further by itself."""

    since_ms: TimeMs
    message: Text = ""
    deadline_ms: TimeMs | None = None


class CommandMemory(Model):
    """One command of the idempotence window, with the answer that it got."""

    id: Id
    outcome: Literal["accepted", "refused", "without_effect", "stale"]
    code: Code | None = None
    message: Text = ""
    hint: Text = ""
    version: Version | None = None


class LastChange(Model):
    """Who last changed the status, when and why."""

    kind: Annotated[str, Field(max_length=64)]
    version: Version
    at_ms: TimeMs
    actor: Actor
    reason: Reason | None = None


class Inputs(Model):
    """The positions up to which this stream's inputs are folded: an input below them changes nothing."""

    commands: Version = 0
    reports: Version = 0


class StreamState(Model):
    """Everything that is known about one stream.

    `changes_ms` are the times of the last changes of status that nobody asked for: too many, and the stream flaps.
    `ends` is where a bounded stream stops that is to stop at the ends that its first start met, or at a time.
    `carries_on` says of a FAILED_PERMANENTLY stream that only some partitions failed (its `errors` name them) and its
    tasks move the others. `due_ms` is the earliest moment that the stream waits for, None for none. It stands at the
    beginning, so that a restore of a million states need not parse them to learn it.
    """

    kind: Literal["state"] = "state"
    due_ms: TimeMs | None = None
    stream: StreamName
    incarnation: Version
    version: Version
    epoch: Version
    started_epoch: Version
    status: StatusName
    since_ms: TimeMs
    created_ms: TimeMs
    updated_ms: TimeMs
    config: StreamConfig
    revision: Revision
    last_applied: LastApplied | None = None
    restart_version: Version = 0
    retry_version: Version = 0
    positions: Positions = Field(default_factory=dict)
    ends: Positions = Field(default_factory=dict)
    partitions: PartitionCounts | None = None
    tasks: dict[WorkerName, Task] = Field(default_factory=dict)
    deadline_ms: TimeMs | None = None
    drain: Drain | None = None
    errors: Annotated[dict[Id, StandingError], Field(max_length=256)] = Field(default_factory=dict)
    failed_from: Literal["RUNNING", "DRAINING"] | None = None
    carries_on: bool = False
    changes_ms: Annotated[tuple[TimeMs, ...], Field(max_length=1_001, strict=False)] = ()
    checks: Checks = ()
    scheduled: dict[Id, Pending] = Field(default_factory=dict)
    checking: Pending | None = None
    conditions: dict[Condition, ConditionState] = Field(default_factory=dict)
    commands: Annotated[tuple[CommandMemory, ...], Field(strict=False)] = ()
    last: LastChange
    head: Hash
    inputs: Inputs


class Progress(Model):
    """The positions up to which a projector folded one partition of the inputs."""

    kind: Literal["progress"] = "progress"
    partition: Annotated[int, Field(ge=0)]
    commands: Version
    reports: Version
