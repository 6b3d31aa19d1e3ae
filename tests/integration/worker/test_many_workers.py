"""Several workers: killed, stopped, asked to leave. Nothing is lost or doubled, and every drain ends."""

from __future__ import annotations

import signal

import pytest

from tests.integration.worker.conftest import WAIT_S, Headgate, numbers
from tests.support.processes import HeadgateProcess, Processes

QUICK = {
    "HEADGATE_WORKER_HEARTBEAT_INTERVAL_MS": "300",
    "HEADGATE_WORKER_SESSION_TIMEOUT_MS": "6000",
    "HEADGATE_WORKER_SHUTDOWN_TIMEOUT_S": "15",
}


@pytest.fixture(params=["classic", "consumer"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Both protocols of consumer groups: the classic one, and that of KIP-848."""
    return str(request.param)


def start_worker(processes: Processes, name: str, protocol: str = "classic", **more: str) -> HeadgateProcess:
    process = processes.start(
        "worker", "--name", name, environment=QUICK | {"HEADGATE_GROUP_PROTOCOL": protocol} | more
    )
    process.wait_for_output("worker.ready", WAIT_S)
    return process


def two_way(headgate: Headgate, **more: object) -> tuple[str, str]:
    source, destination = headgate.source("source", 4), headgate.source("destination", 4)
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": destination, "partition": "source"},
        parallelism=2,
        **more,
    )
    return source, destination


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_worker_killed_in_the_middle_of_traffic_costs_no_record_and_doubles_none(
    headgate: Headgate, processes: Processes, protocol: str
) -> None:
    workers = {name: start_worker(processes, name, protocol) for name in ("a", "b")}
    source, destination = two_way(headgate)
    headgate.until("orders", "runs on both", lambda state: set(state.tasks) == {"a", "b"})
    sent = 0
    for victim in ("a", "b", "a"):
        for _ in range(4):
            headgate.produce(source, 2_000, start=sent, partitions=4)
            sent += 2_000
            if _ == 1:
                workers[victim].kill()
        headgate.until_moved(destination, sent, timeout_s=60)
        workers[victim] = start_worker(processes, victim, protocol)
        headgate.until("orders", "runs on both again", lambda state: set(state.tasks) == {"a", "b"})
    moved = headgate.until_moved(destination, sent)
    assert numbers(moved) == list(range(sent))
    for partition in range(4):
        in_order = [int(each.value or b"") for each in moved if each.partition == partition]
        assert in_order == sorted(in_order)
    headgate.done(headgate.commands.pause("orders"))
    paused = headgate.until_status("orders", "PAUSED")
    assert paused.drain is not None
    receipts = paused.drain.receipts[source].values()
    assert sum(each.read for each in receipts) == sum(each.written for each in receipts) == sent
    assert {each.end - each.start for each in receipts} == {sent // 4}


def test_two_workers_share_the_partitions_and_one_that_is_asked_to_leave_hands_its_own_over(
    headgate: Headgate, processes: Processes, protocol: str
) -> None:
    a, b = start_worker(processes, "a", protocol), start_worker(processes, "b", protocol)
    source, destination = two_way(headgate)
    headgate.until("orders", "runs on both", lambda state: set(state.tasks) == {"a", "b"})
    headgate.produce(source, 1_000, partitions=4)
    headgate.until_moved(destination, 1_000)
    a.signal(signal.SIGTERM)
    headgate.produce(source, 1_000, start=1_000, partitions=4)
    assert a.wait(WAIT_S) == 0
    headgate.until("orders", "runs on b alone", lambda state: set(state.tasks) == {"b"})
    assert numbers(headgate.until_moved(destination, 2_000)) == list(range(2_000))
    headgate.done(headgate.commands.pause("orders"))
    paused = headgate.until_status("orders", "PAUSED")
    assert paused.drain is not None
    assert {each.worker for each in paused.drain.receipts[source].values()} == {"b"}
    assert {each.read for each in paused.drain.receipts[source].values()} == {500}
    assert b.stop() == 0


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_partitions_of_a_worker_that_dies_are_drained_by_whoever_inherits_them(
    headgate: Headgate, processes: Processes
) -> None:
    # The group misses a stopped member late, so that its partitions are seen without a receipt also on a slow machine.
    patience = {"HEADGATE_WORKER_SESSION_TIMEOUT_MS": "15000"}
    workers = {name: start_worker(processes, name, **patience) for name in ("a", "b")}
    source, destination = two_way(headgate)
    headgate.until_shared("orders", {"a": 2, "b": 2})
    headgate.produce(source, 4_000, partitions=4)
    headgate.until_moved(destination, 4_000)
    workers["a"].signal(signal.SIGSTOP)  # it holds partitions and says nothing
    headgate.done(headgate.commands.pause("orders"))
    halfway = headgate.until(
        "orders", "has the receipts of b", lambda state: state.drain and len(state.drain.receipts.get(source, {})) == 2
    )
    assert halfway.status == "DRAINING", "the partitions of a have no receipt, so this is no pause"
    workers["a"].kill()
    paused = headgate.until_status("orders", "PAUSED", timeout_s=60)
    assert paused.drain is not None
    assert {each.worker for each in paused.drain.receipts[source].values()} == {"b"}
    assert {(each.start, each.end, each.read) for each in paused.drain.receipts[source].values()} == {(0, 1_000, 1_000)}


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_worker_stopped_and_continued_after_a_forced_pause_writes_nothing_that_counts(
    headgate: Headgate, processes: Processes
) -> None:
    # Silence is judged late here, so that the forced pause meets a straggler that everybody still takes for alive.
    worker = start_worker(processes, "a", HEADGATE_WORKER_HEARTBEAT_INTERVAL_MS="2500")
    # An ACTIVE marker commits what was written before it, so one partition's first record would commit another's.
    source, destination = two_way(headgate, commit_interval_ms=20_000, idleness={"markers": "off"})
    headgate.until_committed("orders", source, partitions=4)  # what it took on; the next commit is seconds away
    headgate.produce(source, 100, partitions=4)
    headgate.until_written(destination, 100)
    worker.signal(signal.SIGSTOP)  # with a transaction open
    assert headgate.read(destination) == []
    start_worker(processes, "b")
    headgate.done(headgate.commands.pause("orders", force=True))
    forced = headgate.until("orders", "is fenced", lambda state: "fence_pending" not in state.conditions)
    assert (forced.status, "unclean" in forced.conditions) == ("PAUSED", True)
    worker.signal(signal.SIGCONT)
    assert worker.stop() in {0, 1}
    assert headgate.read(destination) == []
    assert headgate.get("orders").status == "PAUSED"

    headgate.done(headgate.commands.resume("orders"))
    headgate.done(
        headgate.commands.modify("orders", headgate.get("orders").config.model_copy(update={"commit_interval_ms": 100}))
    )
    assert numbers(headgate.until_moved(destination, 100)) == list(range(100))


def stuck_worker(headgate: Headgate, processes: Processes, shutdown_timeout_s: int) -> HeadgateProcess:
    allowed = {"HEADGATE_TRANSFORM_MODULES": "tests.integration.worker.transforms"}
    worker = start_worker(processes, "a", HEADGATE_WORKER_SHUTDOWN_TIMEOUT_S=str(shutdown_timeout_s), **allowed)
    source = headgate.source("source", 1)
    headgate.produce(source, 1, partitions=1)
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "discard"},
        transform={"function": "tests.integration.worker.transforms:stuck"},
    )
    worker.wait_for_output("stuck now", WAIT_S)
    return worker


def test_a_worker_that_cannot_finish_in_time_ends_all_the_same_and_says_so(
    headgate: Headgate, processes: Processes
) -> None:
    worker = stuck_worker(headgate, processes, shutdown_timeout_s=1)
    worker.signal(signal.SIGTERM)
    assert worker.wait(WAIT_S) == 1


def test_a_second_signal_ends_a_worker_at_once(headgate: Headgate, processes: Processes) -> None:
    worker = stuck_worker(headgate, processes, shutdown_timeout_s=600)
    worker.signal(signal.SIGTERM)
    worker.wait_for_output("worker.leave", WAIT_S)
    worker.signal(signal.SIGTERM)
    assert worker.wait(WAIT_S) == 1


def test_deleting_a_running_stream_ends_its_tasks_and_a_new_one_of_its_name_begins_anew(headgate: Headgate) -> None:
    source, destination = headgate.source("source", 1), headgate.source("destination", 1)
    config = {"source": {"kind": "kafka", "topic": source}, "destination": {"kind": "kafka", "topic": destination}}
    headgate.worker("a")
    headgate.produce(source, 10, partitions=1)
    headgate.create_and_start("orders", **config)
    headgate.until_moved(destination, 10)
    headgate.done(headgate.commands.delete("orders"))
    headgate.create_and_start("orders", **config)
    assert numbers(headgate.until_moved(destination, 20)) == sorted([*range(10), *range(10)])
