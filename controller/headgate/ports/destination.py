"""Destinations: where records go, what is promised there, and who keeps the positions.

A task writes batches and commits from time to time. commit() is where a destination keeps its promise: when it returns,
everything written before is durable. What differs is where the positions are kept, and that is what makes a promise:

| `positions_in` | commit() | example | promise |
|---|---|---|---|
| `source` | makes the records durable; the task commits the positions afterwards | HTTP, object store | at least once |
| `source_transaction` | commits records and the source's positions as one | Kafka, same cluster | exactly once |
| `destination` | commits records and positions as one, in the destination | PostgreSQL, local files | exactly once |

A destination of the last sort is asked for its positions (`positions`) whenever partitions are taken on, and fences
the predecessor there, by the token that it is given or by means of its own. Any error may leave a batch written in
part: the task then calls open() again and goes back to the committed positions. Nothing is ever retried inside a
destination beyond a small bound.

Abilities are optional, each a Protocol of its own: a destination that commits in its own rhythm (`PacesCommits`), one
that takes few records at once (`BoundsBatches`), one that takes further records into its transaction (`TakesAside`),
which is how a dead letter or a marker moves together with the position, and a kind that ends a run for everybody who
still works for it (`Fences`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from pydantic import BaseModel

from headgate.ports.connectors import ConnectorContext, Delivery
from headgate.ports.log import Committed, TopicPartition
from headgate_events.errors import HeadgateError
from headgate_events.records import Record
from headgate_events.schema.common import Check

PositionsIn = Literal["source", "source_transaction", "destination"]


class WriteInDoubt(HeadgateError):
    """A commit did not end cleanly: it may have taken effect. The task opens the destination again and rewinds."""

    code: ClassVar[str] = "destination.in_doubt"
    retriable = True


class StaleOwner(HeadgateError):
    """The destination knows a newer owner of a partition: nothing was written. The task begins anew and claims again.

    Nobody's fault. A worker that was stopped meets it when it goes on, and learns that its partitions moved.
    """

    code: ClassVar[str] = "destination.stale_owner"
    retriable = True


class RecordRefused(HeadgateError):
    """One record that this destination will never take (too large, of a wrong shape); the others are fine.

    write() or commit() raises it, and nothing since the last commit counts. The task goes back, and treats this record
    by the stream's `on_error` when it comes to it again. `origin` is the source's record that the output came from.
    """

    code: ClassVar[str] = "destination.record_refused"

    def __init__(self, message: str, *, origin: Record, code: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.origin = origin
        if code is not None:
            self.code = code  # type: ignore[misc]


class Token(NamedTuple):
    """Who owns a source partition: tokens compare in this order, and a lower one is stale (DESIGN section 1).

    `claim` is the offset of the owner's claim on the markers topic: unique, and higher for each later claim.
    """

    incarnation: int
    epoch: int
    claim: int


class Output(NamedTuple):
    """One record on its way out. `origin` is the record that it came from (its topic, partition and offset name it).

    `partition` is None where the destination chooses; `timestamp_ms` is epoch milliseconds.
    """

    value: bytes | None
    key: bytes | None
    headers: Sequence[tuple[str, bytes | str | None]] | None
    partition: int | None
    timestamp_ms: int
    origin: Record


class Destination(Protocol):
    """An open destination of one task. The task's thread owns it; every call is bounded in time.

    No call may outlast about 60 s: the task would lose its partitions. `transactional_ids` are the names by which
    another worker can end what this one left open (none where there is nothing to end).
    """

    @property
    def positions_in(self) -> PositionsIn: ...

    @property
    def transactional_ids(self) -> tuple[str, ...]: ...

    def open(self) -> None:
        """Begin, or begin anew after an error: what was written and not committed is gone, or never counts."""
        ...

    def write(self, outputs: Sequence[Output]) -> None:
        """Take outputs on, in order. They need not be durable yet. Bounded waiting is how backpressure is made."""
        ...

    def forward(self, records: Sequence[Record]) -> None:
        """Take records on unchanged (a stream without a transform): the fast path.

        A destination without one of its own says `self.write(outputs_of(records))`.
        """
        ...

    def positions(self, claims: Mapping[TopicPartition, Token]) -> Mapping[TopicPartition, Committed]:
        """Return the positions kept here for the claimed partitions, having fenced whoever had them before.

        Partitions without a position are absent. From now on, commit() is for these tokens. Raises StaleOwner where a
        higher token is known. Only called where `positions_in` is `destination`, after open() and again after each
        assignment and each error.
        """
        ...

    def commit(self, positions: Mapping[TopicPartition, Committed], proof: Any) -> None:
        """Make everything written so far durable, with the positions (next to read) where they are kept here.

        `proof` is the source's token for `source_transaction`. Raises WriteInDoubt or TransactionInDoubt when the
        outcome is unknown, another HeadgateError when it failed; `retriable` decides between FAILED and
        FAILED_PERMANENTLY.
        """
        ...

    def close(self) -> None:
        """Let go at once; what is not committed is given up. Never raises."""
        ...


@runtime_checkable
class PacesCommits(Protocol):
    """A destination for which a commit is dear, so that it says when one is due (a file that is full, say)."""

    def commit_due(self, waited_s: float) -> bool:
        """Say whether to commit now, `waited_s` after the first record since the last commit. Asked after each batch.

        A drain, a revocation and an end commit whatever this says.
        """
        ...


@runtime_checkable
class BoundsBatches(Protocol):
    """A destination that takes only so many records within the time that a call has (one request for each, say)."""

    @property
    def most_records(self) -> int:
        """How many records to read and hand over at once, at most, beside the stream's `max_batch_records`."""
        ...


@runtime_checkable
class TakesAside(Protocol):
    """A destination with `positions_in: source_transaction` takes records for other topics of the source's cluster."""

    def aside(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        headers: Sequence[tuple[str, bytes | str | None]] | None,
        partition: int | None,
        timestamp_ms: int | None,
    ) -> None:
        """Produce one record into the open transaction (begun where none is open)."""
        ...


@runtime_checkable
class Fences(Protocol):
    """A kind whose destinations keep positions themselves, and can be told that a run is over.

    After a forced stop a worker asks for it until it succeeds: where nobody fences, a task that was stopped in the
    middle of anything could still commit when it goes on.
    """

    def fence(self, settings: Any, context: ConnectorContext, claims: Mapping[TopicPartition, Token]) -> None:
        """See to it that nobody with a lower token can commit for these partitions any more. Bounded; may be repeated.

        Nothing to do where the settings make no destination that keeps positions. Raises LogError or what the
        destination raises when its other side does not answer.
        """
        ...


class DestinationKind(Protocol):
    """One kind of destination. `settings` is a frozen pydantic model that forbids unknown keys."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> type[BaseModel]: ...

    @property
    def promises(self) -> Sequence[Delivery]:
        """The deliveries that this kind can keep, the strongest first; shown, and checked by a validation."""
        ...

    def check(self, settings: Any, context: ConnectorContext) -> Sequence[Check]:
        """Look at the other side without changing it, item by item: is it there, may we write, does it fit."""
        ...

    def destination(self, settings: Any, context: ConnectorContext) -> Destination: ...


def timestamp_of(record: Record) -> int:
    """Return a record's timestamp in epoch milliseconds; 0 where it has none."""
    return max(0, int(record.timestamp()[1]))


def outputs_of(records: Sequence[Record]) -> list[Output]:
    """Return records as outputs that say the same: what forward() can hand to write()."""
    return [
        Output(record.value(), record.key(), record.headers(), None, timestamp_of(record), record) for record in records
    ]
