"""`StreamInput`: a destination's records with their watermarks and statuses among them, each where it belongs.

A consumer of a topic that Headgate's streams write has records, and no word on whether more are to come or how far
event time is. This puts both around its own consumer: every record, watermark and status comes out in the one order in
which it may be acted upon. IDLE comes after all the records before it, ACTIVE before the first one after it, and a
watermark after every record that it covers. Each partition has an order of its own; nothing is ordered between two.

After each fetch it is asked where the markers topic ends, and the records are released once the markers up to there
were read. Markers that stand among the records themselves (`markers: in_band`) take effect there, and are no records.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import orjson
from confluent_kafka import Consumer, KafkaError, Message

from headgate_events.client.kafka import LOGGER, MISSING, POLL_S, Settings, is_transient, take, wrapped
from headgate_events.client.markers_topic import KafkaMarkersTopic
from headgate_events.client.reader import TopicReader
from headgate_events.client.spoken import Speakers
from headgate_events.errors import EnvironmentProblem, InvalidRequest, TopicsMissing
from headgate_events.idleness.alignment import Alignment
from headgate_events.idleness.signals import Signal, Watermark
from headgate_events.idleness.vigil import Hold, Vigil
from headgate_events.marker_feed import MarkerFeed
from headgate_events.markers import ChannelId, channel_of, decode_marker, is_in_band
from headgate_events.names import DEFAULT_NAMESPACE, is_stream_name
from headgate_events.records import Record
from headgate_events.schema.workers import Marker
from headgate_events.topics import Topics
from headgate_events.upstreams import Upstream, Upstreams

START_S: Final = 60.0
MARKERS_S: Final = 60.0
"""How long fetched records wait for the markers before that is an error; a dead worker's transaction ends sooner."""
VIGIL_EVERY_S: Final = 0.5
PATIENCE_S: Final = 6.0
"""What three heartbeats last, as long as none was heard."""
MAX_RECORDS: Final = 1_000


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
    Every partition begins ACTIVE and without a watermark, also after a restart. Belongs to the consumer's thread;
    contacts nobody before the first `poll` or `put`. `kafka` are settings for the clients that read beside it.
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
        topics = Topics(namespace)
        self._consumer = consumer
        self._topic = topic
        self._states = TopicReader(bootstrap_servers, topics.state, kafka)
        self._heartbeats = TopicReader(bootstrap_servers, topics.heartbeats, kafka)
        self._markers = KafkaMarkersTopic(bootstrap_servers, topics.markers, kafka)
        self._feed = MarkerFeed(self._markers)
        self._upstreams = Upstreams()
        self._speakers = Speakers()
        self._alignment: Alignment[Message] = Alignment(topic, flush_on_all_idle=flush_on_all_idle)
        self._vigil = Vigil(PATIENCE_S)
        self._holds: dict[ChannelId, Hold] = {}
        self._writers: tuple[Upstream, ...] = ()
        self._version = -1
        self._started = False
        self._pending: dict[int, list[Message]] = {}
        self._ends: dict[int, int] = {}
        self._asked = False
        self._waits_since_s: float | None = None
        self._vigil_s = float("-inf")

    @property
    def upstreams(self) -> tuple[str, ...]:
        """The streams that write the topic, as last read."""
        return tuple(each.stream for each in self._writers)

    @property
    def holds(self) -> tuple[Hold, ...]:
        """The channels that are HELD (their stream stands still) or SUSPECT (nobody speaks for them), and why."""
        return tuple(self._holds[each] for each in sorted(self._holds))

    def status(self, partition: int) -> Literal["IDLE", "ACTIVE"]:
        """Return a partition's status at the place up to which it came out; ACTIVE for one that did not yet."""
        known = partition in self._alignment.partitions
        return "IDLE" if known and self._alignment.status(partition).value == "IDLE" else "ACTIVE"

    def poll(self, timeout_s: float = 1.0, max_records: int = MAX_RECORDS) -> list[StreamElement]:
        """Poll the consumer and return what came of it, in order; none when nothing did within `timeout_s`.

        Raises ClusterUnreachable, TopicsMissing or EnvironmentProblem; what was fetched is kept, and comes later.
        """
        deadline_s = time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, deadline_s - time.monotonic())
            fetched = [] if self._pending else take(self._consumer, max_records, min(POLL_S, left_s))
            found = self.put(fetched, left_s)
            if found or time.monotonic() >= deadline_s:
                return found

    def put(self, messages: Iterable[Message], timeout_s: float = MARKERS_S) -> list[StreamElement]:
        """Take what the program polled itself, ends and errors too, and return what may come out by now, in order.

        What cannot come out within `timeout_s`, since the markers before it are not there, comes at a later call.
        Raises as `poll` does, and InvalidRequest for a message of another topic.
        """
        deadline_s = time.monotonic() + timeout_s
        if not self._started:
            self._start()
        self._accept(messages)
        while True:
            self._follow()
            if not self._pending:
                break
            if not self._asked or not self._feed.looked:
                self._asked = True
                self._feed.look()
            while not self._feed.up_to_date and time.monotonic() < deadline_s:
                self._take_markers(min(POLL_S, max(0.0, deadline_s - time.monotonic())))
            if self._feed.up_to_date:
                break
            self._give_up_waiting()
            return []
        return self._release()

    def revoked(self, _consumer: Consumer, partitions: Iterable[Any]) -> None:
        """Forget partitions that went away. Hand this to `subscribe` as `on_revoke` and `on_lost`."""
        for each in partitions:
            if each.topic == self._topic:
                self._alignment.forget(each.partition)
                self._pending.pop(each.partition, None)
                self._ends.pop(each.partition, None)

    def close(self) -> None:
        """Let go of the clients beside the consumer, which stays open."""
        self._states.close()
        self._heartbeats.close()
        self._feed.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    # What others say

    def _start(self) -> None:
        """Learn who writes the topic, and who speaks for them, as it stands now."""
        deadline_s = time.monotonic() + START_S
        for reader, note in ((self._states, self._note_state), (self._heartbeats, self._note_beat)):
            reader.start(dict.fromkeys(range(reader.partitions(START_S))))
            for batch in reader.to_now(max(0.0, deadline_s - time.monotonic())):
                for record in batch:
                    note(record)
        self._started = True

    def _note_state(self, record: Record) -> None:
        key, value = record.key(), record.value()
        name = key.decode(errors="replace") if isinstance(key, bytes) else ""
        if not is_stream_name(name):
            return
        try:
            self._upstreams.note(name, None if value is None else orjson.loads(value))
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            LOGGER.warning("the state of %s cannot be read: %r", name, error)

    def _note_beat(self, record: Record) -> None:
        self._speakers.take(record, time.monotonic(), round(time.time() * 1000), caught_up=self._started)

    def _follow(self) -> None:
        """Take on what changed: who writes, whom to follow, who is held."""
        for record in self._states.poll():
            self._note_state(record)
        for record in self._heartbeats.poll():
            self._note_beat(record)
        if self._upstreams.version != self._version:
            self._know_writers()
        self._feed.follow(self._alignment.streams)
        self._take_markers(0.0)
        now_s = time.monotonic()
        if now_s >= self._vigil_s:
            self._vigil_s = now_s + VIGIL_EVERY_S
            self._keep_vigil(now_s)

    def _know_writers(self) -> None:
        names = self._upstreams.of({"kind": "kafka", "topic": self._topic})
        writers = tuple(found for name in sorted(names) if (found := self._upstreams.get(name)) is not None)
        gone = set(self._alignment.streams) - names
        fewer = any(
            each.channels is not None and set(self._alignment.channels(each.stream)) - each.channels for each in writers
        )
        ends = self._markers.ends_of(self._topic, self._alignment.partitions) if gone or fewer else None
        for name in gone:
            self._alignment.end(name, ends or {})
        for each in writers:
            self._alignment.expect(each.stream, each.incarnation, each.channels, ends)
        self._writers = writers
        self._version = self._upstreams.version
        self._vigil_s = float("-inf")

    def _keep_vigil(self, now_s: float) -> None:
        spoken_for = self._speakers.spoken_for({each.stream: each.incarnation for each in self._writers})
        self._vigil.patience_s = self._speakers.patience_s or PATIENCE_S
        self._holds = self._vigil.keep(self._alignment, self._writers, now_s, spoken_for)

    def _take_markers(self, wait_s: float) -> None:
        for marker in self._feed.take(wait_s):
            self._alignment.take(marker)
            self._vigil.heard(channel_of(marker), time.monotonic())

    # Records

    def _accept(self, messages: Iterable[Message]) -> None:
        for message in messages:
            error, partition, offset = message.error(), message.partition(), message.offset()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                if error.code() in MISSING:
                    raise TopicsMissing(
                        f"The topic {self._topic} does not exist.",
                        hint="Create it, or check the name: the stream's definition says where it writes.",
                    )
                if not is_transient(error):
                    raise wrapped(error, f"reading {self._topic}")
                continue
            if message.topic() != self._topic:
                raise InvalidRequest(
                    f"A record of {message.topic()} came where {self._topic} is read.",
                    hint="Give each topic a StreamInput of its own.",
                )
            assert partition is not None
            assert offset is not None
            self._place(partition, offset)
            if error is None:
                self._pending.setdefault(partition, []).append(message)
                self._ends.pop(partition, None)
                self._asked = False
                self._waits_since_s = self._waits_since_s or time.monotonic()
            else:
                self._ends[partition] = offset

    def _place(self, partition: int, offset: int) -> None:
        """Begin a partition where it is met first, or where it was gone back to."""
        waiting = self._pending.get(partition)
        if partition not in self._alignment.partitions:
            self._alignment.begin(partition, offset)
        elif waiting and offset <= (waiting[-1].offset() or 0):
            del self._pending[partition]
            self._alignment.begin(partition, offset)
        elif not waiting and offset < self._alignment.reached(partition):
            self._alignment.begin(partition, offset)

    def _release(self) -> list[StreamElement]:
        pending, self._pending = self._pending, {}
        self._waits_since_s = None
        found: list[StreamElement] = []
        for partition in sorted(self._alignment.partitions):
            records, in_band = _apart(pending.get(partition, ()))
            position = max(self._ends.get(partition, 0), self._alignment.reached(partition))
            released = self._alignment.release(partition, records, position, in_band)
            found += [each if isinstance(each, Message) else self._element(partition, each) for each in released]
        return found

    def _element(self, partition: int, signal: Signal) -> PartitionWatermark | PartitionStatus:
        if isinstance(signal, Watermark):
            return PartitionWatermark(self._topic, partition, signal.value)
        return PartitionStatus(self._topic, partition, "IDLE" if signal.status.value == "IDLE" else "ACTIVE")

    def _give_up_waiting(self) -> None:
        if self._waits_since_s is not None and time.monotonic() - self._waits_since_s > MARKERS_S:
            self._waits_since_s = time.monotonic()
            raise EnvironmentProblem(
                f"Records of {self._topic} wait for markers that cannot be read for {MARKERS_S:g} s.",
                hint="An open transaction of a worker that died may hold them back; it ends by itself. Poll again.",
            )


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
