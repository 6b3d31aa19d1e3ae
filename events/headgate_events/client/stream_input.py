"""`StreamInput`: a destination's records with their watermarks and statuses among them, each where it belongs.

A consumer of a topic that Headgate's streams write has records, and no word on whether more are to come or how far
event time is. This puts both around its own consumer: every record, watermark and status comes out in the one order in
which it may be acted upon. IDLE comes after all the records before it, ACTIVE before the first one after it, and a
watermark after every record that it covers. Each partition has an order of its own; nothing is ordered between two.

After each fetch it is asked where the markers topic ends, and the records are released once the markers up to there
were read. Markers that stand among the records themselves (`markers: in_band`) take effect there, and are no records.

The consumer may be one of a group. Which partitions it has is looked up with every call; what was fetched of one that
went away is dropped, for whoever has it now reads it, and what all of them come to is kept as one (`Share`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from confluent_kafka import Consumer, KafkaError, Message

from headgate_events.client.kafka import LOGGER, MISSING, POLL_S, Settings, is_transient, wrapped
from headgate_events.client.writers import Writers
from headgate_events.errors import EnvironmentProblem, HeadgateError, InvalidRequest, TopicsMissing
from headgate_events.idleness.alignment import Alignment
from headgate_events.idleness.share import Share
from headgate_events.idleness.signals import MIN, Signal, Status, Watermark
from headgate_events.idleness.vigil import Hold
from headgate_events.markers import decode_marker, is_in_band
from headgate_events.names import DEFAULT_NAMESPACE
from headgate_events.schema.workers import Marker
from headgate_events.topics import Topics

MARKERS_S: Final = 60.0
"""How long fetched records wait for the markers before that is an error; a dead worker's transaction ends sooner."""
MAX_RECORDS: Final = 1_000
GROUP_S: Final = 0.5
"""How long records wait for markers before the consumer is polled again: a group waits for a member that is not."""


@dataclass(frozen=True, slots=True)
class PartitionWatermark:
    """No record with this event time (epoch milliseconds) or an earlier one is expected in a partition any more."""

    topic: str
    partition: int
    watermark_ms: int


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """A partition went IDLE, so that nobody need wait for it, or ACTIVE again. The two strictly alternate."""

    topic: str
    partition: int
    status: Literal["IDLE", "ACTIVE"]


StreamElement = Message | PartitionWatermark | PartitionStatus


class StreamInput:
    """Reads `topic` with the program's own `consumer`, which stays the program's to subscribe, commit and close.

    The consumer reads committed records and tells the ends of partitions: set `enable.partition.eof`, and leave
    `isolation.level` as it is. Without ends, what lies behind transactions is not known to be read, and IDLE is late.
    What was polled may come out later, so commit by what came out (`enable.auto.offset.store` off, `store_offsets`).
    Every partition begins ACTIVE and without a watermark, also after a restart, and one that comes back in a rebalance
    goes on: ACTIVE is said if IDLE was, and no watermark is below the last. Belongs to the consumer's thread; contacts
    nobody before the first `poll` or `put`. `kafka` are settings for the clients that read beside it.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        consumer: Consumer,
        topic: str,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        kafka: Settings | None = None,
        flush_on_all_idle: bool = True,
    ) -> None:
        self._consumer = consumer
        self._topic = topic
        self._alignment: Alignment[Message] = Alignment(topic, flush_on_all_idle=flush_on_all_idle)
        self._writers = Writers(bootstrap_servers, Topics(namespace), topic, self._alignment, kafka)
        self._share = Share(flush_on_all_idle=flush_on_all_idle)
        self._pending: dict[int, list[Message]] = {}
        self._later: list[Message] = []
        self._due: list[StreamElement] = []
        self._ends: dict[int, int] = {}
        self._waits_since_s: float | None = None

    @property
    def upstreams(self) -> tuple[str, ...]:
        """The streams that write the topic, as last read."""
        return self._writers.streams

    @property
    def holds(self) -> tuple[Hold, ...]:
        """The channels that are HELD (their stream stands still) or SUSPECT (nobody speaks for them), and why."""
        return self._writers.holds

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions of the topic that the consumer has, as of the last call."""
        return self._share.partitions

    def status(self, partition: int | None = None) -> Literal["IDLE", "ACTIVE"]:
        """Return a partition's status at the place up to which it came out; ACTIVE for one that did not yet.

        Without a partition: that of all which the consumer has. ACTIVE while one of them is, so IDLE without any (R22).
        """
        if partition is None:
            return _word(self._share.status)
        return _word(self._alignment.status(partition)) if partition in self._alignment.partitions else "ACTIVE"

    def watermark_ms(self) -> int | None:
        """Return how far event time has come in all partitions that the consumer has, epoch milliseconds; None before.

        That is after everything that came out. It is the smallest of those that are ACTIVE, and never goes back: one
        that is assigned holds it until it reports, one that is revoked holds it no longer. MAX is no part of it, since
        a partition that has not ended may be inherited.
        """
        return None if self._share.watermark == MIN else self._share.watermark

    def poll(self, timeout_s: float = 1.0, max_records: int = MAX_RECORDS) -> list[StreamElement]:
        """Poll the consumer and return what came of it, in order; none when nothing did within `timeout_s`.

        Raises ClusterUnreachable, TopicsMissing or EnvironmentProblem; what was fetched is kept, and comes later.
        """
        deadline_s = time.monotonic() + timeout_s
        self._writers.start()
        while True:
            left_s = max(0.0, deadline_s - time.monotonic())
            self._fetch(max_records, min(POLL_S, left_s))
            found = self.put((), min(GROUP_S, left_s))
            if found or time.monotonic() >= deadline_s:
                return found

    def put(self, messages: Iterable[Message], timeout_s: float = MARKERS_S) -> list[StreamElement]:
        """Take what the program polled itself, ends and errors too, and return what may come out by now, in order.

        What cannot come out within `timeout_s`, since the markers before it are not there, comes at a later call.
        Raises as `poll` does, and InvalidRequest for a message of another topic.
        """
        deadline_s = time.monotonic() + timeout_s
        self._writers.start()
        self._accept(messages)
        self._writers.follow()
        if self._writers.is_up_to_date(deadline_s):
            self._release()
        elif self._pending:
            self._give_up_waiting()
        due, self._due = self._due, []
        return due

    def revoked(self, _consumer: Consumer, partitions: Iterable[Any]) -> None:
        """Forget partitions that went away. Hand this to `subscribe` as `on_revoke` and `on_lost`.

        Without it that is found out with the next call, except where a partition went and came back in between.
        """
        gone = {each.partition for each in partitions if each.topic == self._topic}
        self._forget(gone)
        self._later = [each for each in self._later if each.topic() != self._topic or each.partition() not in gone]

    def close(self) -> None:
        """Let go of the clients beside the consumer, which stays open."""
        self._writers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    # Partitions and records

    def _fetch(self, max_records: int, wait_s: float) -> None:
        """Poll the consumer, also while records wait: its group hears of it in no other way."""
        if self._pending:
            if len(self._later) < max_records and (message := self._consumer.poll(0)) is not None:
                self._later.append(message)
            return
        if not self._later and (message := self._consumer.poll(wait_s)) is not None:
            self._later.append(message)
        if self._later:
            # Taken on before the next call, in which the partition may go away.
            later, self._later = self._later, []
            self._accept(later)
            self._accept(self._consumer.consume(max_records - 1, 0))

    def _know_assignment(self) -> None:
        """Look up which partitions the consumer has; one that came back is ACTIVE from now on."""
        self._share.change(each.partition for each in self._consumer.assignment() if each.topic == self._topic)
        self._forget(set(self._alignment.partitions) - self._share.partitions)
        for each in sorted(self._share.partitions - set(self._alignment.partitions)):
            self._tell(each, self._share.begin(each))

    def _forget(self, partitions: Iterable[int]) -> None:
        for each in partitions:
            self._alignment.forget(each)
            self._pending.pop(each, None)
            self._ends.pop(each, None)

    def _accept(self, messages: Iterable[Message]) -> None:
        self._know_assignment()
        trouble: HeadgateError | None = None
        for message in messages:
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                trouble = trouble or self._trouble(error)
            elif message.topic() != self._topic:
                trouble = trouble or InvalidRequest(
                    f"A record of {message.topic()} came where {self._topic} is read.",
                    hint="Give each topic a StreamInput of its own.",
                )
            elif message.partition() in self._share.partitions:
                self._accept_one(message, is_end=error is not None)
        if trouble is not None:
            raise trouble

    def _trouble(self, error: KafkaError) -> HeadgateError | None:
        """Return what is to be raised; nothing for what the consumer gets over by itself."""
        if error.code() == KafkaError._MAX_POLL_EXCEEDED:
            LOGGER.warning("%s was not polled for too long; the group takes it in again: %s", self._topic, error.str())
            return None
        if error.code() in MISSING:
            return TopicsMissing(
                f"The topic {self._topic} does not exist.",
                hint="Create it, or check the name: the stream's definition says where it writes.",
            )
        return None if is_transient(error) else wrapped(error, f"reading {self._topic}")

    def _accept_one(self, message: Message, *, is_end: bool) -> None:
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        self._place(partition, offset)
        if is_end:
            self._ends[partition] = offset
            return
        self._pending.setdefault(partition, []).append(message)
        self._ends.pop(partition, None)
        self._writers.look()
        self._waits_since_s = self._waits_since_s or time.monotonic()

    def _place(self, partition: int, offset: int) -> None:
        """Begin a partition where it is met first, or where it was gone back to."""
        waiting = self._pending.get(partition)
        met = partition in self._alignment.partitions
        if waiting:
            gone_back = offset <= (waiting[-1].offset() or 0)
        else:
            gone_back = met and offset < self._alignment.reached(partition)
        if met and not gone_back:
            return
        self._pending.pop(partition, None)
        self._tell(partition, self._share.begin(partition, gone_back=gone_back))
        self._alignment.begin(partition, offset)
        self._writers.look()

    def _release(self) -> None:
        pending, self._pending = self._pending, {}
        self._waits_since_s = None
        for partition in sorted(self._alignment.partitions):
            records, in_band = _apart(pending.get(partition, ()))
            position = max(self._ends.get(partition, 0), self._alignment.reached(partition))
            for each in self._alignment.release(partition, records, position, in_band):
                if isinstance(each, Message):
                    self._due.append(each)
                else:
                    self._tell(partition, self._share.tell(partition, each))

    def _tell(self, partition: int, signals: Iterable[Signal]) -> None:
        self._due += [self._element(partition, each) for each in signals]

    def _element(self, partition: int, signal: Signal) -> PartitionWatermark | PartitionStatus:
        if isinstance(signal, Watermark):
            return PartitionWatermark(self._topic, partition, signal.value)
        return PartitionStatus(self._topic, partition, _word(signal.status))

    def _give_up_waiting(self) -> None:
        if self._waits_since_s is not None and time.monotonic() - self._waits_since_s > MARKERS_S:
            self._waits_since_s = time.monotonic()
            raise EnvironmentProblem(
                f"Records of {self._topic} wait for markers that cannot be read for {MARKERS_S:g} s.",
                hint="An open transaction of a worker that died may hold them back; it ends by itself. Poll again.",
            )


def _word(status: Status) -> Literal["IDLE", "ACTIVE"]:
    return "IDLE" if status is Status.IDLE else "ACTIVE"


def _apart(messages: Iterable[Message]) -> tuple[list[Message], dict[int, Marker]]:
    """Return what is to be released, and the markers among it by offset. A damaged marker is left out."""
    released: list[Message] = []
    markers: dict[int, Marker] = {}
    for message in messages:
        if is_in_band(message):
            marker = decode_marker(message)
            if marker is None:
                continue
            markers[message.offset() or 0] = marker
        released.append(message)
    return released, markers
