"""The short form of `make chaos`: workers killed while records move to each destination that promises exactly once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.streams import faults, run, targets
from tests.conftest import ENVIRONMENT, Broker
from tests.support.processes import Processes
from tests.support.proxied import proxied_broker

SEED = 3


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("destination", targets.NAMES)
def test_three_workers_killed_in_the_middle_of_traffic_cost_no_record_and_double_none(
    destination: str, broker: Broker, namespace: str, processes: Processes, tmp_path: Path
) -> None:
    figures = run.run(
        broker.bootstrap_servers,
        namespace,
        processes,
        tmp_path,
        destination=destination,
        records=5_000,
        count=3,
        seed=SEED,
        drawn=((1, faults.kill),),
    )
    assert not figures.problems, figures.verdict()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_workers_come_and_go_are_stopped_and_drained_while_they_die(
    broker: Broker, namespace: str, processes: Processes, tmp_path: Path
) -> None:
    figures = run.run(
        broker.bootstrap_servers,
        namespace,
        processes,
        tmp_path,
        destination="kafka",
        records=8_000,
        count=0,
        in_turn=(faults.scale_to_four_and_back, faults.stop_long, faults.pause_and_kill, faults.force_pause),
        seed=SEED,
    )
    assert not figures.problems, figures.verdict()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("destination", ["kafka", "jsonl"])
def test_a_broker_that_goes_and_connections_that_fail_cost_no_record_and_double_none(
    destination: str, namespace: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "HEADGATE_NAMESPACE": namespace, "PYTHONUNBUFFERED": "1"}
    with proxied_broker(ENVIRONMENT) as own, Processes(environment, tmp_path) as started:
        started.environment["HEADGATE_BOOTSTRAP_SERVERS"] = own.direct
        figures = run.run(
            own.direct,
            namespace,
            started,
            tmp_path,
            destination=destination,
            records=6_000,
            count=0,
            # A worker behind the proxy that is silent for longer than a session is cut off from the broker and goes on
            # with its destination, where that is another system: the files.
            in_turn=(faults.cut_off, faults.connections_cut, faults.broker_restart),
            seed=SEED,
            behind_proxy=own.proxied,
            broker=own.broker,
            proxy=own.proxy,
        )
        assert not figures.problems, figures.verdict()
