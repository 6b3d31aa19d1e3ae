"""Producers of the in-memory cluster.

A plain producer keeps what it could not send while the cluster was unavailable, and sends it in order at the next poll
or flush. A transactional one sends at once; as with the real one, an error of sending shows at the next call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headgate.adapters.memory.cluster import MAX_RECORD_BYTES, MemoryKafka, MemoryProcess, too_large
from headgate.adapters.memory.groups import Membership
from headgate.adapters.memory.record import CREATE_TIME, Headers, MemoryRecord
from headgate.adapters.memory.transactions import in_doubt
from headgate.ports.errors import (
    LogError,
    LogFatal,
    LogUnavailable,
    StaleMember,
    TransactionInDoubt,
)
from headgate.ports.log import Committed, DeliveryCallback, HeaderList, TopicPartition
from headgate_events.records import Record

QUEUE_MAX: Final = 100_000
"""Records that wait for an unavailable cluster, as many as librdkafka keeps by default."""


@dataclass(slots=True)
class _Waiting:
    topic: str
    value: bytes | None
    key: bytes | None
    headers: Headers | None
    partition: int | None
    timestamp_ms: int | None
    on_delivery: DeliveryCallback | None


class MemoryProducer:
    """Implements `LogProducer`."""

    def __init__(self, cluster: MemoryKafka, process: MemoryProcess) -> None:
        self._cluster = cluster
        self._process = process
        self._waiting: deque[_Waiting] = deque()
        self._due: deque[tuple[DeliveryCallback, LogError | None, MemoryRecord]] = deque()
        self._failed: LogError | None = None
        self._closed = False

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
        """Queue one record, and send what is queued if that can be done at once."""
        self._check()
        if len(key or b"") + len(value or b"") > MAX_RECORD_BYTES:
            raise too_large(topic)
        if len(self._waiting) >= QUEUE_MAX:
            raise LogUnavailable(f"The queue to {topic} stayed full.", hint="Make the cluster available.")
        self._waiting.append(_Waiting(topic, value, key, encoded(headers), partition, timestamp_ms, on_delivery))
        self._send()

    def forward(self, topic: str, records: Sequence[Record], *, keep_headers: bool, keep_partition: bool) -> None:
        """Queue consumed records again as they are."""
        for record in records:
            self.produce(topic, *_as_they_are(record, keep_headers, keep_partition))

    def poll(self) -> None:
        """Send what is queued and serve delivery callbacks that are due."""
        self._check()
        self._send()
        while self._due:
            tell, error, record = self._due.popleft()
            tell(error, record)

    def flush(self, timeout_s: float) -> None:  # noqa: ARG002 - nothing here waits
        """Send what is queued. Raises LogUnavailable when it cannot be sent now, or what a delivery failed with."""
        self.poll()
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed
        if self._waiting:
            raise LogUnavailable(f"{len(self._waiting)} records were not acknowledged.", hint="They are sent on.")

    def drop(self) -> None:
        """Stop; what waits is given up."""
        self._closed = True

    def close(self) -> None:
        """Flush and stop."""
        if not self._closed:
            try:
                self.flush(0)
            finally:
                self._closed = True

    def _send(self) -> None:
        while self._waiting:
            waiting = self._waiting[0]
            try:
                self._cluster.request("produce", self._process, waiting.topic)
                to = self._cluster.place(waiting.topic, waiting.key, waiting.partition)
                record = self._cluster.append(
                    to, waiting.key, waiting.value, waiting.headers, waiting.timestamp_ms, None
                )
            except LogUnavailable:
                return  # it stays queued, and is sent in its turn
            except LogError as error:
                self._failed = self._failed or error
                record = MemoryRecord(
                    waiting.topic,
                    waiting.partition if waiting.partition is not None else -1,
                    -1001,
                    waiting.key,
                    waiting.value,
                    waiting.headers,
                    (CREATE_TIME, waiting.timestamp_ms or 0),
                )
                self._deliver(waiting, error, record)
            else:
                self._deliver(waiting, None, record)
            self._waiting.popleft()

    def _deliver(self, waiting: _Waiting, error: LogError | None, record: MemoryRecord) -> None:
        if waiting.on_delivery is not None:
            self._due.append((waiting.on_delivery, error, record))

    def _check(self) -> None:
        self._process.check()
        if self._closed:
            raise LogFatal("This producer was closed.", hint="Build a new one.")


class MemoryTransactionalProducer:
    """Implements `TransactionalProducer`. `_doom` is what sending has failed with; every later call raises it."""

    def __init__(self, cluster: MemoryKafka, process: MemoryProcess, transactional_id: str, timeout_ms: int) -> None:
        self._cluster = cluster
        self._process = process
        self._id = transactional_id
        self._timeout_ms = timeout_ms
        self._epoch: int | None = None
        self._begun = False
        self._doom: LogError | None = None

    def init(self, timeout_s: float) -> None:  # noqa: ARG002 - nothing here waits
        """Fence earlier producers of this id and end what they left open."""
        self._cluster.request("init", self._process, self._id)
        self._epoch = self._cluster.transactions.init(self._id, self._timeout_ms)

    def begin(self) -> None:
        """Begin a transaction; the coordinator hears of it with the first record or position."""
        self._check()
        assert not self._begun, "a transaction is open already"
        self._begun = True

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
        """Append one record to the open transaction."""
        epoch = self._opened()
        if len(key or b"") + len(value or b"") > MAX_RECORD_BYTES:
            raise too_large(topic)
        try:
            self._cluster.request("produce", self._process, topic)
            to = self._cluster.place(topic, key, partition)
            transaction = self._cluster.transactions.open(self._id, epoch, self._cluster.clock.now_ms())
            number = self._cluster.transactions.identities[self._id].number
            self._cluster.append(to, key, value, encoded(headers), timestamp_ms, number)
            transaction.partitions.add(to)
        except LogError as error:
            self._doom = self._as_doubt(error)
        if on_delivery is not None:
            at = (CREATE_TIME, timestamp_ms or 0)
            on_delivery(self._doom, MemoryRecord(topic, -1, -1001, key, value, encoded(headers), at))

    def forward(self, topic: str, records: Sequence[Record], *, keep_headers: bool, keep_partition: bool) -> None:
        """Append consumed records again as they are."""
        for record in records:
            self.produce(topic, *_as_they_are(record, keep_headers, keep_partition))

    def send_offsets(
        self,
        positions: Mapping[TopicPartition, Committed],
        group_metadata: Any,
        timeout_s: float,  # noqa: ARG002 - nothing here waits
    ) -> None:
        """Add positions to the transaction, fenced by the group's generation."""
        epoch = self._opened()
        assert isinstance(group_metadata, Membership), "the token comes from a consumer of the same cluster"
        try:
            self._cluster.request("send_offsets", self._process, self._id)
            transaction = self._cluster.transactions.open(self._id, epoch, self._cluster.clock.now_ms())
            if group_metadata.member:
                self._cluster.group(group_metadata.group).check(group_metadata)
            transaction.offsets.setdefault(group_metadata.group, {}).update(positions)
        except LogError as error:
            self._doom = self._as_doubt(error)
            raise self._doom from error

    def commit(self, timeout_s: float) -> None:  # noqa: ARG002 - nothing here waits
        """Commit."""
        epoch = self._opened()
        cluster = self._cluster
        try:
            cluster.request("commit_transaction", self._process, self._id)
            cluster.transactions.checked(self._id, epoch)
        except LogError as error:
            self._doom = self._as_doubt(error)
            raise self._doom from error
        fault = cluster.faults.commit_fault(self._id)
        if fault == "late":
            cluster.late_commits.append((self._id, epoch))
        elif fault != "lost":
            cluster.transactions.decide(self._id, epoch)
            if not cluster.faults.hold_markers:
                cluster.transactions.write_markers()
        if fault is not None:
            self._doom = in_doubt(self._id)
            raise self._doom
        self._begun = False

    def drop(self) -> None:
        """Let go of the client; what it left open stays open."""
        self._doom = LogFatal("This producer was dropped.", hint="Build a new one with the same transactional id.")

    def _check(self) -> int:
        self._process.check()
        if self._doom is not None:
            raise self._doom
        assert self._epoch is not None, "init() comes first"
        return self._epoch

    def _opened(self) -> int:
        epoch = self._check()
        assert self._begun, "begin() comes first"
        return epoch

    def _as_doubt(self, error: LogError) -> LogError:
        if isinstance(error, StaleMember | LogUnavailable):
            return TransactionInDoubt(error.message, hint=error.hint)
        return error


def _as_they_are(record: Record, keep_headers: bool, keep_partition: bool) -> tuple[Any, ...]:
    """Return what produce() takes after the topic."""
    headers = record.headers() if keep_headers else None
    partition = record.partition() if keep_partition else None
    return record.value(), record.key(), headers, partition, record.timestamp()[1]


def encoded(headers: HeaderList | None) -> Headers | None:
    """Return headers as a consumer gets them: text as UTF-8, and None instead of an empty list."""
    if not headers:
        return None
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in headers]
