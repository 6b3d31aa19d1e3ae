"""Restoring: brings partitions of the state topic into memory, in bounded pieces, with progress to show.

A predecessor may have left a transaction open. So the high watermark is noted first (read uncommitted), and the
partition is read, committed records only, until the position has reached it: then every transaction that the
predecessor ever began is over. If the broker holds the position back for longer than a clean hand-over takes, the
predecessor's transactional ids, which stand beside its committed positions, are initialised. That ends its open
transaction at once instead of at its timeout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import structlog

from headgate.ports.errors import LogError, LogUnavailable
from headgate.ports.log import Log, LogConsumer, TopicPartition
from headgate.projector.setup import ASK_TIMEOUT_S, PartitionsDiffer
from headgate.projector.states import PartitionStates
from headgate.session import TransactionalSession
from headgate_events.names import PROGRESS_KEY_PREFIX
from headgate_events.partitioner import partition_of

STEP_RECORDS: Final = 20_000
QUEUED_KBYTES: Final = 32_768
FETCH_WAIT_MS: Final = 10
FENCE_AFTER_S: Final = 0.5
"""A predecessor that left in good order needs less than this for the markers of its last transaction."""
ASK_EVERY_S: Final = 0.1
PROGRESS_EVERY_S: Final = 2.0
CHECKED_KEYS: Final = 64
"""How many streams of a partition are checked to belong there: the topics may have been given more partitions."""

CALM: Final = b'{"kind":"state","due_ms":null,'
"""How a state begins that waits for no moment; one that begins otherwise is parsed."""
_PROGRESS: Final = PROGRESS_KEY_PREFIX.encode()

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Restoring:
    """One partition on its way. `predecessor` is the base of the last owner's transactional ids, None if unknown."""

    states: PartitionStates
    target: int
    position: int
    began_s: float
    began_at: int
    predecessor: str | None
    unchecked: int = CHECKED_KEYS
    said_end: int | None = None
    ask_again_s: float = 0.0
    fence_again_s: float = field(default=0.0)
    said_s: float = field(default=0.0)


class Restorer:
    """Reads partitions of the state topic. `witness` sees uncommitted records, so it knows the true end."""

    def __init__(self, client: Log, topic: str, partitions: int, witness: LogConsumer) -> None:
        self._log = client
        self._topic = topic
        self._partitions = partitions
        self._witness = witness
        self._consumer: LogConsumer | None = None
        self._assigned = False
        self._under_way: dict[int, Restoring] = {}

    def __bool__(self) -> bool:
        return bool(self._under_way)

    def begin(self, partition: int, states: PartitionStates, predecessor: str | None, now_s: float) -> None:
        """Begin with a partition, or begin anew. `states` may hold what was read before; reading goes on from there.

        Raises LogUnavailable when the broker does not say where the partition ends; nothing has begun then.
        """
        held = self._witness.range(TopicPartition(self._topic, partition), ASK_TIMEOUT_S)
        if states.read_to is not None and not held.start <= states.read_to <= held.end:
            log.warning("projector.state_moved", partition=partition, read_to=states.read_to, start=held.start)
            states.clear()
        position = held.start if states.read_to is None else states.read_to
        self._under_way[partition] = Restoring(states, held.end, position, now_s, position, predecessor, said_s=now_s)
        self._assigned = False

    def cancel(self, partition: int) -> None:
        """Give up on a partition, if it is under way."""
        if self._under_way.pop(partition, None) is not None and not self._under_way:
            self.close()

    def step(self, now_s: float, wait_s: float) -> list[int]:
        """Read on, for `wait_s` at most while nothing comes; return the partitions that are complete now."""
        if any(each.position < each.target for each in self._under_way.values()):
            consumer = self._reader()
            batch = consumer.poll(STEP_RECORDS, wait_s)
            self._take(batch.records)
            for at, end in batch.ends.items():
                if (each := self._under_way.get(at.partition)) is not None:
                    each.said_end = end
                    each.position = max(each.position, end)
        done = [partition for partition, each in self._under_way.items() if each.position >= each.target]
        for partition in done:
            each = self._under_way.pop(partition)
            each.states.read_to = each.position
            log.info(
                "projector.partition_restored",
                partition=partition,
                streams=len(each.states),
                records=each.position - each.began_at,
                seconds=round(now_s - each.began_s, 3),
            )
        if not self._under_way:
            # A reader that stays would go on fetching what we write ourselves.
            self.close()
        for partition, each in self._under_way.items():
            self._push(partition, each, now_s)
        return done

    def close(self) -> None:
        """Stop reading."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
        self._assigned = False

    def _reader(self) -> LogConsumer:
        if self._consumer is None:
            self._consumer = self._log.consumer(
                isolation="read_committed", ends=True, queued_kbytes=QUEUED_KBYTES, fetch_wait_ms=FETCH_WAIT_MS
            )
        if not self._assigned:
            self._assigned = True
            self._consumer.assign(
                {TopicPartition(self._topic, number): each.position for number, each in self._under_way.items()}
            )
            for each in self._under_way.values():
                each.said_end = None
        return self._consumer

    def _take(self, records: Sequence[Any]) -> None:
        # The hottest loop of a start: a million records pass here, so it is one loop without calls of our own.
        under_way, progress_mark = self._under_way, _PROGRESS
        for record in records:
            each = under_way.get(record.partition())
            if each is None:
                continue
            key, value = record.key(), record.value()
            each.position = record.offset() + 1
            states = each.states
            if key[:1] == b"_" and key.startswith(progress_mark):
                if value is not None:
                    progress = orjson.loads(value)
                    states.positions = {"commands": progress["commands"], "reports": progress["reports"]}
                continue
            stream = key.decode()
            if each.unchecked:
                each.unchecked -= 1
                self._check(stream, record.partition())
            if value is None:
                states.remove(stream)
                continue
            states.put_bytes(stream, value)
            if not value.startswith(CALM) and (due_ms := orjson.loads(value).get("due_ms")) is not None:
                states.expect(stream, due_ms)

    def _check(self, stream: str, partition: int) -> None:
        belongs = partition_of(stream, self._partitions)
        if belongs != partition:
            raise PartitionsDiffer(
                f"{self._topic} holds {stream!r} in partition {partition}, but its name belongs to {belongs} of "
                f"{self._partitions}.",
                hint="Partitions were added after the first commands; begin a new namespace with as many as you need.",
            )

    def _push(self, partition: int, each: Restoring, now_s: float) -> None:
        """Show progress, and see to it that a transaction that was left open does not hold the partition back."""
        if now_s - each.said_s >= PROGRESS_EVERY_S:
            each.said_s = now_s
            log.info("projector.restoring", partition=partition, position=each.position, target=each.target)
        if each.said_end is None or now_s < each.ask_again_s:
            return
        each.ask_again_s = now_s + ASK_EVERY_S
        if now_s - each.began_s >= FENCE_AFTER_S and now_s >= each.fence_again_s and each.predecessor is not None:
            each.fence_again_s = now_s + 5.0
            self._fence(partition, each.predecessor)
        at = TopicPartition(self._topic, partition)
        try:
            stable = self._reader().range(at, ASK_TIMEOUT_S).end
        except LogUnavailable as error:
            log.warning("projector.end_unknown", partition=partition, error=str(error))
            return
        if stable > each.said_end:
            # An end is said once; what was aborted behind it brings no record, so it has to be asked for again.
            each.said_end = None
            self._reader().seek({at: each.position})

    def _fence(self, partition: int, predecessor: str) -> None:
        log.info("projector.open_transaction_ended", partition=partition, transactional_id=predecessor)
        session = TransactionalSession(self._log, predecessor, alternate=True)
        try:
            session.open(ASK_TIMEOUT_S)
        except LogError as error:
            log.warning("projector.open_transaction_stands", partition=partition, error=str(error))
        finally:
            session.close()
