"""`headgate workers`: who there is and what runs where, and emptying a worker for maintenance; no record is lost."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from headgate.cli import main
from tests.integration.worker.conftest import Headgate, numbers


def test_a_drained_worker_gives_its_tasks_away_in_good_order_and_takes_some_again(
    headgate: Headgate, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADGATE_ACTOR", "mara")

    def command(line: str, code: int = 0) -> str:
        where = ["--bootstrap-servers", headgate.servers, "-n", headgate.namespace]
        capsys.readouterr()
        assert main.run([*line.split(), *where]) == code
        # The workers are threads of this process, and speak on the same standard output.
        lines = capsys.readouterr().out.splitlines()
        return "\n".join(line for line in lines if not re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d", line))

    def listed() -> dict[str, Any]:
        return {each["worker"]: each for each in json.loads(command("workers -o json"))["items"]}

    headgate.worker("a")
    headgate.worker("b")
    source, destination = headgate.source("source", 2), headgate.source("destination", 2)
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": destination},
    )
    runs = headgate.until("orders", "runs somewhere", lambda state: state.tasks)
    (runner,) = runs.tasks
    other = "b" if runner == "a" else "a"
    headgate.produce(source, 500, partitions=2)
    assert {name: each["standing"] for name, each in listed().items()} == {"a": "live", "b": "live"}

    said = command(f"workers drain {runner} --wait --reason disks")
    assert said.startswith(f"{runner}: runs nothing, after "), said
    headgate.until("orders", "moved", lambda state: set(state.tasks) == {other})
    headgate.produce(source, 500, start=500, partitions=2)
    assert numbers(headgate.until_moved(destination, 1_000)) == list(range(1_000))
    empty = listed()[runner]
    assert (empty["standing"], empty["heartbeat"]["tasks"]) == ("cordoned", [])
    assert "cordoned by mara: disks" in command("workers")
    assert headgate.get("orders").status == "RUNNING" and headgate.get("orders").errors == {}

    command(f"workers drain {other} --wait")
    headgate.until("orders", "has nobody", lambda state: "unassigned" in state.conditions)
    assert command(f"workers undrain {runner} --wait").startswith(f"{runner}: may run tasks again, after ")
    headgate.until("orders", "runs again", lambda state: set(state.tasks) == {runner} and not state.conditions)
    command("workers drain nobody", code=2)
