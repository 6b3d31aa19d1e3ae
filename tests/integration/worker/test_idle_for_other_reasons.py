"""IDLE for other reasons than an empty partition: a transaction that is let go, and a worker that holds nothing."""

from __future__ import annotations

from typing import Any

from confluent_kafka import Producer

from headgate_events.client.workers import WorkersClient
from tests.integration.worker.conftest import WAIT_S, Headgate
from tests.integration.worker.test_activity import edges, until_said
from tests.support.eventually import eventually


def test_a_transaction_that_stays_open_past_the_cap_is_let_go_and_what_it_commits_later_is_moved_all_the_same(
    headgate: Headgate,
) -> None:
    source, destination = headgate.source("source", 2), headgate.source("destination", 2)
    producer = Producer({"bootstrap.servers": headgate.servers, "transactional.id": f"{headgate.namespace}.rival"})
    producer.init_transactions(WAIT_S)
    producer.begin_transaction()
    producer.produce(source, b"1", partition=0)
    producer.flush(WAIT_S)
    headgate.worker("a")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": destination, "partition": "source"},
        idleness={"idle_after_s": 0.3, "flap_damping": False, "open_txn": "ignore", "open_txn_cap_s": 1.0},
    )
    until_said(headgate, "orders", {0: ["IDLE"], 1: ["IDLE"]})
    let_go = edges(headgate, "orders")[0][0]
    assert (let_go["reason"], let_go["evidence"]["position"], let_go["evidence"]["high"]) == ("OPEN_TXN", 0, 1)
    producer.commit_transaction(WAIT_S)
    until_said(headgate, "orders", {0: ["IDLE", "ACTIVE", "IDLE"], 1: ["IDLE"]})
    assert edges(headgate, "orders")[0][-1]["reason"] == "EMPTY"
    assert len(headgate.read(destination)) == 1


def test_a_worker_that_holds_no_partition_is_idle_and_says_why(headgate: Headgate) -> None:
    source, destination = headgate.source("source", 1), headgate.source("destination", 1)
    headgate.worker("a")
    headgate.worker("b")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": destination},
        idleness={"idle_after_s": 0.5},
        parallelism=2,
    )
    until_said(headgate, "orders", {0: ["IDLE"]})

    def shown() -> Any:
        found = [
            (len(task["partitions"]), task.get("activity"), task.get("activity_reason"))
            for sight in client.snapshot(WAIT_S).values()
            for task in (sight.beat or {}).get("tasks", ())
        ]
        return sorted(found) == [(0, "IDLE", "NO_ASSIGNMENT"), (1, "IDLE", "EMPTY")]

    client = WorkersClient(headgate.servers, namespace=headgate.namespace)
    try:
        eventually(shown, WAIT_S, "both workers say what they are", every_s=0.2)
    finally:
        client.close()


def test_markers_are_switched_on_and_off_while_a_stream_runs(headgate: Headgate) -> None:
    source, destination = headgate.source("source", 1), headgate.source("destination", 1)
    headgate.worker("a")
    config = {
        "source": {"kind": "kafka", "topic": source},
        "destination": {"kind": "kafka", "topic": destination},
        "idleness": {"idle_after_s": 0.2, "flap_damping": False, "markers": "off"},
    }
    headgate.create_and_start("orders", **config)
    headgate.produce(source, 1, partitions=1)
    headgate.until_moved(destination, 1)

    def switch(markers: str) -> None:
        told = {**config, "idleness": {"idle_after_s": 0.2, "flap_damping": False, "markers": markers}}
        headgate.done(headgate.commands.modify("orders", told))
        desired = headgate.get("orders").revision.desired
        headgate.until("orders", "has applied it", lambda state: state.revision.applied == desired)

    switch("side_topic")
    until_said(headgate, "orders", {0: ["IDLE"]})
    switch("off")
    headgate.produce(source, 1, start=1, partitions=1)
    headgate.until_moved(destination, 2)
    switch("side_topic")
    until_said(headgate, "orders", {0: ["IDLE", "IDLE"]})  # nothing was said of the record between
    assert len(headgate.read(destination)) == 2
