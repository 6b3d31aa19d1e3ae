"""The demo as a person runs it: its verdict, what it leaves behind, and how it ends when it is ended."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.conftest import Broker
from tests.support.eventually import eventually
from tests.support.kafka import admin
from tests.support.processes import Processes

REQUEST_S = 30.0
KILLED_S = 60.0
"""How long what a killed demo had started may take to be gone: its parts have twelve seconds to end in good order."""


def parts_of(namespace: str) -> list[int]:
    """Return the processes whose environment names the namespace, as the demo's parts' do."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            settings = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # no process, gone meanwhile, or somebody else's
        if f"HEADGATE_NAMESPACE={namespace}".encode() in settings:
            found.append(int(folder.name))
    return found


def topics_of(broker: Broker, namespace: str) -> list[str]:
    known = admin(broker.bootstrap_servers).list_topics(timeout=REQUEST_S).topics
    return [name for name in known if name.startswith(f"{namespace}.")]


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_the_demo_runs_to_its_end_every_check_holds_and_nothing_is_left(
    processes: Processes, broker: Broker, tmp_path: Path
) -> None:
    done = processes.run("demo", "--pace", "1000", environment={"TMPDIR": str(tmp_path)}, timeout_s=400)
    assert done.returncode == 0, done.stdout + done.stderr
    held = re.findall(r"^ +\[ok\] +(.+)$", done.stdout, re.MULTILINE)
    assert "[FAILED]" not in done.stdout
    assert f"All {len(held)} checks held" in done.stdout
    assert "each of the 23,698 departures is there" in held
    assert any(each.startswith("all three are IDLE where the broker says") for each in held)
    assert "JFK is ACTIVE with it; EWR and LGA are IDLE still" in held
    assert done.stderr == ""
    namespace = re.findall(r"demo-[0-9a-f]{8}", done.stdout)[0]
    assert topics_of(broker, namespace) == []
    assert parts_of(namespace) == []
    assert list(tmp_path.glob("headgate-demo-*")) == []


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 130), (signal.SIGINT, 130)])
def test_a_demo_that_is_ended_leaves_no_process_behind(
    processes: Processes, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    demo = processes.start("demo", environment={"TMPDIR": str(tmp_path)})
    demo.wait_for_output("Dana starts it", 90)
    namespace = re.findall(r"demo-[0-9a-f]{8}", demo.output())[0]
    assert len(parts_of(namespace)) >= 3
    os.kill(demo.pid, number)
    assert demo.wait(60) == code
    eventually(lambda: parts_of(namespace) == [], KILLED_S, "every part has ended")


def test_a_cluster_that_does_not_answer_is_the_environments_fault(processes: Processes, tmp_path: Path) -> None:
    nobody = {"HEADGATE_BOOTSTRAP_SERVERS": "127.0.0.1:1", "TMPDIR": str(tmp_path)}
    done = processes.run("demo", environment=nobody, timeout_s=60)
    assert done.returncode == 3
    assert done.stderr.startswith("headgate: HEADGATE_BOOTSTRAP_SERVERS is 127.0.0.1:1 and no broker there answers")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
