"""`StreamInput` in a consumer group that rebalances: each member is told what it may act on, whoever comes and goes.

What the stream says is written by hand, so that the test alone decides when it is said. Both members are polled by
turns in one thread, and whatever comes out is checked at once by `Member`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import orjson
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from headgate_events import PartitionWatermark, StreamInput
from headgate_events.markers import marker_record
from headgate_events.topics import Topics as Names
from tests.support.eventually import eventually
from tests.support.kafka import Topics
from tests.support.markers import marker

WAIT_S = 60.0
PARTITIONS = 4
MARKERS = 3
STREAM = "orders"
AN_HOUR_MS = 3_600_000
CLASSIC = {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 300}
GROUP_CHANGES = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.STALE_MEMBER_EPOCH,
}
PROTOCOLS = {
    "eager": CLASSIC | {"partition.assignment.strategy": "range"},
    "cooperative": CLASSIC | {"partition.assignment.strategy": "cooperative-sticky"},
    "consumer": {"group.protocol": "consumer"},
}


class Writer:
    """A stream that writes the destination, and says where it ends."""

    def __init__(self, servers: str, topics: Topics, names: Names) -> None:
        self.topic = topics.create("destination", PARTITIONS)
        self._names = names
        self._producer = Producer({"bootstrap.servers": servers, "linger.ms": 0})
        self.written = 0
        self._said = 0
        config = {"destination": {"kind": "kafka", "topic": self.topic}}
        state = {"status": "RUNNING", "incarnation": 1, "config": config, "partitions": {"source": 1}}
        topics.create("heartbeats", 1)
        topics.create("markers", MARKERS)
        channel = {"topic": "source", "partition": 0, "status": None, "claim": 1}
        task = {"stream": STREAM, "incarnation": 1, "channels": [channel]}
        beat = {"worker": "w", "interval_ms": AN_HOUR_MS, "tasks": [task]}
        self._send(names.state, orjson.dumps(state), STREAM.encode())
        self._send(names.heartbeats, orjson.dumps(beat), b"w")

    def write(self, at_ms: int) -> None:
        """Write a record of this event time to every partition."""
        for partition in range(PARTITIONS):
            self._send(self.topic, str(at_ms).encode(), None, partition)
        self.written += 1

    def say(self, status: str, watermark: int) -> None:
        """Say what holds after all that was written."""
        self._said += 1
        ends = {str(partition): self.written for partition in range(PARTITIONS)}
        said = marker(status, ends, watermark, stream=STREAM, seq=self._said)
        payload = said.model_dump(mode="json") | {"kind": "marker", "dest_topic": self.topic}
        made = marker_record(self._names.markers, MARKERS, payload)
        self._send(made.topic, made.value, made.key, made.partition, headers=list(made.headers))

    def each_once(self) -> Counter[tuple[int, int]]:
        """Return every record, by partition and offset, once."""
        return Counter((partition, offset) for partition in range(PARTITIONS) for offset in range(self.written))

    def _send(self, topic: str, value: bytes, key: bytes | None, partition: int = 0, **more: Any) -> None:
        self._producer.produce(topic, value, key, partition=partition, **more)
        assert self._producer.flush(WAIT_S) == 0


class Member:
    """A program in the group, which checks everything that it is told when it is told."""

    def __init__(self, servers: str, namespace: str, topic: str, settings: dict[str, Any]) -> None:
        self.consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": f"{namespace}.programs",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 50,
            }
            | settings
        )
        self.input = StreamInput(servers, self.consumer, topic, namespace)
        self.consumer.subscribe([topic], on_revoke=self.input.revoked, on_lost=self.input.revoked)
        self.records: Counter[tuple[int, int]] = Counter()
        self.statuses: dict[int, str] = {}
        self.watermarks: dict[int, int] = {}
        self.uncommitted: dict[int, int] = {}
        self._topic = topic
        self._watermark_ms = -1

    def step(self) -> None:
        """Poll once, check what came out, and commit it."""
        for each in self.input.poll(0.1):
            if isinstance(each, Message):
                self._check_record(each)
            elif isinstance(each, PartitionWatermark):
                assert each.watermark_ms >= self.watermarks.get(each.partition, 0), f"{each} goes back"
                self.watermarks[each.partition] = each.watermark_ms
            else:
                assert each.status != self.statuses.get(each.partition, "ACTIVE"), f"{each} a second time"
                self.statuses[each.partition] = each.status
        now_ms = self.input.watermark_ms()
        assert now_ms is None or now_ms >= self._watermark_ms, "event time goes back"
        self._watermark_ms = self._watermark_ms if now_ms is None else now_ms
        awake = [each for each in self.input.partitions if self.statuses.get(each, "ACTIVE") == "ACTIVE"]
        assert self.input.status() == ("ACTIVE" if awake else "IDLE")
        self._commit()

    def _check_record(self, record: Message) -> None:
        partition, offset, at_ms = record.partition(), record.offset(), int(record.value() or b"")
        assert partition is not None
        assert offset is not None
        assert partition in self.input.partitions, "it is somebody else's"
        assert self.statuses.get(partition, "ACTIVE") == "ACTIVE", f"a record of {partition}, which was said to be IDLE"
        assert at_ms > self.watermarks.get(partition, 0), "late"
        self.records[partition, offset] += 1
        self.uncommitted[partition] = offset + 1

    def _commit(self) -> None:
        """Commit what came out; while the group changes the broker refuses it, and takes it later."""
        places = [TopicPartition(self._topic, *each) for each in self.uncommitted.items()]
        if not places:
            return
        try:
            self.consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() not in GROUP_CHANGES:
                raise
        else:
            self.uncommitted.clear()

    def now(self) -> tuple[str, int | None, int]:
        """Return status, watermark, and how many partitions it has."""
        return self.input.status(), self.input.watermark_ms(), len(self.input.partitions)


Start = Callable[..., Member]


@pytest.fixture
def writer(broker: Any, topics: Topics, names: Names) -> Writer:
    return Writer(broker.bootstrap_servers, topics, names)


@pytest.fixture
def start(broker: Any, namespace: str, writer: Writer) -> Iterator[Start]:
    with ExitStack() as exits:

        def started(protocol: str, **more: Any) -> Member:
            made = Member(broker.bootstrap_servers, namespace, writer.topic, PROTOCOLS[protocol] | more)
            exits.callback(made.consumer.close)
            exits.callback(made.input.close)
            return made

        yield started


def until(
    expected: dict[Member, tuple[str, int | None, int]], came: Counter[tuple[int, int]] | None = None, *gone: Member
) -> None:
    """Poll these members by turns until each has come to its status, watermark and number of partitions.

    `came` is what has to have come out by then, to them and to those who are gone, and has to be committed.
    """

    def look() -> bool:
        for each in expected:
            each.step()
        found = [each.now() for each in expected]
        assert found == list(expected.values()), found
        assert not any(each.uncommitted for each in expected)
        seen = sum((each.records for each in (*expected, *gone)), Counter[tuple[int, int]]())
        assert came is None or seen == came, seen - came + (came - seen)
        return True

    eventually(look, WAIT_S, f"the members are at {list(expected.values())}", every_s=0.0)


def shared_by_two(writer: Writer, start: Start, protocol: str, **more: Any) -> tuple[Member, Member]:
    """Return two members that have two partitions each, and have lived through IDLE and what came after it."""
    writer.write(500)
    writer.say("IDLE", 1_000)
    a = start(protocol)
    until({a: ("IDLE", 1_000, 4)})
    b = start(protocol, **more)
    assert b.now() == ("IDLE", None, 0)
    until({a: ("IDLE", 1_000, 2), b: ("IDLE", 1_000, 2)})
    writer.say("ACTIVE", 1_000)
    writer.write(1_500)
    writer.say("ACTIVE", 2_000)
    until({a: ("ACTIVE", 2_000, 2), b: ("ACTIVE", 2_000, 2)}, writer.each_once())
    return a, b


def inherited(writer: Writer, a: Member, *gone: Member) -> None:
    """Wait until `a` has everything, and has come through what was written while nobody read two partitions."""
    until({a: ("ACTIVE", 3_000, 4)}, writer.each_once(), *gone)
    writer.say("IDLE", 4_000)
    until({a: ("IDLE", 4_000, 4)})


def left_alone(writer: Writer, a: Member) -> None:
    """Write on while the other member does not read any more, and let `a` come as far as its own partitions do."""
    writer.write(2_500)
    writer.say("ACTIVE", 3_000)

    def look() -> bool:
        a.step()
        return a.input.watermark_ms() == 3_000

    eventually(look, WAIT_S, "a has come to 3,000 by itself", every_s=0.0)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("protocol", list(PROTOCOLS))
def test_one_joins_and_leaves_and_the_other_goes_on_with_what_it_inherits(
    writer: Writer, start: Start, protocol: str
) -> None:
    a, b = shared_by_two(writer, start, protocol)
    b.consumer.close()
    writer.write(2_500)
    writer.say("ACTIVE", 3_000)
    inherited(writer, a, b)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("protocol", ["eager", "cooperative"])
def test_what_one_leaves_behind_that_goes_without_a_word_is_inherited_when_its_session_is_over(
    writer: Writer, start: Start, protocol: str
) -> None:
    a, b = shared_by_two(writer, start, protocol, **{"group.instance.id": "b", "session.timeout.ms": 10_000})
    b.consumer.close()  # a static member does not leave by that (KIP-345)
    left_alone(writer, a)
    inherited(writer, a, b)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("protocol", ["eager", "cooperative"])
def test_one_that_did_not_poll_for_too_long_has_lost_all_is_idle_without_a_jump_and_comes_back(
    writer: Writer, start: Start, protocol: str
) -> None:
    a, b = shared_by_two(writer, start, protocol, **{"max.poll.interval.ms": 10_000})
    left_alone(writer, a)
    inherited(writer, a, b)
    told = dict(b.statuses)
    until({b: ("IDLE", 2_000, 0)})
    assert b.statuses == told, "that was no word about its partitions"
    until({a: ("IDLE", 4_000, 2), b: ("IDLE", 4_000, 2)})
    writer.say("ACTIVE", 4_000)
    writer.write(4_500)
    writer.say("IDLE", 5_000)
    until({a: ("IDLE", 5_000, 2), b: ("IDLE", 5_000, 2)}, writer.each_once())
