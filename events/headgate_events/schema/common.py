"""What every record shares: the base model, the bounds, and the words of the lifecycle."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from headgate_events.names import STREAM_NAME_PATTERN, WORKER_NAME_PATTERN

MAX_INT64: Final = 2**63 - 1
MAX_TIME_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""
MAX_COMMAND_BYTES: Final = 256 * 1024
MAX_REPORT_BYTES: Final = 512 * 1024
MAX_PARTITIONS_PER_TOPIC: Final = 100_000


class Model(BaseModel):
    """Base of all records: immutable, strict about types, tolerant of fields that a newer version added."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)


class Status(StrEnum):
    """Where a stream is in its lifecycle. DELETED is remembered for a while, and readers do not show it."""

    NOT_STARTED = "NOT_STARTED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    DRAINING = "DRAINING"
    PAUSED = "PAUSED"
    FAILED = "FAILED"
    FAILED_PERMANENTLY = "FAILED_PERMANENTLY"
    DELETED = "DELETED"


Condition = Literal["unassigned", "stalled", "position_at_risk", "unclean", "fence_pending", "checking", "flapping"]
"""A flag beside the status."""

StatusName = Literal[
    "NOT_STARTED", "STARTING", "RUNNING", "DRAINING", "PAUSED", "FAILED", "FAILED_PERMANENTLY", "DELETED"
]
StreamName = Annotated[str, StringConstraints(pattern=STREAM_NAME_PATTERN, max_length=63)]
WorkerName = Annotated[str, StringConstraints(pattern=WORKER_NAME_PATTERN, max_length=128)]
TopicName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9._-]{1,249}$")]
Id = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Actor = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Reason = Annotated[str, StringConstraints(max_length=1_000)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.]{1,64}$")]
Text = Annotated[str, StringConstraints(max_length=2_000)]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Partition = Annotated[int, Field(ge=0, lt=MAX_PARTITIONS_PER_TOPIC)]
Position = Annotated[int, Field(ge=0, le=MAX_INT64)]
"""The next offset to read; never the last one read."""
Count = Annotated[int, Field(ge=0, le=MAX_INT64)]
TimeMs = Annotated[int, Field(ge=0, le=MAX_TIME_MS)]
"""Milliseconds since 1970-01-01 UTC, up to the end of the year 9999."""
Version = Annotated[int, Field(ge=0, le=MAX_INT64)]
PartitionKey = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,5})$")]
"""A partition's number as the key of a JSON object."""
Positions = Annotated[
    dict[TopicName, Annotated[dict[PartitionKey, Position], Field(max_length=MAX_PARTITIONS_PER_TOPIC)]],
    Field(max_length=100),
]
"""Positions by topic and partition: `{"flights": {"0": 12, "1": 7}}`."""
Json = Any
"""Any JSON value; its size is bounded by the record that holds it."""


class InputPosition(Model):
    """Where an input stands: what an outcome or a transition answers to."""

    topic: TopicName
    partition: Partition
    offset: Position


class Check(Model):
    """One item of a validation: what was looked at and what came of it."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    result: Literal["not_executed", "passed", "warning", "failed"]
    code: Code | None = None
    message: Text = ""
    hint: Text = ""


class Receipt(Model):
    """Proof that the drain of one source partition finished.

    `start` is the position at which the tasks' present run began, `end` the final position: the next offset that nobody
    has read. `read` and `written` count records over that range, also across owners; `set_aside` those of `read` that
    could not be processed and were passed over or became dead letters. `digest` is chained over the records of the
    range (offset, key, value) where the stream asks for it.
    """

    topic: TopicName
    partition: Partition
    start: Position
    end: Position
    read: Count
    written: Count
    worker: WorkerName
    set_aside: Count = 0
    digest: Hash | None = None


class StreamError(Model):
    """One error that a worker met, as people and programs see it (never a traceback)."""

    id: Id
    code: Code
    recoverable: bool
    message: Text
    worker: WorkerName | None = None
    topic: TopicName | None = None
    partition: Partition | None = None
    offset: Position | None = None
    first_seen_ms: TimeMs
    last_seen_ms: TimeMs
    count: Annotated[int, Field(ge=1, le=MAX_INT64)] = 1
    next_retry_ms: TimeMs | None = None
