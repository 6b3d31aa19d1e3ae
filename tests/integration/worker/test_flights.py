"""Silence in real input: the airports' nights and the blizzard, each said IDLE and ACTIVE, compared edge by edge.

The whole month, and soaks with faults, are `make chaos`'s to run.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import Broker
from tests.support.processes import ROOT

FLIGHTS = ROOT / "controller/headgate/demo/data/nyc_departures_2013_02.csv.gz"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_four_days_with_the_blizzard_have_every_silence_said_and_no_other(broker: Broker) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "tests/conformance/run_silences.py",
            str(FLIGHTS),
            *("--from", "2013-02-07", "--days", "4"),
        ],
        cwd=ROOT,
        env={**os.environ, "HEADGATE_BOOTSTRAP_SERVERS": broker.bootstrap_servers},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "40 edges expected, 0 mismatches"
