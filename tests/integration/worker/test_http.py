"""The HTTP destination through a real worker: nothing lost, each key in order, and waiting when it is asked to."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.worker.conftest import Headgate
from tests.integration.worker.test_many_workers import start_worker
from tests.support.endpoint import OK, Answer, Endpoint, Got, cut, half
from tests.support.eventually import eventually
from tests.support.processes import Processes

WAIT_S = 60.0
QUICK = {"initial_s": 0.05, "max_s": 0.2}


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.close()


def first_offsets(elements: list[dict[str, Any]]) -> dict[tuple[int, str], list[int]]:
    """Return for each partition and key the offsets in the order in which they were first seen."""
    seen: dict[tuple[int, str], dict[int, None]] = {}
    for element in elements:
        seen.setdefault((element["partition"], element["key"]), {})[element["offset"]] = None
    return {place: list(offsets) for place, offsets in seen.items()}


@pytest.mark.timeout(180)
def test_an_endpoint_that_fails_in_every_way_gets_each_record_and_each_key_in_order(
    headgate: Headgate, endpoint: Endpoint
) -> None:
    ways = {
        3: Answer(503),
        7: Answer(then=cut),
        12: Answer(429, {"Retry-After": "0"}),
        18: Answer(then=half),
        25: Answer(500),
    }
    endpoint.answer = lambda _: ways.get(len(endpoint.got), OK)
    source = headgate.source("source", 3)
    headgate.produce(source, 1_500)
    headgate.worker("a")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "http", "url": endpoint.url, "batch": {"records": 20}, "concurrency": 3},
        delivery="at_least_once",
        max_batch_records=300,
        retry=QUICK,
    )

    def all_came() -> bool:
        return len({(each["partition"], each["offset"]) for each in endpoint.elements()}) == 1_500

    eventually(all_came, WAIT_S, "every record was taken")
    assert len(endpoint.got) > 25, "every failure was met"
    for offsets in first_offsets(endpoint.elements()).values():
        assert offsets == sorted(offsets)
    headgate.until("orders", "has no error left", lambda state: state.status == "RUNNING" and not state.errors)
    headgate.done(headgate.commands.pause("orders"))
    paused = headgate.until_status("orders", "PAUSED")
    assert paused.drain is not None
    assert sum(receipt.end for receipt in paused.drain.receipts[source].values()) == 1_500


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_worker_killed_between_requests_loses_nothing_and_turns_no_key_round(
    headgate: Headgate, processes: Processes, endpoint: Endpoint
) -> None:
    killed = threading.Event()
    # So slow from half-way on that the rest takes longer than it takes to see that half is there.
    endpoint.answer = lambda _: Answer(after_s=0.2 if len(endpoint.got) > 100 and not killed.is_set() else 0.01)
    start_worker(processes, "a")
    source = headgate.source("source", 3)
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "http", "url": endpoint.url, "batch": {"records": 10}},
        delivery="at_least_once",
        max_batch_records=200,
    )
    headgate.produce(source, 3_000)
    eventually(lambda: len(endpoint.elements()) >= 500, WAIT_S, "500 records were taken", every_s=0.02)
    processes.started[-1].kill()
    killed.set()
    assert len(endpoint.elements()) < 3_000, "it was killed in the middle"
    start_worker(processes, "b")

    def all_came() -> bool:
        return len({(each["partition"], each["offset"]) for each in endpoint.elements()}) == 3_000

    eventually(all_came, WAIT_S, "every record was taken")
    for offsets in first_offsets(endpoint.elements()).values():
        assert offsets == sorted(offsets)


def test_a_wish_to_wait_is_respected_and_a_refused_record_is_set_aside(headgate: Headgate, endpoint: Endpoint) -> None:
    came_s: list[float] = []

    def answer(got: Got) -> Answer:
        if got.method == "HEAD":
            return OK
        came_s.append(got.began_s)
        if len(came_s) == 1:
            return Answer(429, {"Retry-After": "2"})
        return Answer(422, body=b"not this one") if any(each["value"] == "42" for each in got.elements()) else OK

    endpoint.answer = answer
    source = headgate.source("source", 1)
    headgate.worker("a")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "http", "url": endpoint.url, "concurrency": 1},
        delivery="at_least_once",
        on_error="dead_letter",
        retry=QUICK,
    )
    headgate.produce(source, 100, partitions=1)

    def all_but_one_came() -> bool:
        return {each["value"] for each in endpoint.elements()} == {str(n) for n in range(100) if n != 42}

    eventually(all_but_one_came, WAIT_S, "every record but one was taken")
    assert came_s[1] - came_s[0] >= 1.9, "the endpoint was left alone as long as it asked"
    assert time.monotonic() - came_s[0] < WAIT_S
    (letter,) = headgate.until_moved(f"{headgate.namespace}.dead-letters.orders", 1)
    assert letter.value == b"42"


def test_what_an_endpoint_has_time_for_is_read_at_once_and_committed(headgate: Headgate, endpoint: Endpoint) -> None:
    endpoint.answer = lambda got: Answer(503 if int(got.headers.get("headgate-offset", 0)) >= 250 else 200)
    source = headgate.source("source", 1)
    headgate.produce(source, 500, partitions=1)
    headgate.worker("a")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "http", "url": endpoint.url, "body": "value", "concurrency": 2},
        delivery="at_least_once",
        commit_interval_ms=1,
        retry=QUICK,
    )

    def was_retried() -> bool:
        return sum(int(got.headers.get("headgate-offset", 0)) >= 250 for got in list(endpoint.got)) >= 10

    eventually(was_retried, WAIT_S, "the endpoint was asked again and again")
    times = Counter(int(got.headers["headgate-offset"]) for got in list(endpoint.taken))
    assert [times[offset] for offset in range(100)] == [1] * 100, "of 500 that were there 100 were read and committed"
