"""A cordoned worker lives and takes no tasks, for whoever places streams and for whoever misses workers."""

from __future__ import annotations

import orjson

from headgate.worker.fleet import Fleet
from headgate_events.names import cordon_key, cordoned_worker
from tests.unit.worker.test_fleet_and_reports import Beat, fleet_of

CORDON = orjson.dumps({"kind": "cordon", "worker": "a", "at_ms": 1, "actor": "mara", "reason": "disks"})


def cordon(fleet: Fleet, worker: str, value: bytes | None = CORDON) -> None:
    fleet.take(Beat(cordon_key(worker), value=value), 100.0, 50_000, caught_up=True)  # type: ignore[arg-type]


def test_a_cordoned_worker_is_given_nothing_until_the_cordon_ends() -> None:
    fleet = fleet_of(Beat("a"), Beat("b"))
    cordon(fleet, "a")
    assert fleet.live(101.0, me=True) == {"b", "me"}
    cordon(fleet, "me")
    assert fleet.live(101.0, me=True) == {"b"} and fleet.cordoned("me") is not None
    cordon(fleet, "a", None)
    cordon(fleet, "me", None)
    assert fleet.live(101.0, me=True) == {"a", "b", "me"} and fleet.cordoned("me") is None


def test_a_cordon_is_no_worker_and_one_that_cannot_be_read_changes_nothing() -> None:
    fleet = fleet_of(Beat("a"))
    cordon(fleet, "a", b"{")
    assert fleet.live(101.0, me=False) == {"a"}
    assert cordoned_worker("a") is None and cordoned_worker(cordon_key("a")) == "a"


def test_the_silence_of_a_cordoned_worker_is_still_heard_of() -> None:
    fleet = fleet_of(Beat("a", tasks=[{"stream": "s", "incarnation": 1, "transactional_ids": ["t"]}]))
    cordon(fleet, "a")
    assert fleet.left_open("s", 1, 110.0) == (("t", "i1"),)
