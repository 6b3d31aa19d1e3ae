"""Streams that run: everything is moved once, drains give receipts, resume goes on where the drain ended."""

from __future__ import annotations

from tests.integration.worker.conftest import Headgate, numbers


def kafka_to_kafka(headgate: Headgate, partitions: int = 3) -> tuple[str, str, dict[str, object]]:
    source, destination = headgate.source("source", partitions), headgate.source("destination", partitions)
    config: dict[str, object] = {
        "source": {"kind": "kafka", "topic": source},
        "destination": {"kind": "kafka", "topic": destination, "partition": "source"},
    }
    return source, destination, config


def test_a_stream_moves_every_record_once_and_pauses_with_a_receipt_for_every_partition(headgate: Headgate) -> None:
    source, destination, config = kafka_to_kafka(headgate)
    headgate.produce(source, 1_000)
    headgate.worker("a")
    headgate.create_and_start("orders", **config)
    running = headgate.until("orders", "runs on a", lambda state: "a" in state.tasks)
    assert running.partitions == {source: 3}
    assert running.positions == {source: {"0": 0, "1": 0, "2": 0}}
    assert {check.result for check in running.checks} == {"passed"}
    headgate.until_moved(destination, 1_000)
    headgate.produce(source, 200, start=1_000)
    headgate.until_moved(destination, 1_200)

    headgate.done(headgate.commands.pause("orders", reason="lunch"))
    paused = headgate.until_status("orders", "PAUSED")
    assert paused.drain is not None
    receipts = paused.drain.receipts[source]
    assert sorted(receipts) == ["0", "1", "2"]
    assert {(each.start, each.end, each.read, each.written) for each in receipts.values()} == {(0, 400, 400, 400)}
    headgate.produce(source, 300, start=1_200)
    assert numbers(headgate.read(destination)) == list(range(1_200))

    headgate.done(headgate.commands.resume("orders"))
    headgate.until_status("orders", "RUNNING")
    moved = headgate.until_moved(destination, 1_500)
    assert numbers(moved) == list(range(1_500))
    for partition in range(3):
        in_order = [int(each.value or b"") for each in moved if each.partition == partition]
        assert in_order == sorted(in_order)

    headgate.done(headgate.commands.pause("orders"))
    again = headgate.until_status("orders", "PAUSED")
    assert again.drain is not None
    assert {(each.start, each.end, each.read) for each in again.drain.receipts[source].values()} == {(400, 500, 100)}
