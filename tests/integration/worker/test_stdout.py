"""`headgate worker | something`: records come out as lines, and a reader that goes away is said."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import orjson
import pytest

from tests.integration.worker.conftest import WAIT_S, Headgate
from tests.integration.worker.test_many_workers import QUICK
from tests.support.processes import ROOT, Processes, guarded


@pytest.mark.timeout(180)
def test_a_worker_is_piped_into_a_program_until_that_program_ends(
    headgate: Headgate, processes: Processes, tmp_path: Path
) -> None:
    with (
        (tmp_path / "worker.log").open("wb") as log,
        subprocess.Popen(
            guarded(["worker", "--name", "a"]),
            cwd=ROOT,
            env=processes.environment | QUICK,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        ) as worker,
    ):
        try:
            source = headgate.source("source", 1)
            headgate.produce(source, 50, partitions=1)
            headgate.create_and_start(
                "orders",
                source={"kind": "kafka", "topic": source},
                destination={"kind": "stdout"},
                delivery="at_least_once",
            )
            assert worker.stdout is not None
            lines = [orjson.loads(worker.stdout.readline()) for _ in range(50)]
            assert [(line["offset"], line["value"]) for line in lines] == [(n, str(n)) for n in range(50)]
            assert {line["topic"] for line in lines} == {source}
            headgate.until_committed("orders", source, 1)
            worker.stdout.close()
            headgate.produce(source, 1, start=50, partitions=1)
            failed = headgate.until_status("orders", "FAILED_PERMANENTLY")
            (error,) = failed.errors.values()
            assert error.code == "connector.refused"
            assert error.message.startswith("Whoever read this worker's standard output is gone (broken pipe).")
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(WAIT_S) == 0
        finally:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
