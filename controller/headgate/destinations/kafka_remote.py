"""Kafka on another cluster than the source, exactly once: records and positions in one transaction over there.

The source's group cannot take part in a transaction of another cluster, so the positions lie in a topic of the
destination (`kafka_positions`), and what a group would fence has to be fenced here. Each source partition has a
transactional id of its own, in which no worker's name stands. Whoever takes the partition on initialises the id, which
ends what the predecessor left open and lets nothing of it count any more, and only then reads where the partition
stands. So at any time one producer can commit for a partition, and it began at the last committed position: that alone
makes it exactly once, whoever believes to own what.

The claim's token is written before the first record. It keeps a late predecessor from fencing its heir, and a task from
going on that was stopped across a forced pause: `fence` claims every partition by the pause's epoch.

Each partition commits by itself. When one fails, others may have committed: the task goes back, reads every position
from here, and nothing is lost or doubled by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from headgate.destinations.kafka_positions import Kept, PositionsTopic, positions_topic
from headgate.destinations.kafka_suspects import Suspects
from headgate.ports.connectors import ConnectorContext
from headgate.ports.destination import Output, PositionsIn, StaleOwner, Token, WriteInDoubt
from headgate.ports.log import ClientSetting, Committed, Log, TopicPartition, TransactionalProducer
from headgate.session import TransactionalSession
from headgate_events.errors import HeadgateError
from headgate_events.records import Record

LINGER_MS: Final = 5
TRANSACTION_TIMEOUT_MS: Final = 30_000
BUDGET_S: Final = 45.0
"""For all initialisations of one call together: a task that answers later would lose its partitions."""
LEAST_S: Final = 1.0

Write = Callable[[TransactionalProducer, Sequence[Any], Suspects], None]


class RemoteDestination:
    """Records and positions in transactions of another cluster, one for each source partition that moved."""

    positions_in: PositionsIn = "destination"
    transactional_ids: tuple[str, ...] = ()
    """None that a worker could end on the stream's own cluster; `fence` ends them on theirs."""

    def __init__(
        self,
        context: ConnectorContext,
        cluster: Callable[[], Log],
        forward: Write,
        write: Write,
        client: Mapping[str, ClientSetting] | None = None,
    ) -> None:
        self._context = context
        self._cluster = cluster
        self._forward = forward
        self._write = write
        self._suspects = Suspects(client or {})
        self._log: Log | None = None
        self._topic: PositionsTopic | None = None
        self._owned: dict[TopicPartition, _Owned] = {}

    def open(self) -> None:
        """Look the connection up anew, see to the topic of positions, and forget every claim."""
        self.close()
        self._suspects.opened()
        self._log = self._cluster()
        topic = PositionsTopic(self._log, positions_topic(self._context.namespace), self._context.group)
        topic.open()
        self._topic = topic

    @property
    def most_records(self) -> int:
        """How many records are taken at once: fewer while a refused one is looked for."""
        return self._suspects.most_records

    def forward(self, records: Sequence[Record]) -> None:
        """Produce records unchanged, each in the open transaction of its source partition."""
        with self._suspects.judged():
            for partition, part in _by_partition(records, lambda record: record).items():
                self._at(partition).produce(self._forward, part, self._suspects)

    def write(self, outputs: Sequence[Output]) -> None:
        """Produce outputs, each in the open transaction of the source partition that it came from."""
        with self._suspects.judged():
            for partition, part in _by_partition(outputs, lambda output: output.origin).items():
                self._at(partition).produce(self._write, part, self._suspects)

    def positions(self, claims: Mapping[TopicPartition, Token]) -> Mapping[TopicPartition, Committed]:
        """Fence whoever had the partitions, read where they stand, and write the claims down."""
        assert self._topic is not None, "a destination is opened before it is asked"
        _refuse_stale(claims, self._topic.glance(claims))
        deadline_s = self._context.clock.monotonic_s() + BUDGET_S
        for partition in sorted(claims):
            if (before := self._owned.pop(partition, None)) is not None:
                before.session.close()
            session = self._session(partition)
            session.open(max(LEAST_S, deadline_s - self._context.clock.monotonic_s()))
            self._owned[partition] = _Owned(session)
        kept = self._topic.settle(claims)
        _refuse_stale(claims, kept)
        found = {each: one.committed for each, one in kept.items() if one.committed is not None}
        for partition, token in sorted(claims.items()):
            owned = self._owned[partition]
            owned.token = token
            self._prepare(partition, found.get(partition))
            owned.commit()
        return found

    def commit(self, positions: Mapping[TopicPartition, Committed], proof: Any) -> None:
        """Commit each partition that moved, with its position. All are sent before the first is waited for.

        Raises RecordRefused for a record that the broker refuses.
        """
        open_ones = [each for each, owned in self._owned.items() if owned.producer is not None]
        if forgotten := [each for each in open_ones if each not in positions]:
            raise WriteInDoubt(
                f"Records of {forgotten[0].topic}[{forgotten[0].partition}] were written, and no position came along."
            )
        with self._suspects.judged():
            for partition, committed in positions.items():
                self._prepare(partition, committed)
            for partition in positions:
                self._at(partition).commit()
        self._suspects.committed()
        for owned in self._owned.values():
            owned.session.client = self._suspects.client

    def fence(self, claims: Mapping[TopicPartition, Token]) -> None:
        """Claim partitions for nobody, so that no holder of a lower token can commit any more."""
        try:
            self.open()
            self.positions(claims)
        except StaleOwner:
            return  # somebody claimed them for a later run
        finally:
            self.close()

    def close(self) -> None:
        """Drop the producers; an open transaction is left to the next owner of its partition, or to its time-out."""
        for owned in self._owned.values():
            owned.session.close()
        self._owned.clear()

    def _prepare(self, partition: TopicPartition, committed: Committed | None) -> None:
        assert self._topic is not None
        owned = self._at(partition)
        value, key, place = self._topic.record(partition, Kept(committed, owned.token))
        name = self._topic.name
        owned.produce(lambda producer, *_: producer.produce(name, value, key, None, place), (), self._suspects)

    def _at(self, partition: TopicPartition) -> _Owned:
        owned = self._owned.get(partition)
        if owned is None or owned.session.phase not in {"ready", "open"}:
            raise WriteInDoubt(
                f"{partition.topic}[{partition.partition}] is not claimed any more.",
                hint="The task claims its partitions anew.",
            )
        return owned

    def _session(self, partition: TopicPartition) -> TransactionalSession:
        assert self._log is not None
        return TransactionalSession(
            self._log,
            f"{self._context.group}/{partition.topic}/{partition.partition}",
            linger_ms=LINGER_MS,
            timeout_ms=TRANSACTION_TIMEOUT_MS + 2 * self._context.commit_interval_ms,
            client=self._suspects.client,
        )


class _Owned:
    """One source partition: its session, its open transaction if there is one, and the token of its claim."""

    __slots__ = ("producer", "session", "token")

    def __init__(self, session: TransactionalSession) -> None:
        self.session = session
        self.producer: TransactionalProducer | None = None
        self.token = Token(0, 0, 0)

    def produce(self, write: Write, items: Sequence[Any], suspects: Suspects) -> None:
        """Write in the open transaction, begun where none is open."""
        if self.producer is None:
            self.producer = self.session.begin()
        try:
            write(self.producer, items, suspects)
        except HeadgateError:
            self.session.doubt()
            self.producer = None
            raise

    def commit(self) -> None:
        """Commit the open transaction."""
        self.producer = None
        self.session.commit({}, None)


def _refuse_stale(claims: Mapping[TopicPartition, Token], kept: Mapping[TopicPartition, Kept]) -> None:
    for partition, token in claims.items():
        known = kept.get(partition)
        if known is not None and known.token > token:
            raise StaleOwner(
                f"{partition.topic}[{partition.partition}] was claimed by a newer owner on the destination's cluster.",
                hint="This worker begins anew with what it then owns.",
            )


def _by_partition(items: Sequence[Any], origin_of: Callable[[Any], Record]) -> dict[TopicPartition, list[Any]]:
    parts: dict[TopicPartition, list[Any]] = {}
    for item in items:
        origin = origin_of(item)
        topic, number = origin.topic(), origin.partition()
        assert topic is not None, "a consumed record has a place"
        assert number is not None, "a consumed record has a place"
        parts.setdefault(TopicPartition(topic, number), []).append(item)
    return parts
