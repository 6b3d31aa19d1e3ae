"""A running stream that neither moves nor is at the end of its source says so, and no longer once it moves."""

from __future__ import annotations

from pathlib import Path

from tests.integration.worker.conftest import Headgate, numbers


def test_a_transform_that_blocks_makes_a_stream_stalled_until_it_moves_again(
    headgate: Headgate, tmp_path: Path
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
