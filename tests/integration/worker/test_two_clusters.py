"""A destination on another cluster, with two real brokers: exactly once, whoever dies, stops, or comes back late."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate.broker.choose import FaultyBroker, choose_broker
from tests.conftest import ENVIRONMENT
from tests.integration.worker.conftest import WAIT_S, Headgate, numbers
from tests.integration.worker.test_many_workers import QUICK
from tests.support.eventually import eventually
from tests.support.kafka import Record, Topics, read_to_end
from tests.support.processes import HeadgateProcess, Processes

PARTITIONS = 4


@pytest.fixture(scope="module")
def other() -> Iterator[FaultyBroker]:
    """A second broker of our own, also where the suite was given one."""
    environ = {name: value for name, value in ENVIRONMENT.items() if name != "HEADGATE_BOOTSTRAP_SERVERS"}
    with choose_broker(environ=environ) as chosen:
        assert chosen.own is not None
        yield chosen.own


class Apart:
    """A stream whose destination is on the other cluster."""

    def __init__(self, headgate: Headgate, other: FaultyBroker, processes: Processes, folder: Path) -> None:
        self.headgate = headgate
        self.other = other
        self.there = Topics(other.bootstrap_servers, headgate.namespace)
        self.source = headgate.source("source", PARTITIONS)
        self.destination = self.there.create("destination", PARTITIONS)
        self.sent = 0
        self._processes = processes
        self._file = folder / "connections.yaml"
        self._file.write_text(
            f"connections: {{other: {{kind: kafka, bootstrap_servers: '{other.bootstrap_servers}'}}}}"
        )

    def worker(self, name: str, **more: str) -> HeadgateProcess:
        settings = QUICK | {"HEADGATE_CONNECTIONS": str(self._file)} | more
        process = self._processes.start("worker", "--name", name, environment=settings)
        process.wait_for_output("worker.ready", WAIT_S)
        return process

    def start(self, **more: object) -> None:
        self.headgate.create_and_start(
            "orders",
            source={"kind": "kafka", "topic": self.source},
            destination={
                "kind": "kafka",
                "connection": "other",
                "topic": self.destination,
                "partition": "source",
                "client": {"compression.type": "lz4"},
            },
            retry={"initial_s": 0.2, "max_s": 1.0},
            **more,
        )

    def send(self, count: int) -> None:
        self.headgate.produce(self.source, count, start=self.sent, partitions=PARTITIONS)
        self.sent += count

    def read(self, isolation: str = "read_committed") -> list[Record]:
        return read_to_end(self.other.bootstrap_servers, self.destination, isolation=isolation)

    def moved_all(self) -> None:
        """Wait until everything sent is there; assert that it is there once, in order."""

        def look() -> list[Record]:
            records = self.read()
            assert len(records) >= self.sent, f"{len(records)} of {self.sent}"
            return records

        records = eventually(look, 60.0, f"{self.sent} records are on the other cluster", every_s=0.3)
        assert numbers(records) == list(range(self.sent))
        for partition in range(PARTITIONS):
            in_order = [int(each.value or b"") for each in records if each.partition == partition]
            assert in_order == sorted(in_order)


@pytest.fixture
def apart(headgate: Headgate, other: FaultyBroker, processes: Processes, tmp_path: Path) -> Apart:
    return Apart(headgate, other, processes, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_exactly_once_across_two_clusters_through_deaths_a_zombie_and_a_restart(apart: Apart) -> None:
    a, b = apart.worker("a"), apart.worker("b")
    apart.start(parallelism=2)
    apart.headgate.until_shared("orders", {"a": 2, "b": 2})
    apart.send(4_000)
    apart.moved_all()

    apart.send(4_000)
    a.kill()
    apart.send(4_000)
    apart.moved_all()

    apart.send(2_000)
    apart.other.restart()
    apart.send(2_000)
    apart.moved_all()
    apart.headgate.until_status("orders", "RUNNING", timeout_s=60)

    heir = apart.worker("a")
    apart.headgate.until_shared("orders", {"a": 2, "b": 2})
    apart.send(4_000)
    b.signal(signal.SIGSTOP)  # in the middle of anything
    apart.send(4_000)
    apart.moved_all()
    b.signal(signal.SIGCONT)
    apart.send(2_000)
    apart.moved_all()
    apart.headgate.until_shared("orders", {"a": 2, "b": 2})
    apart.moved_all()

    apart.headgate.done(apart.headgate.commands.pause("orders"))
    paused = apart.headgate.until_status("orders", "PAUSED")
    assert paused.drain is not None
    receipts = paused.drain.receipts[apart.source].values()
    assert sum(each.read for each in receipts) == sum(each.written for each in receipts) == apart.sent
    apart.send(1_000)
    apart.headgate.done(apart.headgate.commands.resume("orders"))
    apart.moved_all()
    assert {b.stop(), heir.stop()} == {0}


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_worker_stopped_across_a_forced_pause_writes_nothing_that_counts_on_the_other_cluster(apart: Apart) -> None:
    # Silence is judged late here, so that the forced pause meets a straggler that everybody still takes for alive.
    patience = {"HEADGATE_WORKER_HEARTBEAT_INTERVAL_MS": "2500", "HEADGATE_WORKER_SESSION_TIMEOUT_MS": "30000"}
    worker = apart.worker("a", **patience)
    # An ACTIVE marker commits what was written before it, so one partition's first record would commit another's.
    apart.start(commit_interval_ms=20_000, idleness={"markers": "off"})
    apart.headgate.until_committed("orders", apart.source, partitions=PARTITIONS)
    apart.send(100)
    eventually(lambda: len(apart.read("read_uncommitted")) >= 100, WAIT_S, "100 records are written")
    worker.signal(signal.SIGSTOP)  # with transactions open
    assert apart.read() == []
    apart.worker("b")
    apart.headgate.done(apart.headgate.commands.pause("orders", force=True))
    apart.headgate.until("orders", "is fenced", lambda state: "fence_pending" not in state.conditions)
    worker.signal(signal.SIGCONT)
    assert worker.stop() in {0, 1}
    assert apart.read() == []
    config = apart.headgate.get("orders").config.model_copy(update={"commit_interval_ms": 100})
    apart.headgate.done(apart.headgate.commands.resume("orders"))
    apart.headgate.done(apart.headgate.commands.modify("orders", config))
    apart.moved_all()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_source_on_the_other_cluster_is_read_exactly_once_into_this_one(apart: Apart) -> None:
    headgate, destination = apart.headgate, apart.headgate.source("back", 1)
    apart.worker("a")
    apart.start()
    apart.send(1_000)
    headgate.create_and_start(
        "homewards",
        source={"kind": "kafka", "connection": "other", "topic": apart.destination},
        destination={"kind": "kafka", "topic": destination},
    )
    assert numbers(headgate.until_moved(destination, 1_000)) == list(range(1_000))
    headgate.done(headgate.commands.pause("homewards"))
    headgate.until_status("homewards", "PAUSED")
    apart.send(1_000)
    headgate.done(headgate.commands.resume("homewards"))
    assert numbers(headgate.until_moved(destination, 2_000)) == list(range(2_000))
