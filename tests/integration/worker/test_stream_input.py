"""A program's own consumer with a StreamInput around it: records, watermarks and statuses in the one right order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from headgate_events import PartitionStatus, PartitionWatermark, StreamInput
from headgate_events.markers import marker_record
from headgate_events.partitioner import partition_of
from headgate_events.topics import Topics as Namespace
from tests.integration.worker.conftest import PARTITIONS, WAIT_S, Headgate
from tests.integration.worker.test_downstream import edges, said, stream, until_edges, until_watermark
from tests.support.eventually import eventually

TIMED: dict[str, Any] = {"event_time": {"source": "timestamp"}}


def shown(element: Any) -> Any:
    if isinstance(element, PartitionWatermark):
        return element.watermark_ms
    return element.status if isinstance(element, PartitionStatus) else element.value().decode()


class Reading:
    """What a program has got out of one partition so far."""

    def __init__(self, stream_input: StreamInput) -> None:
        self.input = stream_input
        self.seen: list[Any] = []

    def until(self, expected: list[Any]) -> None:
        def look() -> bool:
            self.seen += [shown(each) for each in self.input.poll(0.2)]
            assert self.seen == expected
            return True

        eventually(look, WAIT_S, f"{expected} came out", every_s=0.0)


@contextmanager
def reading(headgate: Headgate, topic: str, position: int = 0) -> Iterator[Reading]:
    consumer = Consumer(
        {
            "bootstrap.servers": headgate.servers,
            "group.id": "a-program",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
        }
    )
    consumer.assign([TopicPartition(topic, 0, position)])
    try:
        with StreamInput(headgate.servers, consumer, topic, headgate.namespace) as stream_input:
            yield Reading(stream_input)
    finally:
        consumer.close()


def send(producer: Producer, topic: str, *records: tuple[bytes, int]) -> None:
    for value, at_ms in records:
        producer.produce(topic, value, partition=0, timestamp=at_ms)
    producer.flush(WAIT_S)


def test_a_program_gets_records_watermarks_and_statuses_in_order_and_the_same_again_after_a_restart(
    headgate: Headgate,
) -> None:
    first, last = headgate.source("first", 1), headgate.source("last", 1)
    headgate.worker("a")
    send(headgate.plain_producer(), first, (b"a", 5_000), (b"b", 6_000))
    stream(headgate, "orders", first, last, idleness=TIMED)
    until_edges(headgate, "orders", ["ACTIVE", "IDLE"])
    with reading(headgate, last) as program:
        program.until(["a", "b", 5_999, "IDLE"])
        assert program.input.upstreams == ("orders",)
        assert (program.input.status(0), program.input.holds) == ("IDLE", ())
        send(headgate.plain_producer(), first, (b"c", 9_000))
        program.until(["a", "b", 5_999, "IDLE", "ACTIVE", "c", 8_999, "IDLE"])
    with reading(headgate, last, position=1) as program:  # the next program, from what this one has committed
        again = ["b", 5_999, "IDLE", "ACTIVE", "c", 8_999, "IDLE"]
        program.until(again)
        headgate.done(headgate.commands.pause("orders"))
        headgate.until_status("orders", "PAUSED")
        program.until([*again, "ACTIVE"])
        assert [(each.reason, each.because) for each in program.input.holds] == [("HELD", "orders is PAUSED")]
        headgate.done(headgate.commands.delete("orders"))
        program.until([*again, "ACTIVE", "IDLE"])
        assert program.input.upstreams == ()


def test_records_wait_for_the_markers_of_an_open_transaction_and_an_aborted_one_hides_nothing(
    headgate: Headgate,
) -> None:
    first, last = headgate.source("first", 1), headgate.source("last", 1)
    headgate.worker("a")
    send(headgate.plain_producer(), first, (b"a", 5_000))
    stream(headgate, "orders", first, last, idleness=TIMED | {"idle_after_s": 600.0})
    until_watermark(headgate, "orders", 4_999)
    topic = Namespace(headgate.namespace).markers
    rival = Producer({"bootstrap.servers": headgate.servers, "transactional.id": f"{headgate.namespace}.rival"})
    rival.init_transactions(WAIT_S)
    with reading(headgate, last) as program:
        program.until(["a", 4_999])
        stale = marker_record(topic, PARTITIONS, {**said(headgate, "orders")[-1], "status": "IDLE", "claim": 0})
        rival.begin_transaction()
        rival.produce(topic, stale.value, stale.key, partition_of("orders", PARTITIONS), headers=stale.headers)
        rival.flush(WAIT_S)
        send(headgate.plain_producer(), first, (b"b", 6_000))
        headgate.until_moved(last, 2)
        for _ in range(5):
            assert program.input.poll(0.2) == [], "what stands before the record is not known yet"
        rival.abort_transaction(WAIT_S)
        program.until(["a", 4_999, "b", 5_999])
    assert edges(headgate, "orders") == ["ACTIVE"]


def test_markers_among_the_records_take_effect_there_and_are_no_records(headgate: Headgate) -> None:
    first, last = headgate.source("first", 1), headgate.source("last", 1)
    headgate.worker("a")
    send(headgate.plain_producer(), first, (b"a", 5_000))
    stream(headgate, "orders", first, last, idleness=TIMED | {"markers": "in_band"})
    until_edges(headgate, "orders", ["ACTIVE", "IDLE"])
    send(headgate.plain_producer(), first, (b"b", 7_000))
    until_edges(headgate, "orders", ["ACTIVE", "IDLE", "ACTIVE", "IDLE"])
    assert len(headgate.read(last)) > 2, "there are markers among them"
    with reading(headgate, last) as program:
        program.until(["a", 4_999, "IDLE", "ACTIVE", "b", 6_999, "IDLE"])
        assert all(not isinstance(each, Message) for each in program.input.poll(0.3))
