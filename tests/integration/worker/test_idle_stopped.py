"""IDLE and a worker's process that is stopped while it counts the grace, and continued when records wait unread.

The clock has gone on by more than the grace meanwhile, and what proved the partition empty is old. The network hands on
nothing at first when the process comes back, so it looks at its clock before it can have read anything. It may come
back as the member that it was, or after its group has given it up: either way it has to read before it says IDLE.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import ConsumerGroupState

from headgate_events.topics import Topics as Namespace
from tests.conftest import ENVIRONMENT
from tests.integration.worker.conftest import WAIT_S, Headgate
from tests.integration.worker.own_broker import headgate_on
from tests.integration.worker.sayings import Sayings
from tests.integration.worker.test_downstream import said
from tests.integration.worker.test_many_workers import start_worker
from tests.support.eventually import eventually
from tests.support.kafka import REQUEST_S, admin
from tests.support.processes import HeadgateProcess, Processes
from tests.support.proxied import ProxiedBroker, proxied_broker

GRACE_S = 4.0
"""Long enough for the test to see a record moved and to stop the worker before it can have said IDLE."""
STOPPED_S = 1.5 * GRACE_S
TURNS = 3
"""So many heartbeats, of 300 ms each, are many turns of a task."""


@pytest.fixture(scope="module")
def own() -> Iterator[ProxiedBroker]:
    with proxied_broker(ENVIRONMENT) as made:
        yield made


@pytest.fixture
def headgate(own: ProxiedBroker) -> Iterator[Headgate]:
    with headgate_on(own, "idle-stopped") as made:
        yield made


@pytest.fixture
def processes(own: ProxiedBroker, headgate: Headgate, tmp_path: Path) -> Iterator[Processes]:
    """Workers behind the proxy."""
    environment = {**ENVIRONMENT, "HEADGATE_NAMESPACE": headgate.namespace, "PYTHONUNBUFFERED": "1"}
    with Processes(environment | {"HEADGATE_BOOTSTRAP_SERVERS": own.proxied}, tmp_path) as started:
        yield started


def stop(worker: HeadgateProcess) -> None:
    """Stop a process, and return when the kernel says that it stands."""
    worker.signal(signal.SIGSTOP)
    _, how = os.waitpid(worker.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(how), f"{worker} ended"


def stop_while_it_counts(worker: HeadgateProcess, orders: Sayings) -> float:
    """Stop the worker when partition 0 was read to its end, and for less than the grace; return when that was.

    Nobody can have found IDLE right then, since the record came less than a grace ago. On a machine that was too slow
    for it, it is tried anew.
    """

    def stopped_s() -> float:
        began_s, moved = time.monotonic(), len(orders.values())
        orders.produce(0, b"the last one")
        orders.headgate.until_moved(orders.destination, moved + 1)
        stop(worker)
        now_s = time.monotonic()
        if now_s - began_s < GRACE_S:
            return now_s
        worker.signal(signal.SIGCONT)
        return 0.0

    return eventually(stopped_s, 4 * WAIT_S, "the worker was stopped within the grace", every_s=0.0)


def until_out_of_its_group(headgate: Headgate, stream: str) -> None:
    """Return when the group of a stream has given up its last member."""
    client = admin(headgate.servers)
    group = f"{headgate.namespace}.{stream}.{headgate.get(stream).incarnation}"

    def empty() -> bool:
        (found,) = client.describe_consumer_groups([group], request_timeout=REQUEST_S).values()
        return bool(found.result(REQUEST_S).state == ConsumerGroupState.EMPTY)

    eventually(empty, 2 * WAIT_S, f"{group} has no member", every_s=0.2)


def heartbeats(headgate: Headgate) -> int:
    """Return how many heartbeats worker "a" has written."""
    beats = (orjson.loads(each.value or b"{}") for each in headgate.read(Namespace(headgate.namespace).heartbeats))
    return sum(1 for each in beats if each.get("worker") == "a")


def ends_of_idle(words: list[dict[str, Any]], partition: int) -> set[int]:
    """Return which ends of a partition were the proofs of IDLE."""
    of_it = (each for each in words if each["channel"]["partition"] == partition and each["status"] == "IDLE")
    return {each["evidence"]["end"] for each in of_it}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("outlasts_its_session", [False, True], ids=["within its session", "beyond its session"])
def test_a_process_stopped_for_longer_than_the_grace_says_no_idle_of_what_came_meanwhile(
    own: ProxiedBroker, headgate: Headgate, processes: Processes, outlasts_its_session: bool
) -> None:
    session_ms = 6_000 if outlasts_its_session else 120_000
    worker = start_worker(processes, "a", HEADGATE_WORKER_SESSION_TIMEOUT_MS=str(session_ms))
    orders = Sayings(headgate, "orders")
    orders.start(grace_s=GRACE_S)
    orders.until({0: ["IDLE"], 1: ["IDLE"]})
    stopped_s = stop_while_it_counts(worker, orders)
    own.proxy.hold("down")
    orders.produce(0, b"2", b"3")
    orders.produce(1, b"4")
    before = {topic: len(said(headgate, "orders", topic)) for topic in ("markers", "edges")}
    claim = orders.words()[0][-1]["claim"]
    assert orders.said()[0][-1] == "ACTIVE"
    if outlasts_its_session:
        until_out_of_its_group(headgate, "orders")
    eventually(lambda: time.monotonic() > stopped_s + STOPPED_S, WAIT_S, "the grace is over")
    beats = heartbeats(headgate)
    worker.signal(signal.SIGCONT)
    eventually(lambda: heartbeats(headgate) >= beats + TURNS, WAIT_S, "it has looked at its clock", every_s=0.1)
    own.proxy.heal()

    edges = orders.until_idle({0, 1})
    ends = {place: words[-1]["evidence"]["end"] for place, words in edges.items()}
    for topic, count in before.items():
        later = said(headgate, "orders", topic)[count:]
        for place, end in ends.items():
            assert ends_of_idle(later, place) == {end}, f"IDLE of partition {place} on {topic} before all was read"
    assert [each["status"] for each in edges[1]][-2:] == ["ACTIVE", "IDLE"]
    assert (edges[0][-1]["claim"] > claim) is outlasts_its_session, "whether it is the same member"
    assert {b"2", b"3", b"4"} <= set(orders.values())
