"""Many streams on few workers: when one comes or goes, only those move that it wins or had."""

from __future__ import annotations

import pytest

from headgate.core.placement import ranked
from headgate_events.client.handle import CommandHandle
from tests.integration.worker.conftest import WAIT_S, Headgate
from tests.support.eventually import eventually

STREAMS = 24


def placed(headgate: Headgate) -> dict[str, tuple[str, int]]:
    """Return the one worker of each stream and since when it runs there; a stream that is moving is left out."""
    headgate.state.refresh(WAIT_S)
    return {
        name: (worker, task.since_ms)
        for name, state in headgate.state.snapshot().items()
        if len(state.tasks) == 1
        for worker, task in state.tasks.items()
    }


def until_placed(headgate: Headgate, incarnations: dict[str, int], workers: set[str]) -> dict[str, tuple[str, int]]:
    wanted = {name: ranked(name, number, workers)[0] for name, number in incarnations.items()}

    def look() -> dict[str, tuple[str, int]]:
        found = placed(headgate)
        assert {name: worker for name, (worker, _) in found.items()} == wanted
        return found

    return eventually(look, 90.0, f"{len(wanted)} streams run on {sorted(workers)}", every_s=0.3)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_only_the_streams_move_that_a_worker_wins_or_had(headgate: Headgate) -> None:
    source, destination = headgate.source("source", 1), headgate.source("destination", 1)
    for name in ("a", "b"):
        headgate.worker(name)
    names = [f"stream-{number}" for number in range(STREAMS)]
    config = {"source": {"topic": source, "start": "latest"}, "destination": {"kind": "kafka", "topic": destination}}
    for send in (lambda name: headgate.commands.create(name, config), headgate.commands.start):
        handles: list[CommandHandle] = [send(name) for name in names]
        for handle in handles:
            headgate.done(handle)
    headgate.state.refresh(WAIT_S)
    incarnations = {name: state.incarnation for name, state in headgate.state.snapshot().items()}
    two = until_placed(headgate, incarnations, {"a", "b"})

    headgate.worker("c")
    three = until_placed(headgate, incarnations, {"a", "b", "c"})
    stayed = {name for name, (worker, _) in three.items() if worker != "c"}
    assert 0 < len(stayed) < STREAMS
    assert {name: three[name] for name in stayed} == {name: two[name] for name in stayed}, "these went on undisturbed"

    headgate.stop_worker("b")
    again = until_placed(headgate, incarnations, {"a", "c"})
    stayed = {name for name, (worker, _) in three.items() if worker != "b"}
    assert {name: again[name] for name in stayed} == {name: three[name] for name in stayed}
