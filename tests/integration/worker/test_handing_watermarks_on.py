"""Event time of a channel never goes back on a real broker, whoever owns it: a rebalance, a stop, late records."""

from __future__ import annotations

from typing import Any

import orjson

from headgate_events.topics import Topics as Namespace
from tests.integration.worker.conftest import WAIT_S, Headgate
from tests.support.eventually import eventually

EARLY_MS, LATE_MS = 1_700_000_000_000, 1_800_000_000_000


def said(headgate: Headgate) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for record in headgate.read(Namespace(headgate.namespace).markers):
        marker = orjson.loads(record.value or b"{}")
        if marker["marker"] != "CLAIM":
            found.setdefault(marker["channel"]["partition"], []).append(marker)
    return found


def until_idle_by(headgate: Headgate, workers: set[str], watermark: int) -> None:
    def look() -> bool:
        last = [markers[-1] for _, markers in sorted(said(headgate).items())]
        assert len(last) == 2
        assert [each["status"] for each in last] == ["IDLE", "IDLE"]
        assert {each["worker"] for each in last} == workers
        assert {each["watermark"] for each in last} == {watermark}
        return True

    eventually(look, WAIT_S, f"both channels are idle at {watermark}, by {workers}", every_s=0.2)


def test_a_new_owner_goes_on_from_the_watermark_that_was_announced_before_it(headgate: Headgate, tmp_path: Any) -> None:
    """Positions lie in files here, so a watermark stands there before it is announced; see the simulation for Kafka."""
    source = headgate.source("source", 2)
    destination = {"kind": "jsonl", "folder": str(tmp_path), "roll": {"seconds": 0.2}}

    def produce(at_ms: int) -> None:
        for partition in range(2):
            headgate.plain_producer().produce(source, b"{}", b"k", partition, headers=[("at", str(at_ms).encode())])
        assert headgate.plain_producer().flush(WAIT_S) == 0

    headgate.worker("a")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination=destination,
        idleness={
            "idle_after_s": 0.2,
            "flap_damping": False,
            "watermark_interval_ms": 20,
            "event_time": {"source": "header", "place": "at"},
        },
        parallelism=2,
    )
    produce(LATE_MS)
    until_idle_by(headgate, {"a"}, LATE_MS - 1)
    headgate.worker("b")
    headgate.until_shared("orders", {"a": 1, "b": 1})
    produce(EARLY_MS)  # the only one that the new owner of a channel sees is a year late
    until_idle_by(headgate, {"a", "b"}, LATE_MS - 1)
    headgate.stop_worker("a")
    produce(EARLY_MS + 1)
    until_idle_by(headgate, {"b"}, LATE_MS - 1)
    produce(LATE_MS + 5)
    until_idle_by(headgate, {"b"}, LATE_MS + 4)
    for markers in said(headgate).values():
        watermarks = [each["watermark"] for each in markers]
        known = [each for each in watermarks if each is not None]
        assert watermarks == [None] * (len(watermarks) - len(known)) + sorted(known)
