"""Heartbeats and markers: what workers say beside the lifecycle. Never an input of the fold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from headgate_events.schema.common import (
    Actor,
    Count,
    Id,
    Model,
    Partition,
    Position,
    Reason,
    StreamName,
    Text,
    TimeMs,
    TopicName,
    Version,
    WorkerName,
)

Milliseconds64 = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
OwnedPartition = Annotated[tuple[TopicName, Partition], Field(strict=False)]
"""A source topic and one of its partitions; in JSON a list of two."""
ActivityReason = Literal[
    "EMPTY", "RESUMED", "NO_ASSIGNMENT", "OPEN_TXN", "FINISHED", "SHUTDOWN", "UPSTREAM", "HELD", "SUSPECT"
]
"""Why a status was said. HELD and SUSPECT: the stream before stands still, or nobody speaks for it any more."""


class ChannelBeat(Model):
    """What a task last said about one of its channels: repeated, so that an edge that was lost heals.

    `status` is None while nothing was said under this claim. `since_ms` is when the status was said, `end` and
    `fetched_at_ms` are its proof; `position` is how far the channel was read when the heartbeat was sent. `reason` is
    why; `because` says in words what holds a HELD or SUSPECT one.
    """

    topic: TopicName
    partition: Partition
    status: Literal["IDLE", "ACTIVE", "FINISHED"] | None = None
    since_ms: TimeMs | None = None
    watermark: Milliseconds64 | None = None
    claim: Version
    position: Position | None = None
    end: Position | None = None
    fetched_at_ms: TimeMs | None = None
    reason: ActivityReason | None = None
    because: Text | None = None


class TaskBeat(Model):
    """How one task stands: what it owns, how far it is, what it still holds in flight, and what it waits for.

    `last_progress_ms` (the worker's clock) is when records last moved, and `at_end` that a fetch newer than the last
    record found nothing more on any partition it owns: a running task with neither is stalled.

    `activity` is derived from the channels of a running task: FINISHED when all of them are, IDLE when all are one or
    the other, and IDLE with NO_ASSIGNMENT when it holds no partition. None where nothing is said of channels.
    """

    stream: StreamName
    incarnation: Version
    epoch: Version
    revision: Version
    phase: Literal["starting", "running", "retrying", "draining", "drained", "failed"]
    partitions: Annotated[tuple[OwnedPartition, ...], Field(max_length=100_000, strict=False)] = ()
    records_read: Count = 0
    records_written: Count = 0
    in_flight: Count = 0
    partitions_drained: Count = 0
    transactional_ids: Annotated[tuple[Id, ...], Field(max_length=16, strict=False)] = ()
    error: Text | None = None
    next_retry_ms: TimeMs | None = None
    last_progress_ms: TimeMs | None = None
    at_end: bool = False
    waits_for: Text | None = None
    activity: Literal["IDLE", "ACTIVE", "FINISHED"] | None = None
    activity_reason: Literal["NO_ASSIGNMENT", "EMPTY", "FINISHED"] | None = None
    channels: Annotated[tuple[ChannelBeat, ...], Field(max_length=100_000, strict=False)] = ()


class Heartbeat(Model):
    """A worker is alive and runs these tasks.

    `stopping` says that it leaves in good order, `cordoned` that it stays but is to be given no tasks.
    """

    kind: Literal["heartbeat"] = "heartbeat"
    worker: WorkerName
    instance: Id
    at_ms: TimeMs
    interval_ms: Annotated[int, Field(ge=1, le=600_000)]
    version: Annotated[str, Field(max_length=64)]
    stopping: bool = False
    cordoned: bool = False
    tasks: Annotated[tuple[TaskBeat, ...], Field(max_length=10_000, strict=False)] = ()


class Cordon(Model):
    """Somebody wants a worker to run no tasks, for maintenance. A tombstone on the same key ends it.

    Its key on the heartbeats topic is `cordon/` and the worker's name. The worker says it again from time to time, as
    long as it lives, since the topic forgets after a while; `said_by` is then its own instance.
    """

    kind: Literal["cordon"] = "cordon"
    worker: WorkerName
    at_ms: TimeMs
    actor: Actor
    reason: Reason | None = None
    said_by: Id | None = None


class Channel(Model):
    """The unit of status and watermarks."""

    topic: TopicName
    partition: Partition


class Evidence(Model):
    """Why a status was said: where the reader stood, where the source ended, and when that was fetched."""

    position: Position
    end: Position
    high: Position | None = None
    fetched_at_ms: TimeMs
    isolation: Literal["read_committed", "read_uncommitted"]


class Marker(Model):
    """The latest status and watermark of one channel: each record tells both, whichever of them changed.

    It is to be applied by a reader of `dest_topic` once its positions have passed `dest_offsets`. `since_ms` is when
    the status was first said. `channels_total` is how many channels the stream has, and `flush_on_all_idle` what it
    wants of a valve over them (None is `max`). The `watermark` of a channel that is FINISHED is not for the minimum.
    """

    kind: Literal["marker"] = "marker"
    marker: Literal["STATUS", "WATERMARK", "FINISH", "CLAIM", "HEARTBEAT"]
    stream: StreamName
    channel: Channel
    status: Literal["IDLE", "ACTIVE", "FINISHED"] | None = None
    watermark: Milliseconds64 | None = None
    reason: ActivityReason | None = None
    incarnation: Version
    epoch: Version
    claim: Version | None = None
    seq: Count = 0
    worker: WorkerName
    evidence: Evidence | None = None
    emitted_at_ms: TimeMs
    channels_total: Count | None = None
    dest_offsets: dict[str, Position] | None = None
    dest_topic: TopicName | None = None
    since_ms: TimeMs | None = None
    flush_on_all_idle: Literal["max", "none"] | None = None
