"""A commit that the network delays in the worst place: the offsets are sent, the transaction is not ended."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ENVIRONMENT
from tests.integration.worker.conftest import WAIT_S, Headgate, numbers
from tests.integration.worker.own_broker import Own
from tests.integration.worker.test_many_workers import start_worker, two_way
from tests.support.eventually import eventually
from tests.support.kafka import Topics
from tests.support.processes import Processes
from tests.support.proxied import ProxiedBroker, proxied_broker
from tests.support.proxy import END_TXN


@pytest.fixture
def own() -> Iterator[ProxiedBroker]:
    with proxied_broker(ENVIRONMENT) as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_worker_stopped_between_its_offsets_and_its_commit_and_continued_after_a_force_writes_nothing_that_counts(
    own: ProxiedBroker, namespace: str, tmp_path: Path
) -> None:
    headgate = Headgate(Own(own.direct), namespace, Topics(own.direct, namespace))
    environment = {**ENVIRONMENT, "HEADGATE_NAMESPACE": namespace, "PYTHONUNBUFFERED": "1"}
    environment["HEADGATE_BOOTSTRAP_SERVERS"] = own.direct
    with Processes(environment, tmp_path) as processes:
        try:
            # Silence is judged late here, so that nobody inherits from the straggler before the forced pause.
            patience = {"HEADGATE_WORKER_HEARTBEAT_INTERVAL_MS": "2500", "HEADGATE_WORKER_SESSION_TIMEOUT_MS": "30000"}
            worker = start_worker(processes, "a", HEADGATE_BOOTSTRAP_SERVERS=own.proxied, **patience)
            source, destination = two_way(headgate)
            headgate.until_committed("orders", source, partitions=4)
            own.proxy.hold_requests([END_TXN])
            headgate.produce(source, 100, partitions=4)
            eventually(lambda: own.proxy.waiting > 0, WAIT_S, "a commit is on its way")
            worker.signal(signal.SIGSTOP)
            start_worker(processes, "b")
            headgate.done(headgate.commands.pause("orders", force=True))
            headgate.until("orders", "is fenced", lambda state: "fence_pending" not in state.conditions)
            worker.signal(signal.SIGCONT)
            own.proxy.heal()  # the commit arrives now, after its epoch was ended
            assert worker.stop() in {0, 1}
            assert headgate.read(destination) == []
            assert headgate.get("orders").status == "PAUSED"
            headgate.done(headgate.commands.resume("orders"))
            assert numbers(headgate.until_moved(destination, 100, timeout_s=60)) == list(range(100))
        finally:
            headgate.close()
