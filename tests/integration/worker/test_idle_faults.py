"""IDLE while the broker is away, a network swallows, a worker is a zombie, or a cleaner has emptied the tail.

The faults need a broker of the tests' own. Its clients are of two kinds: those who are given its own address, and a
worker that is given the proxy's, whom alone the faults of the network hit.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate import bootstrap
from headgate.settings import Settings
from tests.conftest import ENVIRONMENT
from tests.integration.worker.conftest import FAST, WAIT_S, Headgate
from tests.integration.worker.own_broker import headgate_on
from tests.integration.worker.sayings import Sayings, transactional
from tests.integration.worker.test_many_workers import start_worker
from tests.support.eventually import eventually
from tests.support.processes import Processes
from tests.support.proxied import ProxiedBroker, proxied_broker
from tests.support.proxy import END_TXN

PRODUCE = 0
"""The number of Kafka's request that writes records."""
CLEANS_AT_ONCE = {"log.cleaner.backoff.ms": "100"}


@pytest.fixture(scope="module")
def own() -> Iterator[ProxiedBroker]:
    with proxied_broker(ENVIRONMENT, CLEANS_AT_ONCE) as made:
        yield made


@pytest.fixture
def headgate(own: ProxiedBroker) -> Iterator[Headgate]:
    with headgate_on(own, "idle-faults") as made:
        yield made


def behind_the_proxy(headgate: Headgate, own: ProxiedBroker) -> None:
    """Run worker "a" where the faults of the network hit it."""
    settings = Settings(bootstrap_servers=own.proxied, namespace=headgate.namespace, worker_name="a", **FAST)
    worker = bootstrap.make_worker(settings)
    thread = threading.Thread(target=worker.run, name="worker-a", daemon=True)
    thread.start()
    headgate.workers["a"] = (worker, thread)


@pytest.mark.timeout(300)
def test_a_tail_that_the_cleaner_has_emptied_is_passed_and_idle(headgate: Headgate) -> None:
    orders = Sayings(headgate, "orders", partitions=1)
    table = headgate.topics.create(
        "table",
        1,
        {
            "cleanup.policy": "compact",
            "segment.bytes": "1048576",
            "segment.ms": "50",
            "min.cleanable.dirty.ratio": "0.001",
            "delete.retention.ms": "0",
        },
    )
    producer = headgate.plain_producer()
    producer.produce(table, b"1", b"kept", partition=0)
    for value in (b"2", b"3", b"4", None):
        producer.produce(table, value, b"gone", partition=0)
    assert producer.flush(WAIT_S) == 0
    aborting = transactional(headgate, "aborting")

    def cleaned() -> bool:
        # The cleaner leaves the active segment alone, and a segment ends with the next write. An aborted record is one.
        aborting.begin_transaction()
        aborting.produce(table, b"5", b"never", partition=0)
        aborting.flush(WAIT_S)
        aborting.abort_transaction(WAIT_S)
        return [each.value for each in headgate.read(table)] == [b"1"]

    eventually(cleaned, 60.0, "the cleaner has emptied the tail", every_s=0.3)
    headgate.worker("a")
    orders.start(source={"topic": table})
    _, idle = orders.until({0: ["ACTIVE", "IDLE"]})[0]
    assert idle["evidence"]["position"] == idle["evidence"]["high"] > 5
    assert orders.values() == [b"1"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_while_the_broker_is_away_all_stays_as_it_was_and_after_its_restart_goes_on(
    own: ProxiedBroker, headgate: Headgate
) -> None:
    orders = Sayings(headgate, "orders")
    headgate.worker("a")
    orders.start(grace_s=3.0)
    orders.until({0: ["IDLE"], 1: ["IDLE"]})
    orders.produce(0, b"1")
    eventually(lambda: orders.said()[0][:2] == ["IDLE", "ACTIVE"], WAIT_S, "partition 0 wakes")
    own.broker.kill()
    own.broker.restart()
    edges = orders.until_idle({0, 1})
    assert {each["status"] for each in edges[1]} == {"IDLE"}, "no broker, no evidence: it stays as it was"
    orders.produce(1, b"2")
    orders.until({0: ["IDLE", "ACTIVE", "IDLE"], 1: ["IDLE", "ACTIVE", "IDLE"]})
    assert sorted(orders.values()) == [b"1", b"2"]


@pytest.mark.timeout(300)
def test_what_was_read_is_not_idle_before_its_last_output_is_acknowledged(
    own: ProxiedBroker, headgate: Headgate
) -> None:
    orders = Sayings(headgate, "orders")
    behind_the_proxy(headgate, own)
    orders.start(delivery="at_least_once")
    orders.until({0: ["IDLE"], 1: ["IDLE"]})
    own.proxy.hold_requests([PRODUCE])
    orders.produce(0, b"1")
    eventually(lambda: own.proxy.waiting > 0, WAIT_S, "something is not acknowledged")
    threading.Event().wait(1.0)  # longer than the grace
    assert orders.said() == {0: ["IDLE"], 1: ["IDLE"]}, "not even ACTIVE is written"
    own.proxy.heal()
    orders.until_idle({0, 1})
    assert orders.said()[0][:3] == ["IDLE", "ACTIVE", "IDLE"]
    assert b"1" in orders.values()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_zombie_that_wakes_in_the_middle_of_saying_idle_is_not_heard(
    own: ProxiedBroker, headgate: Headgate, tmp_path: Path
) -> None:
    orders = Sayings(headgate, "orders", partitions=1)
    environment = {**ENVIRONMENT, "HEADGATE_NAMESPACE": headgate.namespace, "PYTHONUNBUFFERED": "1"}
    environment["HEADGATE_BOOTSTRAP_SERVERS"] = own.direct
    with Processes(environment, tmp_path) as processes:
        zombie = start_worker(processes, "a", HEADGATE_BOOTSTRAP_SERVERS=own.proxied)
        orders.start(grace_s=1.0)
        orders.until({0: ["IDLE"]})
        orders.produce(0, b"1")
        orders.until({0: ["IDLE", "ACTIVE", "IDLE"]})
        rival = transactional(headgate, "rival")
        rival.begin_transaction()
        rival.produce(orders.source, b"never", partition=0)
        rival.flush(WAIT_S)
        orders.until({0: ["IDLE", "ACTIVE", "IDLE", "ACTIVE"]})  # and stays so, since the transaction is open
        own.proxy.hold_requests([END_TXN])  # its next transaction is the one that says IDLE
        rival.abort_transaction(WAIT_S)
        eventually(lambda: own.proxy.waiting > 0, WAIT_S, "IDLE is on its way")
        zombie.signal(signal.SIGSTOP)
        start_worker(processes, "b")
        orders.produce(0, b"2")
        headgate.until_moved(orders.destination, 2)
        before = orders.until_idle({0})[0]
        assert [each["status"] for each in before if each["worker"] == "a"][-1] == "ACTIVE", "its IDLE never counts"
        assert before[-1]["worker"] == "b"
        zombie.signal(signal.SIGCONT)
        own.proxy.heal()
        zombie.wait_for_output("worker.fleet", WAIT_S)
        orders.produce(0, b"3")
        headgate.until_moved(orders.destination, 3)
        later = orders.until_idle({0})[0][len(before) :]
        assert "ACTIVE" in [each["status"] for each in later]
        assert min(each["claim"] for each in later) >= before[-1]["claim"], "nothing more is said under the old claim"
        assert sorted(orders.values()) == [b"1", b"2", b"3"]
