"""A stream's definition: what a person writes in YAML, and what create and modify carry.

Unknown keys are refused here, because a setting that is silently ignored is worse than one that is refused. Only the
sections that belong to a connector are open: each source and destination declares its own settings model, found through
its entry point, and the worker that validates the stream judges them with it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from headgate_events.schema.common import Json, Model, Positions, TimeMs

MAX_CONFIG_BYTES = 128 * 1024
Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
FunctionPath = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][\w]*(\.[A-Za-z_][\w]*)*:[A-Za-z_]\w*$", max_length=256)
]
LabelKey = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9]([-._/a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$")]
LabelValue = Annotated[str, StringConstraints(pattern=r"^([a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)?$")]
Section = Annotated[dict[str, Json], Field(max_length=100)]


class Closed(Model):
    """Base of a section that knows all of its keys."""

    model_config = ConfigDict(extra="forbid")


class Open(Model):
    """Base of a section whose further keys belong to the connector that its `kind` names."""

    model_config = ConfigDict(extra="allow")


class StartAtTime(Closed):
    """Start at the first record whose timestamp is at or after this time."""

    timestamp_ms: TimeMs


class UntilTime(Closed):
    """Stop before the first record whose timestamp is at or after this time, which has to have passed at the start."""

    timestamp_ms: TimeMs


class UntilOffsets(Closed):
    """Stop before these offsets, by topic and partition. A partition that is not named has no end."""

    offsets: Positions


class SourceConfig(Open):
    """Where records come from. `kind` names the source; its other keys are that source's settings (`topic` for Kafka).

    `start` says where a new stream begins; partitions that appear later always begin at their beginning. `until` makes
    a stream bounded: it reads up to there, says FINISHED, and reads no further. `end` are the ends as they are when the
    stream starts.
    """

    kind: Kind = "kafka"
    start: Literal["earliest", "latest"] | StartAtTime = "earliest"
    until: Literal["end"] | UntilTime | UntilOffsets | None = None


class DestinationConfig(Open):
    """Where records go. `kind` names the destination; its other keys are that destination's settings."""

    kind: Kind


class TransformConfig(Closed):
    """What happens to a record on its way: a function in a module that the administrator allows."""

    function: FunctionPath
    settings: Section = Field(default_factory=dict)


class RetryConfig(Closed):
    """How a recoverable error is retried: exponential backoff with full jitter, between these bounds.

    For ever, unless `max_attempts` says after how many attempts in a row the error counts as unrecoverable.
    """

    initial_s: Annotated[float, Field(gt=0, le=3_600, strict=False)] = 0.5
    max_s: Annotated[float, Field(gt=0, le=86_400, strict=False)] = 30.0
    max_attempts: Annotated[int, Field(ge=1, le=1_000_000)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_s < self.initial_s:
            raise ValueError("max_s must not be below initial_s")
        return self


class EventTimeConfig(Closed):
    """Where a record's event time stands, and how far records may be out of order.

    `place` is the header's name or the JSON pointer (RFC 6901); a timestamp needs none. `unit` is that of numbers.
    """

    source: Literal["timestamp", "header", "json_pointer"] = "timestamp"
    place: Annotated[str, StringConstraints(max_length=256)] = ""
    unit: Literal["s", "ms", "us", "ns"] = "ms"
    max_out_of_orderness_ms: Annotated[int, Field(ge=0, le=31_536_000_000)] = 0

    @model_validator(mode="after")
    def _placed(self) -> Self:
        if self.source == "header" and not self.place:
            raise ValueError("event time from a header needs `place`, the header's name")
        if self.source == "json_pointer" and self.place and not self.place.startswith("/"):
            raise ValueError("`place` has to be a JSON pointer, which begins with a slash")
        return self


class IdlenessConfig(Closed):
    """When a channel counts as idle, and where its markers go.

    Without `event_time` there are no watermarks. `flap_damping` makes a channel that flaps wait longer before IDLE.
    A transaction that stands open in the source holds its partition ACTIVE; with `open_txn: ignore` only until it has
    stood open for `open_txn_cap_s` (the producers' transaction timeout and a margin). `flush_on_all_idle` says whether
    whoever combines the channels takes the largest watermark when the last one goes idle.
    A stream that was idle for `auto_pause_after_s` is paused and gives its tasks free, until its source moves again.
    """

    idle_after_s: Annotated[float, Field(gt=0, le=86_400, strict=False)] = 5.0
    markers: Literal["side_topic", "in_band", "off"] = "side_topic"
    flap_damping: bool = True
    event_time: EventTimeConfig | None = None
    watermark_interval_ms: Annotated[int, Field(ge=10, le=3_600_000)] = 1_000
    open_txn: Literal["hold", "ignore"] = "hold"
    open_txn_cap_s: Annotated[float, Field(gt=0, le=86_400, strict=False)] = 75.0
    flush_on_all_idle: Literal["max", "none"] = "max"
    auto_pause_after_s: Annotated[float, Field(gt=0, le=31_622_400, strict=False)] | None = None


class ErrorLimitConfig(Closed):
    """When records that cannot be processed are too many: above `errors` among the last `records` the stream stops."""

    errors: Annotated[int, Field(ge=0, le=1_000_000)] = 1_000
    records: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.errors >= self.records:
            raise ValueError("errors must be below records")
        return self


class FlappingConfig(Closed):
    """When a stream flaps: more than `changes` changes of its status by itself within `minutes`."""

    changes: Annotated[int, Field(ge=1, le=1_000)] = 6
    minutes: Annotated[float, Field(gt=0, le=1_440, strict=False)] = 10.0


class StreamConfig(Closed):
    """The whole definition of a stream, except for its name."""

    source: SourceConfig
    transform: TransformConfig | None = None
    destination: DestinationConfig
    delivery: Literal["exactly_once", "at_least_once"] = "exactly_once"
    parallelism: Annotated[int, Field(ge=1, le=1_000)] = 1
    commit_interval_ms: Annotated[int, Field(ge=1, le=60_000)] = 100
    max_batch_records: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    on_error: Literal["stop", "dead_letter", "skip"] = "stop"
    error_limit: ErrorLimitConfig = Field(default_factory=ErrorLimitConfig)
    isolate: Literal["partition", "stream"] = "partition"
    receipt_digest: bool = False
    retry: RetryConfig = Field(default_factory=RetryConfig)
    drain_timeout_s: Annotated[float, Field(gt=0, le=86_400, strict=False)] = 300.0
    stalled_after_s: Annotated[float, Field(gt=0, le=86_400, strict=False)] = 60.0
    flapping: FlappingConfig = Field(default_factory=FlappingConfig)
    idleness: IdlenessConfig = Field(default_factory=IdlenessConfig)
    strict_lifecycle: bool = False
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] = Field(default_factory=dict)
    managed_by: Annotated[str, StringConstraints(max_length=128)] | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        _bound_json(self.source.model_extra)
        _bound_json(self.destination.model_extra)
        if self.transform is not None:
            _bound_json(self.transform.settings)
        return self


_MAX_NODES = 10_000
_MAX_DEPTH = 32


def _bound_json(value: Any, depth: int = 0) -> int:
    """Count the nodes of an open section and refuse one that is too large or too deep to carry for ever."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"settings may be nested {_MAX_DEPTH} deep at most")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    nodes = 1 + len(inner)
    for each in inner:
        if isinstance(each, (dict, list)):
            nodes += _bound_json(each, depth + 1)
    if nodes > _MAX_NODES:
        raise ValueError(f"settings may hold {_MAX_NODES} values at most")
    return nodes


# What a modify may change at a record boundary; a change anywhere else restarts the tasks at the same positions.
RESTARTING_SECTIONS = ("source", "destination", "parallelism", "delivery")
