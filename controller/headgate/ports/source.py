"""Sources: where records come from, in partitions with positions.

The words are the log's (topic, partition, position), but nothing here is Kafka's: a database's change log has tables
for topics, one partition each, and log sequence numbers for positions. Two callers have two Protocols. A *reader* is
a task's: it takes part in sharing the partitions and delivers batches. A *catalogue* is the worker's that validates
and checks: it says what there is, without taking part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel

from headgate.ports.connectors import ConnectorContext
from headgate.ports.log import Batch, Committed, Range, RebalanceListener, TopicPartition


class SourceReader(Protocol):
    """A task's share of a source. The thread that opened it owns it; every call is bounded in time."""

    def open(self, listener: RebalanceListener) -> None:
        """Join the others that read for this stream. The listener hears of partitions inside read()."""
        ...

    def read(self, max_records: int, timeout_s: float) -> Batch:
        """Wait up to `timeout_s` for a record, then return what is there. Raises LogError or ConnectorUnavailable."""
        ...

    def hold(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop reading partitions but keep owning them; read() goes on being called, and brings nothing of theirs."""
        ...

    def release(self, partitions: Iterable[TopicPartition]) -> None:
        """Read partitions again that were held."""
        ...

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Go on at these positions; nothing from before is delivered afterwards."""
        ...

    def committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, Committed]:
        """Return what is committed; partitions without a commit are absent. Waits, bounded, for pending commits."""
        ...

    def commit(self, positions: Mapping[TopicPartition, Committed]) -> None:
        """Commit positions by the source's own means, fenced by ownership. Raises LogError when it was not accepted."""
        ...

    def proof(self) -> Any:
        """Return the opaque token by which a destination's transaction proves that this reader owns its share."""
        ...

    def close(self) -> None:
        """Leave the others; bounded. The listener hears `revoked` first."""
        ...


@runtime_checkable
class SeesHigh(Protocol):
    """A reader that learns with what it reads how far a partition goes, past what may be delivered now."""

    def seen_high(self, partition: TopicPartition) -> int | None:
        """Return the newest such end, without asking anybody; None when none is known."""
        ...


class SourceCatalogue(Protocol):
    """What a source holds, for whoever validates, checks positions and lists partitions. Closed after use."""

    def partitions(self) -> Mapping[str, int]:
        """Return the number of partitions of each topic. Raises TopicMissing or NotAuthorized, whoever's it is."""
        ...

    def range(self, partition: TopicPartition) -> Range:
        """Return what a partition holds now: its first position and its end."""
        ...

    def at_time(self, partitions: Sequence[TopicPartition], timestamp_ms: int) -> Mapping[TopicPartition, int]:
        """Return the position of the first record at or after a time, or the end, for each partition."""
        ...

    def committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, Committed]:
        """Return the stream's committed positions, without taking part; partitions without one are absent."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class TellsAge(Protocol):
    """A catalogue that knows how old its records are, and how old they may become before the source drops them."""

    def retention_ms(self) -> int | None:
        """Return the age at which records are dropped, -1 for never, None where that cannot be told."""
        ...

    def timestamps(self, positions: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        """Return the timestamp of the first record at or after each position; absent where none came in time."""
        ...


class SourceKind(Protocol):
    """One kind of source. `settings` is a frozen pydantic model that forbids unknown keys."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> type[BaseModel]: ...

    def reader(self, settings: Any, context: ConnectorContext) -> SourceReader: ...

    def catalogue(self, settings: Any, context: ConnectorContext) -> SourceCatalogue: ...

    def place(self, settings: Any) -> str:
        """Name what is read, in words for messages: `topic flights`."""
        ...
