"""Who speaks for which channel, by heartbeats as a program reads them."""

from __future__ import annotations

from typing import Any

import orjson

from headgate.adapters.memory.record import MemoryRecord
from headgate_events.client.spoken import Speakers
from headgate_events.idleness.vigil import Spoken
from headgate_events.markers import ChannelId

CHANNEL = ChannelId("orders", "source", 0)


def beat(worker: str, *, at_ms: int = 0, status: str | None = "IDLE", incarnation: int = 1) -> Any:
    channel = {"topic": "source", "partition": 0, "status": status, "claim": 7}
    task = {"stream": "orders", "incarnation": incarnation, "channels": [channel]}
    value = orjson.dumps({"worker": worker, "interval_ms": 2_000, "tasks": [task]})
    return MemoryRecord("headgate.heartbeats", 0, 0, worker.encode(), value, [], (1, at_ms))


def test_a_channel_is_spoken_for_during_three_heartbeats_and_is_idle_by_the_claim_that_says_so() -> None:
    speakers = Speakers()
    speakers.take(beat("w1"), 100.0, 0, caught_up=True)
    assert speakers.spoken_for({"orders": 1}) == {CHANNEL: Spoken(106.0, 7, 100.0)}
    assert speakers.patience_s == 6.0
    speakers.take(beat("w1", status="ACTIVE"), 102.0, 0, caught_up=True)
    assert speakers.spoken_for({"orders": 1}) == {CHANNEL: Spoken(108.0, None, 102.0)}
    assert speakers.spoken_for({"orders": 2}) == speakers.spoken_for({}) == {}


def test_the_newest_word_of_several_workers_counts_and_what_is_read_late_counts_from_when_it_was_written() -> None:
    speakers = Speakers()
    speakers.take(beat("w1", at_ms=1_000, status=None), 100.0, 5_000, caught_up=False)
    assert speakers.spoken_for({"orders": 1}) == {CHANNEL: Spoken(102.0, None, 96.0)}
    speakers.take(beat("w2"), 101.0, 6_000, caught_up=True)
    assert speakers.spoken_for({"orders": 1}) == {CHANNEL: Spoken(107.0, 7, 101.0)}
    gone = MemoryRecord("headgate.heartbeats", 0, 0, b"w2", None, [], (1, 0))
    speakers.take(gone, 102.0, 7_000, caught_up=True)
    assert speakers.spoken_for({"orders": 1}) == {CHANNEL: Spoken(102.0, None, 96.0)}


def test_what_is_damaged_or_no_heartbeat_says_nothing() -> None:
    speakers = Speakers()
    for key, value in ((b"w1", b"{"), (b"w1", b"[]"), (b"cordon/w1", b"{}"), (None, b"{}")):
        speakers.take(MemoryRecord("headgate.heartbeats", 0, 0, key, value, [], (1, 0)), 1.0, 0, caught_up=True)
    assert speakers.spoken_for({"orders": 1}) == {}
