"""`MemoryKafka`: one cluster in memory, and the processes that talk to it.

Nothing runs by itself: there are no threads and no sleeping, and time is the clock's that was handed in. What time
would bring about (a session that ends, a transaction that times out) happens at the next request after it is due, or in
`tick()`. The same calls in the same order therefore always give the same log. One thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from headgate.adapters.memory.faults import Call, Faults, Operation
from headgate.adapters.memory.groups import Group
from headgate.adapters.memory.partition import PartitionLog
from headgate.adapters.memory.record import CREATE_TIME, LOG_APPEND_TIME, Headers, MemoryRecord
from headgate.adapters.memory.transactions import Identity, OpenTransaction, TransactionCoordinator
from headgate.ports.errors import LogFatal, RecordTooLarge, TopicMissing
from headgate.ports.log import Clock, Isolation, TopicPartition
from headgate_events.partitioner import partition_of
from headgate_events.topics import TopicSpec

if TYPE_CHECKING:
    from headgate.adapters.memory.log import MemoryLog

MAX_RECORD_BYTES: Final = 1_000_000
"""librdkafka's own bound (`message.max.bytes`) and about the broker's."""


@dataclass(slots=True)
class MemoryTopic:
    """A topic: its settings and its partitions. Only `message.timestamp.type` and `max.message.bytes` have effect."""

    name: str
    config: Mapping[str, str]
    partitions: list[PartitionLog] = field(default_factory=list)
    keyless: int = 0

    @property
    def append_time(self) -> bool:
        """Say whether the broker's clock stamps the records."""
        return self.config.get("message.timestamp.type") == "LogAppendTime"


class MemoryProcess:
    """The operating-system process that a `MemoryLog` stands for; killing it silences all its clients at once."""

    def __init__(self, name: str, clock: Clock, tick: Callable[[], None]) -> None:
        self.name = name
        self.killed = False
        self.silent_since_ms: int | None = None
        self._clock = clock
        self._tick = tick

    def kill(self) -> None:
        """End it as SIGKILL does: nothing is committed or given up, its sessions and transactions just time out."""
        self.killed = True
        self.suspend()

    def suspend(self) -> None:
        """Stop it as SIGSTOP does: its heartbeats stop, and whoever runs the simulation does not step it."""
        if self.silent_since_ms is None:
            self.silent_since_ms = self._clock.now_ms()

    def resume(self) -> None:
        """Let it go on, unaware of what it has missed."""
        assert not self.killed, "a killed process does not come back; make a new log for its heir"
        self._tick()  # what its silence has cost it by now is lost, however soon it is back
        self.silent_since_ms = None

    def check(self) -> None:
        """Raise LogFatal when the process is dead: a dead one calls nothing."""
        if self.killed:
            raise LogFatal(f"The process {self.name} was killed.", hint="Make a new log for its heir.")


class MemoryKafka:
    """The cluster. `log()` makes one client process after the other; the rest is what an operator or a fault can do."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.faults = Faults()
        self.topics: dict[str, MemoryTopic] = {}
        self.groups: dict[str, Group] = {}
        self.transactions = TransactionCoordinator(self._finish)
        self.late_commits: list[tuple[str, int]] = []
        self._processes = 0

    def log(self, process: str | None = None) -> MemoryLog:
        """Return the `Log` of a new client process. `process` names it in errors and faults."""
        from headgate.adapters.memory.log import MemoryLog

        self._processes += 1
        return MemoryLog(self, MemoryProcess(process or f"process-{self._processes}", self.clock, self.tick))

    def create_topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Create a topic that is not there yet."""
        assert name not in self.topics, f"the topic {name} exists"
        assert partitions > 0, "a topic has at least one partition"
        self.topics[name] = MemoryTopic(name, dict(config or {}), [PartitionLog() for _ in range(partitions)])

    def create_topics(self, specs: Sequence[TopicSpec], partitions: int) -> None:
        """Create the topics of a namespace; `partitions` where a specification leaves their number open."""
        for spec in specs:
            self.create_topic(spec.name, spec.partitions or partitions, spec.config)

    def add_partitions(self, topic: str, to: int) -> None:
        """Raise a topic's number of partitions; groups that read it rebalance."""
        logs = self._topic(topic).partitions
        logs.extend(PartitionLog() for _ in range(to - len(logs)))

    def delete_topic(self, topic: str) -> None:
        """Delete a topic with all that it holds."""
        del self.topics[topic]

    def delete_records(self, before: Mapping[TopicPartition, int]) -> None:
        """Move the starts of partitions on, as retention does."""
        for partition, offset in before.items():
            self.partition(partition).delete_before(offset)

    def compact(self, topic: str, *, drop_tombstones: bool = False) -> None:
        """Compact every partition of a topic, up to its last stable offset."""
        for log in self._topic(topic).partitions:
            log.compact(drop_tombstones)

    def records(self, topic: str, isolation: Isolation = "read_committed") -> list[MemoryRecord]:
        """Return what a reader of all partitions, one after the other, would see now: for assertions."""
        return [
            record
            for log in self._topic(topic).partitions
            for record in log.read(log.start, log.end - log.start, isolation)[0]
        ]

    def tick(self) -> None:
        """Do what is due by the clock: end sessions and transactions that have timed out."""
        now_ms = self.clock.now_ms()
        if self.faults.unavailable:
            return
        self.transactions.expire(now_ms)
        for group in self.groups.values():
            group.expire(now_ms)

    def write_markers(self) -> None:
        """Make transactions visible that were held back by `Faults.hold_markers`."""
        self.transactions.write_markers()

    def deliver_late_commits(self) -> None:
        """Let the commits arrive that were made to be late; those of fenced producers do nothing."""
        arriving, self.late_commits = self.late_commits, []
        for transactional_id, epoch in arriving:
            if self.transactions.identities[transactional_id].epoch == epoch:
                self.transactions.decide(transactional_id, epoch)
        self.transactions.write_markers()

    def partition(self, partition: TopicPartition) -> PartitionLog:
        """Return one partition's log, or raise TopicMissing."""
        logs = self._topic(partition.topic).partitions
        if not 0 <= partition.partition < len(logs):
            raise TopicMissing(f"{partition.topic} has no partition {partition.partition}.")
        return logs[partition.partition]

    def group(self, name: str) -> Group:
        """Return a group; it begins to exist when somebody asks."""
        if name not in self.groups:
            self.groups[name] = Group(name, self.partition_count)
        return self.groups[name]

    def partition_count(self, topic: str) -> int:
        """Return a topic's number of partitions, 0 when there is no such topic."""
        known = self.topics.get(topic)
        return len(known.partitions) if known is not None else 0

    def request(self, operation: Operation, process: MemoryProcess, subject: str) -> None:
        """Stand at the beginning of every request: time is caught up with, then faults are raised."""
        process.check()
        self.faults.check(Call(operation, process.name, subject))
        self.tick()

    def place(self, topic: str, key: bytes | None, partition: int | None) -> TopicPartition:
        """Return where a record goes: by its number, by its key, else in turns. Raises TopicMissing."""
        known = self._topic(topic)
        if partition is None and key is not None:
            partition = partition_of(key, len(known.partitions))
        elif partition is None:
            partition = known.keyless % len(known.partitions)
            known.keyless += 1
        chosen = TopicPartition(topic, partition)
        self.partition(chosen)
        return chosen

    def append(
        self,
        to: TopicPartition,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None,
        timestamp_ms: int | None,
        producer: int | None,
    ) -> MemoryRecord:
        """Append a record, as part of the transaction of `producer` unless that is None."""
        topic = self._topic(to.topic)
        bound = int(topic.config.get("max.message.bytes", MAX_RECORD_BYTES))
        if len(key or b"") + len(value or b"") > min(bound, MAX_RECORD_BYTES):
            raise too_large(to.topic)
        now_ms = self.clock.now_ms()
        if topic.append_time:
            stamp = (LOG_APPEND_TIME, now_ms)
        else:
            stamp = (CREATE_TIME, now_ms if timestamp_ms is None else timestamp_ms)
        log = self.partition(to)
        record = MemoryRecord(to.topic, to.partition, log.end, key, value, headers, stamp)
        log.append(record, producer)
        return record

    def _topic(self, name: str) -> MemoryTopic:
        known = self.topics.get(name)
        if known is None:
            raise TopicMissing(f"There is no topic {name}.", hint="Create it, or correct its name.")
        return known

    def _finish(self, identity: Identity, transaction: OpenTransaction, committed: bool) -> None:
        now_ms = self.clock.now_ms()
        for partition in sorted(transaction.partitions):
            if partition.topic in self.topics:
                self.partition(partition).finish(identity.number, committed, now_ms)
        if committed:
            for group, positions in transaction.offsets.items():
                self.group(group).positions.update(positions)


def too_large(topic: str) -> RecordTooLarge:
    """Return the error of a record that the client or the topic does not take."""
    return RecordTooLarge(f"A record for {topic} is too large.", hint="Raise max.message.bytes, or send less.")
