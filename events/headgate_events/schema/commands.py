"""Commands: what a person or a program asks for. They may be refused.

`kind` is the middle of the record's `ce_type` (`headgate.command.pause.v1` is `pause`), so a hand-made command needs no
`kind` in its JSON: the codec adds it from the header.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BeforeValidator, Field

from headgate_events.envelope import parse_rfc3339_ms
from headgate_events.schema.common import Count, Id, Model, PartitionKey, Positions, Reason, TimeMs, TopicName
from headgate_events.schema.config import StreamConfig

MAX_TIME_CHARACTERS = 64


def _as_it_will_be_read(value: object) -> object:
    """Refuse a time that pydantic would take (a number, a lower-case z) and the decider could not read."""
    wanted = "should be a time with a zone as RFC 3339 has it, like 2026-11-21T22:00:00Z"
    if not isinstance(value, str) or len(value) > MAX_TIME_CHARACTERS:
        raise ValueError(wanted)
    try:
        parse_rfc3339_ms(value)
    except ValueError as error:
        raise ValueError(wanted) from error
    return value


NotBefore = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_as_it_will_be_read)]


class Command(Model):
    """What every command may carry.

    `dry_run` asks for the outcome that the command would have, changing nothing. `not_before` (RFC 3339 with a zone)
    and `when_idle` make it wait, visibly: it is recorded as scheduled, decided when due, and can be cancelled.
    `idle_for_s` is `when_idle` with a bound: the stream has to have been idle for so long without a break.
    """

    reason: Reason | None = None
    dry_run: bool = False
    not_before: NotBefore | None = None
    when_idle: bool = False
    idle_for_s: Annotated[float, Field(gt=0, le=31_622_400, strict=False)] | None = None


class Create(Command):
    """Define a stream. It is created NOT_STARTED, always."""

    kind: Literal["create"] = "create"
    config: StreamConfig


class Start(Command):
    """Validate a stream that never ran, and run it."""

    kind: Literal["start"] = "start"


class Pause(Command):
    """Drain a stream and pause it; with `force`, give up on an unfinished drain (`unclean`)."""

    kind: Literal["pause"] = "pause"
    force: bool = False


class AtCommitted(Model):
    """Go on at the committed positions."""

    policy: Literal["committed"] = "committed"


class AtEarliest(Model):
    """Go back to the oldest record that the source still holds."""

    policy: Literal["earliest"] = "earliest"


class AtLatest(Model):
    """Skip everything that waits, on every partition."""

    policy: Literal["latest"] = "latest"


class AtTime(Model):
    """Go to the first record whose timestamp is at or after a time, on every partition."""

    policy: Literal["timestamp"] = "timestamp"
    timestamp_ms: TimeMs


class AtOffsets(Model):
    """Go to explicit positions; partitions that are not named stay at their committed ones."""

    policy: Literal["offsets"] = "offsets"
    offsets: Positions


class Skip(Model):
    """Pass over `records` records on one partition; the others stay at their committed positions."""

    policy: Literal["skip"] = "skip"
    topic: TopicName
    partition: PartitionKey
    records: Count


PositionPolicy = Annotated[
    AtCommitted | AtEarliest | AtLatest | AtTime | AtOffsets | Skip, Field(discriminator="policy")
]


class Resume(Command):
    """Run a paused stream again, from where its drain ended unless `positions` says otherwise."""

    kind: Literal["resume"] = "resume"
    positions: PositionPolicy = Field(default_factory=AtCommitted)


class Recover(Command):
    """Run a stream that failed permanently again, at positions that a policy names."""

    kind: Literal["recover"] = "recover"
    positions: PositionPolicy = Field(default_factory=AtCommitted)


class Modify(Command):
    """Replace a stream's definition. Live where that can be done at a record boundary."""

    kind: Literal["modify"] = "modify"
    config: StreamConfig


class Delete(Command):
    """Stop a stream at once and forget it; with `drain`, finish what is in flight first."""

    kind: Literal["delete"] = "delete"
    drain: bool = False


class CancelDrain(Command):
    """Go back to running from an unfinished drain."""

    kind: Literal["cancel-drain"] = "cancel-drain"


class Retry(Command):
    """Retry a failed stream at once instead of at its next backoff step."""

    kind: Literal["retry"] = "retry"


class Cancel(Command):
    """Withdraw a command that is still scheduled or waits for a fact."""

    kind: Literal["cancel"] = "cancel"
    command_id: Id


AnyCommand = Annotated[
    Create | Start | Pause | Resume | Recover | Modify | Delete | CancelDrain | Retry | Cancel,
    Field(discriminator="kind"),
]
COMMAND_KINDS = (
    "create",
    "start",
    "pause",
    "resume",
    "recover",
    "modify",
    "delete",
    "cancel-drain",
    "retry",
    "cancel",
)
