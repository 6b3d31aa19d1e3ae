"""Streams that read what other streams write, on a real broker: status and watermark come from upstream, in order."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from headgate_events.markers import marker_record
from headgate_events.partitioner import partition_of
from headgate_events.topics import Topics as Namespace
from tests.integration.worker.conftest import PARTITIONS, WAIT_S, Headgate
from tests.support.eventually import eventually
from tests.support.kafka import read_to_end
from tests.support.stream_input import reading

QUICK: dict[str, Any] = {"idle_after_s": 0.5, "flap_damping": False, "watermark_interval_ms": 100}
DROPS_ALL = {"function": "tests.integration.worker.transforms:nothing"}
Said = list[tuple[str, str | None, int | None]]


def stream(headgate: Headgate, name: str, source: str, destination: str, **config: Any) -> None:
    idleness = {**QUICK, **config.pop("idleness", {})}
    headgate.create_and_start(
        name,
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": destination, "partition": "source"},
        idleness=idleness,
        **config,
    )


def said(headgate: Headgate, name: str, topic: str = "markers") -> list[dict[str, Any]]:
    """Return what a stream said, in order: every marker, or its edges alone."""
    found = [orjson.loads(each.value or b"{}") for each in headgate.read(getattr(Namespace(headgate.namespace), topic))]
    return [each for each in found if each.get("stream") == name and each.get("status") is not None]


def edges(headgate: Headgate, name: str) -> list[str]:
    return [each["status"] for each in said(headgate, name, "edges")]


def until_edges(headgate: Headgate, name: str, expected: list[str]) -> None:
    def look() -> bool:
        assert edges(headgate, name) == expected
        return True

    eventually(look, WAIT_S, f"{name} says {expected}", every_s=0.1)


def until_watermark(headgate: Headgate, name: str, expected: int) -> None:
    def look() -> bool:
        told = [each["watermark"] for each in said(headgate, name)]
        assert told
        assert told[-1] == expected, told
        return True

    eventually(look, WAIT_S, f"{name} has come to {expected}", every_s=0.1)


def until_written(headgate: Headgate, topic: str, name: str, watermark: int) -> None:
    """Return when a stream's watermark lies on the markers topic, behind a transaction that is open."""

    def look() -> bool:
        found = read_to_end(headgate.servers, topic, isolation="read_uncommitted")
        told = [orjson.loads(each.value or b"{}") for each in found]
        return any(each.get("stream") == name and each.get("watermark") == watermark for each in told)

    eventually(look, WAIT_S, f"{name} has told {watermark}", every_s=0.1)


def until_reason(headgate: Headgate, name: str, reason: str, because: str) -> None:
    """Return when a stream's heartbeats say that it is ACTIVE and why, in code and in words."""
    following = Consumer({"bootstrap.servers": headgate.servers, "group.id": "follows", "enable.auto.commit": False})
    following.assign([TopicPartition(Namespace(headgate.namespace).heartbeats, 0, 0)])
    shown: list[Any] = []

    def look() -> bool:
        message = following.poll(0.2)
        if message is not None and message.error() is None:
            for task in orjson.loads(message.value() or b"{}").get("tasks") or ():
                if task["stream"] == name:
                    shown[:] = [(each["status"], each["reason"], each["because"]) for each in task["channels"]]
        return shown == [("ACTIVE", reason, because)]

    try:
        eventually(look, WAIT_S, f"{name} shows {reason}", every_s=0.0)
    finally:
        following.close()


def test_a_chain_of_three_whose_middle_filters_out_everything_has_status_and_watermarks_at_its_end(
    headgate: Headgate,
) -> None:
    first, second, third, last = (headgate.source(name, 1) for name in ("first", "second", "third", "last"))
    headgate.worker("a")
    stream(headgate, "one", first, second, idleness={"event_time": {"source": "timestamp"}})
    stream(headgate, "two", second, third, transform=DROPS_ALL)
    stream(headgate, "three", third, last)
    until_edges(headgate, "three", ["ACTIVE", "IDLE"])

    producer = headgate.plain_producer()
    producer.produce(first, b"1", partition=0, timestamp=5_000)
    producer.flush(WAIT_S)
    until_edges(headgate, "three", ["ACTIVE", "IDLE", "ACTIVE", "IDLE"])
    until_watermark(headgate, "three", 4_999)
    assert headgate.read(third) == headgate.read(last) == []
    for name in ("one", "two", "three"):
        told = said(headgate, name, "edges")
        assert all(one["status"] != other["status"] for one, other in pairwise(told)), name
    rose = [each["watermark"] for each in said(headgate, "three") if each["watermark"] is not None]
    assert rose == sorted(rose)
    assert {each["reason"] for each in said(headgate, "three", "edges")} == {"UPSTREAM", "EMPTY"}


def test_one_that_is_fed_by_two_is_idle_when_both_are_and_one_of_them_ends_with_its_stream(headgate: Headgate) -> None:
    left, right, between, last = (headgate.source(name, 1) for name in ("left", "right", "between", "last"))
    headgate.worker("a")
    timed = {"event_time": {"source": "timestamp"}}
    producer = headgate.plain_producer()
    producer.produce(left, b"1", partition=0, timestamp=9_000)
    producer.produce(right, b"2", partition=0, timestamp=5_000)
    producer.flush(WAIT_S)
    stream(headgate, "left", left, between, idleness=timed)
    stream(headgate, "right", right, between, idleness=timed | {"idle_after_s": 600.0})
    stream(headgate, "sum", between, last)
    until_watermark(headgate, "sum", 4_999)
    until_edges(headgate, "left", ["ACTIVE", "IDLE"])
    assert (edges(headgate, "right"), edges(headgate, "sum")) == (["ACTIVE"], ["ACTIVE"])
    headgate.done(headgate.commands.delete("right"))
    until_edges(headgate, "sum", ["ACTIVE", "IDLE"])
    until_watermark(headgate, "sum", 8_999)
    assert len(headgate.read(last)) == 2


def test_what_stands_still_upstream_is_held_what_is_silent_is_suspect_and_what_is_deleted_is_no_upstream_any_more(
    headgate: Headgate,
) -> None:
    first, between, last = (headgate.source(name, 1) for name in ("first", "between", "last"))
    headgate.worker("a")
    stream(headgate, "orders", first, between)
    stream(headgate, "invoices", between, last)
    until_edges(headgate, "invoices", ["ACTIVE", "IDLE"])

    headgate.done(headgate.commands.pause("orders"))
    headgate.until_status("orders", "PAUSED")
    until_reason(headgate, "invoices", "HELD", "orders is PAUSED")
    until_edges(headgate, "invoices", ["ACTIVE", "IDLE", "ACTIVE"])
    assert said(headgate, "invoices", "edges")[-1]["reason"] == "HELD"
    headgate.produce(first, 1, partitions=1)
    headgate.done(headgate.commands.resume("orders"))
    until_edges(headgate, "invoices", ["ACTIVE", "IDLE", "ACTIVE", "IDLE"])
    assert len(headgate.read(last)) == 1, "IDLE came after what had waited"

    config = headgate.get("orders").config.model_dump(mode="json")
    headgate.done(headgate.commands.modify("orders", {**config, "idleness": {"markers": "off"}}))
    headgate.done(headgate.commands.pause("orders"))
    headgate.until_status("orders", "PAUSED")
    headgate.done(headgate.commands.resume("orders"))
    until_reason(headgate, "invoices", "SUSPECT", f"no worker speaks for orders {first}/0")
    assert edges(headgate, "invoices")[4:] == ["ACTIVE"]
    headgate.done(headgate.commands.pause("orders"))
    headgate.until_status("orders", "PAUSED")
    headgate.done(headgate.commands.delete("orders"))
    until_edges(headgate, "invoices", ["ACTIVE", "IDLE", "ACTIVE", "IDLE", "ACTIVE", "IDLE"])
    assert said(headgate, "invoices", "edges")[-1]["evidence"]["end"] >= 1, "it is judged by its own end now"


def test_a_former_owners_idle_is_dropped_and_an_open_transaction_among_the_markers_holds_what_a_stream_says(
    headgate: Headgate,
) -> None:
    first, between, last = (headgate.source(name, 1) for name in ("first", "between", "last"))
    headgate.worker("a")
    stream(headgate, "orders", first, between, idleness={"idle_after_s": 600.0, "event_time": {"source": "timestamp"}})
    stream(headgate, "invoices", between, last)
    producer = headgate.plain_producer()
    producer.produce(first, b"1", partition=0, timestamp=5_000)
    producer.flush(WAIT_S)
    until_watermark(headgate, "invoices", 4_999)
    topic = Namespace(headgate.namespace).markers
    (watermark,) = [each for each in said(headgate, "orders") if each["watermark"] == 4_999]
    partition = partition_of("orders", PARTITIONS)

    rival = Producer({"bootstrap.servers": headgate.servers, "transactional.id": f"{headgate.namespace}.rival"})
    rival.init_transactions(WAIT_S)
    with reading(headgate.servers, headgate.namespace, between) as program:
        program.until(["1", 4_999])
        rival.begin_transaction()
        stale = marker_record(topic, PARTITIONS, {**watermark, "marker": "STATUS", "status": "IDLE", "claim": 0})
        rival.produce(topic, stale.value, stale.key, partition, headers=stale.headers)
        rival.flush(WAIT_S)
        producer.produce(first, b"2", partition=0, timestamp=6_000)
        producer.flush(WAIT_S)
        headgate.until_moved(last, 2)  # a worker's records do not wait: it says ACTIVE by itself
        until_written(headgate, topic, "orders", 5_999)
        assert program.input.poll(0.5) == [], "what stands before the record is not known yet"
        assert [each["watermark"] for each in said(headgate, "invoices")][-1] == 4_999
        rival.commit_transaction(WAIT_S)
        until_watermark(headgate, "invoices", 5_999)
        assert edges(headgate, "invoices") == ["ACTIVE"], "a former owner's IDLE lies before that watermark"
        program.until(["1", 4_999, "2", 5_999])


def test_the_end_of_a_bounded_stream_is_the_end_of_those_that_read_it(headgate: Headgate) -> None:
    first, between, last = (headgate.source(name, 1) for name in ("first", "between", "last"))
    headgate.worker("a")
    headgate.produce(first, 3, partitions=1)
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": first, "until": "end"},
        destination={"kind": "kafka", "topic": between},
        idleness=QUICK | {"event_time": {"source": "timestamp"}},
    )
    stream(headgate, "invoices", between, last)
    until_edges(headgate, "invoices", ["ACTIVE", "FINISHED"])
    assert len(headgate.read(last)) == 3
