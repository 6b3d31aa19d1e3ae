"""A running stream that neither moves nor is at the end of its source says so, and no longer once it moves."""

from __future__ import annotations

from pathlib import Path

import pytest

from headgate.cli import main
from tests.integration.worker.conftest import Headgate, numbers


def test_a_transform_that_blocks_makes_a_stream_stalled_until_it_moves_again(
    headgate: Headgate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, destination = headgate.source("source", 1), headgate.source("destination", 1)
    headgate.worker("a")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": destination},
        transform={
            "function": "tests.integration.worker.transforms:held_back",
            "settings": {"until": str(tmp_path / "now")},
        },
        stalled_after_s=1,
    )
    headgate.until("orders", "runs somewhere", lambda state: state.tasks)
    headgate.produce(source, 20, partitions=1)
    stalled = headgate.until("orders", "is stalled", lambda state: "stalled" in state.conditions)
    assert stalled.status == "RUNNING" and stalled.errors == {}
    assert stalled.conditions["stalled"].message == "No record moved for 1 s, and the source is not at its end: a."
    assert headgate.read(destination) == []

    (tmp_path / "now").touch()
    headgate.until("orders", "moves again", lambda state: "stalled" not in state.conditions)
    assert numbers(headgate.until_moved(destination, 20)) == list(range(20))
    assert headgate.get("orders").status == "RUNNING"

    # Held back again, and paused: watch tells why the drain does not end.
    (tmp_path / "now").unlink()
    headgate.produce(source, 1, start=20, partitions=1)
    headgate.until("orders", "is stalled again", lambda state: "stalled" in state.conditions)
    headgate.done(headgate.commands.pause("orders"))
    headgate.until_status("orders", "DRAINING")
    capsys.readouterr()
    where = ["--bootstrap-servers", headgate.servers, "-n", headgate.namespace]
    assert main.run(["watch", "orders", "--timeout", "6s", *where]) == 0
    assert "0 of 1 partitions drained  a: running, 1 partition" in capsys.readouterr().out
    (tmp_path / "now").touch()
    headgate.until_status("orders", "PAUSED")
    assert numbers(headgate.until_moved(destination, 21)) == list(range(21))
