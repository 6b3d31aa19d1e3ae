"""When a partition is empty on a real broker: by evidence, and by nothing less.

The streams share one worker. Where a test has to show that something is *not* said, another partition of the same task
goes idle meanwhile, after the same grace: so there was time to say it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from tests.conftest import NAMESPACES, Broker
from tests.integration.worker.conftest import Headgate
from tests.integration.worker.sayings import GRACE_S, Sayings, transactional
from tests.support.kafka import Topics

TRANSFORMS = "tests.integration.worker.transforms"


@pytest.fixture(scope="module")
def running(broker: Broker) -> Iterator[Headgate]:
    namespace = f"emptiness-{uuid.uuid4().hex[:10]}"
    NAMESPACES.append(namespace)
    made = Headgate(broker, namespace, Topics(broker.bootstrap_servers, namespace))
    try:
        made.worker("a")
        yield made
    finally:
        made.close()


def test_what_was_aborted_at_the_tail_is_passed_and_its_offsets_are_the_end(running: Headgate) -> None:
    orders = Sayings(running, "aborted")
    producer = transactional(running, "aborted")
    for ending in (producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        producer.produce(orders.source, b"1", partition=0)
        producer.flush(30)
        ending(30)
    orders.start()
    edges = orders.until({0: ["ACTIVE", "IDLE"], 1: ["IDLE"]})
    # One record, then a marker of the commit, an aborted record and its marker: nothing of it is ever delivered.
    assert edges[0][-1]["evidence"] | {"fetched_at_ms": 0} == {
        "position": 4,
        "end": 4,
        "high": 4,
        "fetched_at_ms": 0,
        "isolation": "read_committed",
    }
    assert orders.values() == [b"1"]


def test_an_open_transaction_holds_its_partition_however_long_and_its_old_records_come_before_idle(
    running: Headgate,
) -> None:
    orders = Sayings(running, "open")
    producer = transactional(running, "open")
    producer.begin_transaction()
    producer.produce(orders.source, b"old", partition=0, timestamp=1_000_000)
    producer.flush(30)
    orders.start()
    orders.until({1: ["IDLE"]})
    orders.until_idle_once_more(1)
    assert 0 not in orders.said(), "longer than the grace, and nothing was said"
    producer.commit_transaction(30)
    edges = orders.until({0: ["ACTIVE", "IDLE"], 1: ["IDLE", "ACTIVE", "IDLE"]})
    assert edges[0][-1]["evidence"]["end"] == 2
    assert b"old" in orders.values()

    producer.begin_transaction()
    producer.produce(orders.source, b"never", partition=0)
    producer.flush(30)
    edges = orders.until({0: ["ACTIVE", "IDLE", "ACTIVE"], 1: ["IDLE", "ACTIVE", "IDLE"]})
    assert edges[0][-1]["reason"] == "OPEN_TXN", "nothing was read, and something may come"
    orders.until_idle_once_more(1)
    assert orders.said()[0] == ["ACTIVE", "IDLE", "ACTIVE"]
    producer.abort_transaction(30)
    edges = orders.until({0: ["ACTIVE", "IDLE", "ACTIVE", "IDLE"], 1: ["IDLE", "ACTIVE", "IDLE", "ACTIVE", "IDLE"]})
    assert edges[0][-1]["evidence"]["end"] == 4


def test_a_stream_that_starts_at_the_end_is_idle_without_a_first_record(running: Headgate) -> None:
    orders = Sayings(running, "latest")
    orders.produce(0, b"1", b"2", b"3")
    orders.start(source={"start": "latest"})
    edges = orders.until({0: ["IDLE"], 1: ["IDLE"]})
    assert [edges[each][0]["evidence"]["position"] for each in (0, 1)] == [3, 0]
    orders.produce(0, b"4")
    orders.until({0: ["IDLE", "ACTIVE", "IDLE"], 1: ["IDLE"]})
    assert orders.values() == [b"4"]


def test_a_loop_that_stalls_for_longer_than_the_grace_says_nothing_of_what_it_has_not_read(
    running: Headgate, tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    orders = Sayings(running, "stalled")
    orders.start(transform={"function": f"{TRANSFORMS}:held_back", "settings": {"until": str(go_on)}})
    orders.until({0: ["IDLE"], 1: ["IDLE"]})
    orders.produce(0, b"1")
    orders.until({0: ["IDLE", "ACTIVE"], 1: ["IDLE"]})  # said before the transform has it
    orders.produce(0, b"2", b"3")
    orders.produce(1, b"4")
    Event().wait(4 * GRACE_S)
    go_on.touch()
    edges = orders.until({0: ["IDLE", "ACTIVE", "IDLE"], 1: ["IDLE", "ACTIVE", "IDLE"]})
    assert [edges[each][-1]["evidence"]["end"] for each in (0, 1)] == [3, 1]


def test_what_was_read_and_is_not_committed_is_not_idle(running: Headgate) -> None:
    orders = Sayings(running, "unacknowledged")
    orders.start(commit_interval_ms=3_000)
    orders.until({0: ["IDLE"], 1: ["IDLE"]})
    orders.produce(0, b"1")
    _, active, idle = orders.until({0: ["IDLE", "ACTIVE", "IDLE"], 1: ["IDLE"]})[0]
    assert idle["since_ms"] - active["since_ms"] >= 3_000, "its commit was due first"


def test_a_partition_in_front_of_a_record_that_cannot_be_processed_is_not_idle(
    running: Headgate, tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    orders = Sayings(running, "bad")
    function = f"{TRANSFORMS}:bear_unless"
    orders.start(
        transform={"function": function, "settings": {"later": [13], "until": str(go_on)}},
        retry={"initial_s": 1, "max_s": 1},
    )
    orders.until({0: ["IDLE"], 1: ["IDLE"]})
    orders.produce(0, b"13")
    orders.until_idle_once_more(1)
    orders.until_idle_once_more(1)
    assert orders.said()[0] == ["IDLE", "ACTIVE"]
    go_on.touch()
    edges = orders.until({0: ["IDLE", "ACTIVE", "IDLE"], 1: ["IDLE", "ACTIVE", "IDLE", "ACTIVE", "IDLE"]})
    assert edges[0][-1]["evidence"]["end"] == 1
    assert b"13" in orders.values()
