"""Destinations: where records go, what is promised there, and who keeps the positions.

A task writes batches and commits from time to time. commit() is where a destination keeps its promise: when it returns,
everything written before is durable. What differs is where the positions are kept, and that is what makes a promise:

| `positions_in` | commit() | example | promise |
|---|---|---|---|
| `source` | makes the records durable; the task commits the positions afterwards | HTTP, object store | at least once |
| `source_transaction` | commits records and the source's positions as one | Kafka, same cluster | exactly once |
| `destination` | commits records and positions as one, in the destination | PostgreSQL, local files | exactly once |

A destination of the last sort is asked for its positions (`positions`) whenever partitions are taken on, and fences
the predecessor there by its own means. Any error may leave a batch written in part: the task then calls open() again
and goes back to the committed positions. Nothing is ever retried inside a destination beyond a small bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

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

    def positions(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, Committed]:
        """Return the positions kept here, having fenced whoever had these partitions before.

        Only called where `positions_in` is `destination`.
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
