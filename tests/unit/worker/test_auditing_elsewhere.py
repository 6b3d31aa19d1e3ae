"""Receipts of a source on another cluster: said to be unchecked, never compared with a topic of the same name here."""

from __future__ import annotations

from headgate.adapters.clock import ManualClock
from headgate.adapters.memory import MemoryKafka
from headgate.worker.auditing import audit


def test_a_source_on_another_cluster_is_not_looked_for_here() -> None:
    clock = ManualClock()
    kafka = MemoryKafka(clock)
    kafka.create_topic("flights", 1)
    receipt = {"topic": "flights", "partition": 0, "start": 0, "end": 5, "read": 5, "written": 5, "worker": "a"}
    state = {
        "config": {
            "source": {"kind": "kafka", "connection": "overseas", "topic": "flights"},
            "destination": {"kind": "kafka", "topic": "departures"},
        },
        "drain": {"receipts": {"flights": {"0": receipt}}},
    }
    (found,) = audit(kafka.log(), clock, state)
    assert (found.verdict, found.told) == ("unchecked", "The source is on another cluster.")
