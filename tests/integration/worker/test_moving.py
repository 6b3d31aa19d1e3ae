"""Streams that run: everything is moved once, drains give receipts, resume goes on where the drain ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from headgate.ports.log import Committed, TopicPartition
from headgate.sources.kafka import KafkaReader
from headgate.worker import engine
from tests.integration.worker.conftest import WAIT_S, Headgate, numbers
from tests.support.eventually import eventually


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


def test_a_transform_is_changed_between_two_records_without_a_restart(headgate: Headgate) -> None:
    source, destination, config = kafka_to_kafka(headgate, 1)
    transform = {"function": "tests.integration.worker.transforms:suffix", "settings": {"text": "-one"}}
    headgate.produce(source, 100, partitions=1)
    headgate.worker("a")
    headgate.create_and_start("orders", **config, transform=transform)
    headgate.until_moved(destination, 100)
    before = headgate.get("orders")

    headgate.done(
        headgate.commands.modify("orders", config | {"transform": transform | {"settings": {"text": "-two"}}})
    )
    after = headgate.until("orders", "applied revision 2", lambda state: state.revision.applied == 2)
    assert after.epoch == before.epoch, "a live change starts no epoch"
    headgate.produce(source, 100, start=100, partitions=1)
    moved = headgate.until_moved(destination, 200)
    assert [each.value for each in moved] == [b"%d-%s" % (n, b"one" if n < 100 else b"two") for n in range(200)]

    headgate.done(headgate.commands.modify("orders", config | {"transform": {"function": "os:system"}}))
    rejected = headgate.until("orders", "rejects revision 3", lambda state: state.revision.rejected == 3)
    (said,) = [check for check in rejected.revision.checks if check.result == "failed"]
    assert said.code == "transform.refused"
    assert "not allowed" in said.message
    headgate.produce(source, 1, start=200, partitions=1)
    assert headgate.until_moved(destination, 201)[-1].value == b"200-two"

    headgate.stop_worker("a")  # who begins anew goes on by what was applied, and so does a drain
    headgate.worker("b")
    headgate.produce(source, 1, start=201, partitions=1)
    assert headgate.until_moved(destination, 202)[-1].value == b"201-two"
    headgate.done(headgate.commands.pause("orders"))
    headgate.until_status("orders", "PAUSED")


def test_a_new_destination_restarts_the_tasks_at_the_same_positions(headgate: Headgate) -> None:
    source, destination, config = kafka_to_kafka(headgate)
    other = headgate.source("other")
    headgate.produce(source, 300)
    headgate.worker("a")
    headgate.create_and_start("orders", **config)
    headgate.until_moved(destination, 300)
    headgate.done(headgate.commands.modify("orders", config | {"destination": {"kind": "kafka", "topic": other}}))
    headgate.until("orders", "applied revision 2", lambda state: state.revision.applied == 2)
    headgate.produce(source, 300, start=300)
    assert numbers(headgate.until_moved(other, 300)) == list(range(300, 600))
    assert numbers(headgate.read(destination)) == list(range(300))

    missing = config | {"destination": {"kind": "kafka", "topic": "there-is-no-such-topic"}}
    headgate.done(headgate.commands.modify("orders", missing))
    rejected = headgate.until("orders", "rejects revision 3", lambda state: state.revision.rejected == 3)
    assert [check.code for check in rejected.revision.checks if check.result == "failed"] == [
        "destination.topic_missing"
    ]
    headgate.produce(source, 3, start=600)
    assert numbers(headgate.until_moved(other, 303))[-3:] == [600, 601, 602]


def test_a_new_source_begins_by_the_start_policy(headgate: Headgate) -> None:
    source, destination, config = kafka_to_kafka(headgate, 1)
    other = headgate.source("other", 1)
    headgate.produce(source, 10, partitions=1)
    headgate.produce(other, 10, start=100, partitions=1)
    headgate.worker("a")
    headgate.create_and_start("orders", **config)
    headgate.until_moved(destination, 10)
    changed = config | {"source": {"kind": "kafka", "topic": other, "start": "latest"}}
    headgate.done(headgate.commands.modify("orders", changed))
    headgate.until("orders", "applied revision 2", lambda state: state.revision.applied == 2)
    headgate.done(headgate.commands.pause("orders"))  # a drain ends only when every partition of it is taken on
    headgate.until_status("orders", "PAUSED")
    headgate.produce(other, 5, start=200, partitions=1)
    headgate.done(headgate.commands.resume("orders"))
    assert numbers(headgate.until_moved(destination, 15)) == [*range(10), *range(200, 205)]


def test_an_empty_source_is_drained_and_a_partition_that_appears_later_is_read_from_its_beginning(
    headgate: Headgate,
) -> None:
    source, destination, config = kafka_to_kafka(headgate, 1)
    headgate.worker("a")
    config = config | {"destination": {"kind": "kafka", "topic": destination}}
    headgate.create_and_start("orders", **config)
    headgate.done(headgate.commands.pause("orders"))
    paused = headgate.until_status("orders", "PAUSED")
    assert paused.drain is not None
    (receipt,) = paused.drain.receipts[source].values()
    assert (receipt.start, receipt.end, receipt.read, receipt.written) == (0, 0, 0, 0)

    headgate.grow(source, 2)
    headgate.produce(source, 10, partitions=2)
    headgate.done(headgate.commands.resume("orders"))
    assert numbers(headgate.until_moved(destination, 10)) == list(range(10))
    headgate.done(headgate.commands.pause("orders"))
    paused = headgate.until_status("orders", "PAUSED")
    assert paused.drain is not None
    assert {number: each.read for number, each in paused.drain.receipts[source].items()} == {"0": 5, "1": 5}


def test_a_running_stream_notices_new_partitions(headgate: Headgate) -> None:
    source, destination, config = kafka_to_kafka(headgate, 1)
    headgate.worker("a")
    config = config | {"destination": {"kind": "kafka", "topic": destination}}
    headgate.create_and_start("orders", **config)
    headgate.until("orders", "runs", lambda state: state.tasks)
    headgate.grow(source, 2)
    headgate.until("orders", "lists two partitions", lambda state: state.partitions == {source: 2})
    headgate.produce(source, 10, partitions=2)
    headgate.done(headgate.commands.pause("orders"))
    paused = headgate.until_status("orders", "PAUSED", timeout_s=60)
    assert paused.drain is not None
    assert set(paused.drain.receipts[source]) == {"0", "1"}


def test_batches_one_to_many_none_and_at_least_once(headgate: Headgate) -> None:
    source, _, config = kafka_to_kafka(headgate, 1)
    headgate.produce(source, 50, partitions=1)
    headgate.worker("a")
    names = {"twice": 100, "even": 25, "needs_text": 50}
    for name, count in names.items():
        destination = headgate.source(f"out-{name}", 1)
        headgate.create_and_start(
            name.replace("_", "-"),
            **config | {"destination": {"kind": "kafka", "topic": destination}},
            transform={"function": f"tests.integration.worker.transforms:{name}", "settings": {"text": "?"}},
            delivery="at_least_once",
        )
        moved = headgate.until_moved(destination, count)
        assert len(moved) == count
        assert {each.key for each in moved} <= {f"key-{n}".encode() for n in range(97)}
        headgate.done(headgate.commands.pause(name.replace("_", "-")))
        paused = headgate.until_status(name.replace("_", "-"), "PAUSED")
        assert paused.drain is not None
        (receipt,) = paused.drain.receipts[source].values()
        assert (receipt.read, receipt.written) == (50, count)


def test_headers_timestamps_and_the_partition_of_a_key_are_kept(headgate: Headgate) -> None:
    source, destination, config = kafka_to_kafka(headgate, 1)
    producer = headgate.plain_producer()
    producer.produce(source, b"1", b"key", headers=[("a", b"1"), ("a", None)], timestamp=1_600_000_000_000)
    producer.produce(source, None, b"gone", timestamp=1_600_000_000_001)
    producer.produce(source, b"3", None, timestamp=1_600_000_000_002)
    assert producer.flush(10) == 0
    headgate.worker("a")
    headgate.create_and_start("orders", **config)
    first, second, third = headgate.until_moved(destination, 3)
    assert (first.key, first.value, first.headers) == (b"key", b"1", (("a", b"1"), ("a", None)))
    assert (second.key, second.value) == (b"gone", None)
    assert [each.timestamp_ms for each in (first, second, third)] == [1_600_000_000_000 + n for n in range(3)]


def test_a_paused_streams_place_survives_that_the_group_forgets_it(headgate: Headgate) -> None:
    source, destination = headgate.source("source", 2), headgate.source("destination", 2)
    headgate.produce(source, 100, partitions=2)
    headgate.worker("a")
    headgate.create_and_start(
        "orders", source={"kind": "kafka", "topic": source}, destination={"kind": "kafka", "topic": destination}
    )
    headgate.until_moved(destination, 100)
    headgate.done(headgate.commands.pause("orders"))
    paused = headgate.until_status("orders", "PAUSED")
    headgate.forget_group(f"{headgate.namespace}.orders.{paused.incarnation}")
    headgate.produce(source, 50, start=100, partitions=2)
    headgate.done(headgate.commands.resume("orders"))
    assert sorted(numbers(headgate.until_moved(destination, 150))) == list(range(150)), "nothing is read again"


def test_an_idle_task_commits_its_positions_again_from_time_to_time(
    headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RECOMMIT_S", 0.5)
    committed: list[dict[TopicPartition, Committed]] = []
    commit = KafkaReader.commit

    def noting(reader: KafkaReader, positions: Mapping[TopicPartition, Committed]) -> None:
        commit(reader, positions)
        committed.append(dict(positions))

    monkeypatch.setattr(KafkaReader, "commit", noting)
    source, destination = headgate.source("source", 2), headgate.source("destination", 2)
    headgate.produce(source, 10, partitions=2)
    headgate.worker("a")
    headgate.create_and_start("orders", source={"topic": source}, destination={"kind": "kafka", "topic": destination})
    headgate.until_moved(destination, 10)
    before = len(committed)
    headgate.until("orders", "commits again while nothing comes", lambda _: len(committed) >= before + 2)
    assert {place.partition: each.position for place, each in committed[-1].items()} == {0: 5, 1: 5}
    assert all(each.metadata for each in committed[-1].values()), "the account travels along"


def held(headgate: Headgate, partitions: int, file: Path, **more: Any) -> tuple[str, str]:
    """Start a stream of worker a whose transform keeps its first batch until the file exists, and begin to drain it."""
    source, destination, config = kafka_to_kafka(headgate, partitions)
    headgate.produce(source, 100, partitions=partitions)
    worker = headgate.worker("a")
    function = "tests.integration.worker.transforms:held_back"
    transform = {"function": function, "settings": {"until": str(file)}}
    headgate.create_and_start("orders", **config, transform=transform, **more)
    tasks = worker.supervisor.handles.values
    eventually(lambda: [each.task.engine.uncommitted > 0 for each in tasks()] == [True], WAIT_S, "records are held")
    headgate.done(headgate.commands.pause("orders"))
    headgate.until_status("orders", "DRAINING")
    return source, destination


def ends_of(headgate: Headgate, source: str) -> dict[str, tuple[int, int]]:
    paused = headgate.until_status("orders", "PAUSED")
    assert paused.drain is not None
    return {number: (each.start, each.end) for number, each in paused.drain.receipts[source].items()}


def test_partitions_that_appear_while_a_stream_drains_have_a_receipt_too(headgate: Headgate, tmp_path: Path) -> None:
    file = tmp_path / "go-on"
    source, destination = held(headgate, 1, file)
    headgate.grow(source, 2)
    headgate.until("orders", "is listed with both", lambda state: state.partitions == {source: 2})
    producer = Producer({"bootstrap.servers": headgate.servers})  # one that knows of the new partition
    for number in range(100, 150):
        producer.produce(source, b"%d" % number, partition=1)
    assert producer.flush(WAIT_S) == 0
    file.touch()
    ends = ends_of(headgate, source)
    assert sorted(ends) == ["0", "1"]
    moved = sum(end - start for start, end in ends.values())
    assert len(headgate.until_moved(destination, moved)) == moved, "what was drained is there, and nothing else"
    headgate.done(headgate.commands.resume("orders"))
    said = "none for the source's partition 1"
    headgate.until("orders", "misses it", lambda state: any(said in each.message for each in state.errors.values()))
    headgate.grow(destination, 2)
    values = numbers(headgate.until_moved(destination, 150))
    assert sorted(values) == list(range(150))


def test_a_drain_survives_a_worker_that_joins_the_group_meanwhile(headgate: Headgate, tmp_path: Path) -> None:
    file = tmp_path / "go-on"
    source, destination = held(headgate, 4, file, parallelism=2)
    other = headgate.worker("b")  # it joins the group, which waits for the one that is busy
    eventually(lambda: [each.task.engine.is_open for each in other.supervisor.handles.values()] == [True], WAIT_S, "b")
    file.touch()
    ends = ends_of(headgate, source)
    assert sorted(ends) == ["0", "1", "2", "3"]
    moved = sum(end - start for start, end in ends.values())
    assert len(headgate.until_moved(destination, moved)) == moved
    headgate.done(headgate.commands.resume("orders"))
    assert sorted(numbers(headgate.until_moved(destination, 100))) == list(range(100))
