"""Markers among a destination's records on a real broker: in order with them, for new partitions too, and no data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from headgate import bootstrap
from headgate.worker.auditing import audit
from headgate_events.markers import IN_BAND_HEADER
from tests.integration.worker.conftest import WAIT_S, Headgate, numbers
from tests.integration.worker.test_activity import statuses as said_of
from tests.integration.worker.test_activity import until_said
from tests.support.eventually import eventually
from tests.support.kafka import Record

QUICK = {"idle_after_s": 0.3, "flap_damping": False, "watermark_interval_ms": 50, "event_time": {}}


def split(records: list[Record]) -> tuple[list[Record], list[Record]]:
    """Return the data and the markers among some records."""
    markers = [each for each in records if each.header(IN_BAND_HEADER) is not None]
    return [each for each in records if each not in markers], markers


def statuses(markers: list[Record], partition: int) -> list[tuple[int, str, str]]:
    """Return what the markers of one destination partition say, as (channel, kind, status), in order."""
    told = [orjson.loads(each.value or b"{}") for each in markers if each.partition == partition]
    return [(each["channel"]["partition"], each["marker"], each["status"]) for each in told]


def edges_of(markers: list[Record], partition: int) -> list[tuple[int, str, str]]:
    return [each for each in statuses(markers, partition) if each[1] == "STATUS"]


def stand_in_order(data: list[Record], markers: list[Record], partition: int) -> None:
    """Look that the last ACTIVE of a partition stands before all of its records, and its IDLE behind them."""
    told = [each for each in markers if each.partition == partition and b'"STATUS"' in (each.value or b"")]
    theirs = [each.offset for each in data if each.partition == partition]
    assert theirs, "both partitions hold data"
    assert told[-2].offset < min(theirs) <= max(theirs) < told[-1].offset


def until(look: Callable[[], object], what: str) -> None:
    eventually(look, WAIT_S, what, every_s=0.2)


def a_stream(headgate: Headgate, source: str, destination: str, **more: Any) -> None:
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": destination},
        idleness={**QUICK, "markers": "in_band"},
        **more,
    )


def test_every_partition_of_the_destination_gets_every_marker_in_order_with_the_records_it_covers(
    headgate: Headgate,
) -> None:
    source, destination = headgate.source("source", 1), headgate.source("destination", 2)
    headgate.worker("a")
    a_stream(headgate, source, destination)
    until_said(headgate, "orders", {0: ["IDLE"]})
    headgate.produce(source, 20, partitions=1)
    until_said(headgate, "orders", {0: ["IDLE", "ACTIVE", "IDLE"]})
    data, markers = split(headgate.read(destination))
    assert numbers(data) == list(range(20))
    for partition in range(2):
        assert [each[2] for each in edges_of(markers, partition)] == ["IDLE", "ACTIVE", "IDLE"]
        stand_in_order(data, markers, partition)
    assert {each.key for each in markers} == {f"m:orders/{source}/0".encode()}

    headgate.grow(destination, 3)
    until(
        lambda: statuses(split(headgate.read(destination))[1], 2) == [(0, "HEARTBEAT", "IDLE")],
        "the new partition is told what holds",
    )
    # Its records are still one each: markers are in no count and in no receipt.
    headgate.done(headgate.commands.pause("orders"))
    state = headgate.until_status("orders", "PAUSED")
    assert state.drain is not None
    receipt = state.drain.receipts[source]["0"]
    assert (receipt.read, receipt.written) == (20, 20)
    log, clock = bootstrap.make_log(headgate.settings(), "audits"), bootstrap.make_clock()
    assert [each.verdict for each in audit(log, clock, state.model_dump(mode="json"))] == ["holds"]


def test_a_stream_that_reads_them_moves_the_records_alone_and_its_receipt_holds(headgate: Headgate) -> None:
    source, between, last = headgate.source("source", 1), headgate.source("between", 2), headgate.source("last", 2)
    headgate.worker("a")
    a_stream(headgate, source, between, delivery="at_least_once")
    headgate.create_and_start(
        "invoices",
        source={"kind": "kafka", "topic": between},
        destination={"kind": "kafka", "topic": last, "partition": "source"},
        receipt_digest=True,
    )
    until_said(headgate, "orders", {0: ["IDLE"]})
    headgate.produce(source, 20, partitions=1)
    until_said(headgate, "orders", {0: ["IDLE", "ACTIVE", "IDLE"]})
    headgate.until_moved(last, 20)
    data, markers = split(headgate.read(between))
    for partition in range(2):
        assert [each[2] for each in edges_of(markers, partition)] == ["IDLE", "ACTIVE", "IDLE"]
        stand_in_order(data, markers, partition)
    # What it takes over from the side markers holds at the place to which it read, which markers among records moved.
    eventually(
        lambda: {each[-1] for each in said_of(headgate, "invoices").values()} == {"IDLE"},
        WAIT_S,
        "the second stream is idle as the first one is",
        every_s=0.2,
    )
    headgate.done(headgate.commands.pause("invoices"))
    state = headgate.until_status("invoices", "PAUSED")
    assert numbers(headgate.read(last)) == list(range(20))
    assert state.drain is not None
    receipts = state.drain.receipts[between]
    assert sum(each.read for each in receipts.values()) == sum(each.written for each in receipts.values()) == 20
    log, clock = bootstrap.make_log(headgate.settings(), "audits"), bootstrap.make_clock()
    assert [each.verdict for each in audit(log, clock, state.model_dump(mode="json"))] == ["holds", "holds"]
    behind = {
        partition: max(each.offset for each in data + markers if each.partition == partition) for partition in (0, 1)
    }
    # Positions move over markers, too.
    assert {int(number): receipt.end - 1 for number, receipt in receipts.items()} == behind


def test_in_band_is_refused_at_the_start_where_the_destination_is_not_kafka(headgate: Headgate, tmp_path: Any) -> None:
    source = headgate.source("source", 1)
    headgate.worker("a")
    config = {
        "source": {"kind": "kafka", "topic": source},
        "destination": {"kind": "jsonl", "folder": str(tmp_path)},
        "idleness": {"markers": "in_band"},
    }
    headgate.done(headgate.commands.create("orders", config))
    headgate.done(headgate.commands.start("orders"))
    state = headgate.until("orders", "is refused", lambda state: state.status == "NOT_STARTED" and state.checks)
    (wrong,) = [each for each in state.checks if each.result == "failed"]
    assert (wrong.code, wrong.hint) == ("markers.not_in_band", "Set idleness.markers: side_topic.")
