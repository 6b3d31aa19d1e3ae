"""The log as the shells see it: consumers, producers, transactions and topics of a Kafka, or of its in-memory twin.

The shapes are Kafka's own, and records are confluent-kafka's messages themselves (`Record`), so nothing is wrapped in
the hot path. Rebalances arrive through one listener, during `poll`, on the thread that owns the consumer; ends of
partitions and errors are return values and exceptions, never callbacks. All calls are bounded in time. A consumer or
producer has one owning thread and nothing else calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from headgate_events.records import Record

Isolation = Literal["read_committed", "read_uncommitted"]
HeaderList = Sequence[tuple[str, bytes | str | None]]
ClientSetting = str | int | float | bool


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Committed(NamedTuple):
    """A committed position (the next offset to read), and the text committed beside it (at most 4,096 bytes)."""

    position: int
    metadata: str = ""


class Range(NamedTuple):
    """What a partition holds: the first offset, and the end (the last stable offset when reading committed)."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What one poll brought.

    `records` are in order within each partition. `ends` names the partitions whose end was reached *after* their last
    record in this batch, with the end's offset: evidence that there was nothing more at that moment. An end is said
    once, and again after a later record, seek or resume; only consumers made with `ends=True` say them.
    """

    records: Sequence[Record]
    ends: Mapping[TopicPartition, int] = field(default_factory=dict)


class RebalanceListener(Protocol):
    """Told of changes of a group consumer's partitions, inside `poll`, `subscribe` or `close`, on the owning thread.

    `close` only takes away: what is assigned meanwhile is given back without a word.
    """

    def assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take on partitions (only the new ones). Return positions to start at; the others start at the committed."""
        ...

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Give partitions up in good order: the present generation can still commit during this call."""
        ...

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Partitions are gone already: another member may own them. Commit nothing."""
        ...


class LogConsumer(Protocol):
    """Reads records, either as a member of a group (`subscribe`) or of given partitions (`assign`); not both."""

    def subscribe(self, topics: Sequence[str], listener: RebalanceListener) -> None: ...

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read exactly these partitions from these positions on, replacing what was assigned before."""
        ...

    def poll(self, max_records: int, timeout_s: float) -> Batch:
        """Wait up to `timeout_s` for one record, then take what is there, at most `max_records`.

        Raises LogUnavailable, PositionLost, TopicMissing, NotAuthorized or LogFatal.
        """
        ...

    def assignment(self) -> Sequence[TopicPartition]: ...

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop fetching from partitions; records of theirs that are already fetched are dropped and fetched again."""
        ...

    def resume(self, partitions: Iterable[TopicPartition]) -> None: ...

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Go on at these positions; nothing from before is delivered afterwards."""
        ...

    def committed(self, partitions: Sequence[TopicPartition], timeout_s: float) -> Mapping[TopicPartition, Committed]:
        """Return the group's committed positions; partitions without one are absent. Works without being a member."""
        ...

    def commit(self, positions: Mapping[TopicPartition, Committed], timeout_s: float) -> None:
        """Commit outside a transaction, fenced by the group's generation.

        `timeout_s` is a wish: the real client gives up after its session timeout without a coordinator, and after its
        request timeout without an answer. Raises StaleMember when the group has
        replaced this member, another LogError when it was not accepted.
        """
        ...

    def range(self, partition: TopicPartition, timeout_s: float) -> Range:
        """Ask the broker what a partition holds, by the consumer's isolation."""
        ...

    def ends(self, partitions: Sequence[TopicPartition], timeout_s: float) -> Mapping[TopicPartition, int]:
        """Ask the broker for the ends of several partitions at once, by the consumer's isolation."""
        ...

    def at_time(
        self, partitions: Sequence[TopicPartition], timestamp_ms: int, timeout_s: float
    ) -> Mapping[TopicPartition, int]:
        """Return for each partition the first offset whose timestamp is at or after a time, or its end."""
        ...

    def seen_high(self, partition: TopicPartition) -> int | None:
        """Return the high watermark that the last fetch of a partition showed, without asking; None when none has."""
        ...

    def group_metadata(self) -> Any:
        """Return the opaque token by which a transaction proves its group generation."""
        ...

    def close(self) -> None:
        """Leave the group and stop; bounded. The listener hears `revoked` first."""
        ...


DeliveryCallback = Callable[[Exception | None, Record], None]


class LogProducer(Protocol):
    """Appends records, idempotently, outside transactions."""

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        headers: HeaderList | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> None:
        """Queue one record. Without `partition` the key decides, by murmur2. Waits, bounded, while the queue is full.

        Raises RecordTooLarge, or LogUnavailable when the queue stayed full. `on_delivery` hears what became of it.
        """
        ...

    def forward(self, topic: str, records: Sequence[Record], *, keep_headers: bool, keep_partition: bool) -> None:
        """Queue consumed records again as they are, timestamps included: produce(), without a call for each."""
        ...

    def poll(self) -> None:
        """Serve delivery callbacks that are due, without waiting. Raises LogFatal when the client is beyond use."""
        ...

    def flush(self, timeout_s: float) -> None:
        """Wait until all that was queued is acknowledged. Raises LogUnavailable or what a delivery failed with."""
        ...

    def close(self) -> None: ...

    def drop(self) -> None:
        """Let go at once, without waiting for what is queued: of a client that is beyond use."""
        ...


class TransactionalProducer(Protocol):
    """The five calls of Kafka's transactions, raw. Only `headgate.session` uses them, by its rule.

    Whatever is not a clean success raises: TransactionInDoubt or ProducerFenced (drop this producer), LogUnavailable
    only where the same call may simply be made again (`init`).
    """

    def init(self, timeout_s: float) -> None: ...

    def begin(self) -> None: ...

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        headers: HeaderList | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        on_delivery: DeliveryCallback | None = None,
    ) -> None:
        """Queue one record in the open transaction. What `on_delivery` hears is not committed yet, and may never be.

        Raises RecordTooLarge for this record, and RecordRejected itself when the broker has refused one before.
        """
        ...

    def forward(self, topic: str, records: Sequence[Record], *, keep_headers: bool, keep_partition: bool) -> None:
        """Produce consumed records again as they are, timestamps included: produce(), without a call for each."""
        ...

    def send_offsets(
        self, positions: Mapping[TopicPartition, Committed], group_metadata: Any, timeout_s: float
    ) -> None: ...

    def commit(self, timeout_s: float) -> None: ...

    def drop(self) -> None:
        """Let go of the client at once, without waiting for what is queued (it belongs to a lost transaction)."""
        ...


class Log(Protocol):
    """Makes clients of one cluster. The only thing that bootstrap hands to a shell for talking to Kafka."""

    def consumer(
        self,
        *,
        group: str | None = None,
        isolation: Isolation = "read_committed",
        ends: bool = False,
        assignor: Literal["range", "cooperative-sticky"] = "cooperative-sticky",
        session_timeout_ms: int | None = None,
        max_poll_interval_ms: int | None = None,
        instance: str | None = None,
        queued_kbytes: int | None = None,
        fetch_wait_ms: int | None = None,
        client: Mapping[str, ClientSetting] | None = None,
    ) -> LogConsumer:
        """Make a consumer. `fetch_wait_ms` is how long the broker may hold a fetch that has nothing to give.

        `client` are settings of the client library for this one alone, as `headgate.client_settings` lets a stream
        choose them: above the administrator's, and below what correctness needs. Producers take them likewise.

        An end is said, and a newly assigned partition is fetched, only after the fetch under way came back. Who reads
        to an end and stops wants it short; who idles for hours wants the default, which costs the broker less.
        """
        ...

    def producer(
        self,
        *,
        linger_ms: int = 0,
        failures_only: bool = False,
        client: Mapping[str, ClientSetting] | None = None,
    ) -> LogProducer:
        """Make an idempotent producer. With `failures_only` only failures are told, and by flush() alone."""
        ...

    def transactional_producer(
        self,
        transactional_id: str,
        *,
        linger_ms: int = 0,
        timeout_ms: int = 20_000,
        client: Mapping[str, ClientSetting] | None = None,
    ) -> TransactionalProducer: ...

    def partitions(self, topic: str, timeout_s: float) -> int | None:
        """Return a topic's number of partitions, or None when it does not exist."""
        ...

    def create_topic(self, topic: str, partitions: int, config: Mapping[str, str], timeout_s: float) -> None:
        """Create a topic and return when it has leaders; one that exists already is left as it is.

        Raises NotAuthorized, LogUnavailable or another LogError.
        """
        ...


@runtime_checkable
class DescribesTopics(Protocol):
    """A log that can tell a topic's settings."""

    def topic_config(self, topic: str, timeout_s: float) -> Mapping[str, str]:
        """Return the settings of a topic, defaults of the brokers included. Raises LogError."""
        ...


class Clock(Protocol):
    """Time from outside. `now_ms` is the wall clock (epoch milliseconds); `monotonic_s` never goes back."""

    def now_ms(self) -> int: ...

    def monotonic_s(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...
