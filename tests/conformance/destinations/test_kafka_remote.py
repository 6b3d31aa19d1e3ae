"""Kafka on another cluster than the stream's, with the positions there: on the twin in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from headgate.adapters.clock import ManualClock
from headgate.adapters.memory import MemoryKafka
from headgate.destinations.kafka import KafkaDestination
from headgate.destinations.kafka_remote import RemoteDestination
from headgate.ports.connectors import ConnectorContext, Delivery
from headgate.ports.destination import StaleOwner, Token
from headgate.ports.errors import LogError
from headgate.testing import DestinationConformance, GivenConnections, Seen, context_for
from headgate.testing.owner import not_covered
from headgate.testing.subject import Owners
from tests.conformance.destinations.test_kafka import read_all


class TestKafkaElsewhere(DestinationConformance):
    kind = KafkaDestination()

    @pytest.fixture(autouse=True)
    def twin(self) -> None:
        self.cluster = MemoryKafka(ManualClock())
        self.cluster.create_topic("destination", 1)

    def settings(self) -> Mapping[str, Any]:
        return {"topic": "destination", "connection": "other"}

    def broken_settings(self) -> Mapping[str, Any]:
        return {"topic": "destination", "connection": "nowhere"}

    def context(self, delivery: Delivery, worker: str) -> ConnectorContext:
        there = GivenConnections({}, {"other": self.cluster.log(worker)})
        return context_for(delivery, worker=worker, clock=self.cluster.clock, connections=there)

    def read(self) -> Sequence[Seen]:
        return read_all(self.cluster.log(), "destination")

    def break_other_side(self) -> None:
        self.cluster.faults.unavailable = True

    def heal_other_side(self) -> None:
        self.cluster.faults.unavailable = False

    def test_a_commit_that_touches_a_partition_which_moved_writes_nothing_at_all(self, owners: Owners) -> None:
        """Each partition commits by itself: what a failed commit leaves is whole, and has its position."""
        records = self.records(6, partitions=2)
        first, second = records[::2], records[1::2]
        old, heir = owners.make(), owners.make("worker-b")
        old.begin(self.partition(0), self.partition(1))
        old.forward(first)
        old.forward(second)
        if self.delivery == "at_least_once":
            old.commit()
            self.sees(*records)
            return
        stands = heir.begin(self.partition(1))
        self._is_fenced(old, old.commit)
        self.sees(*first)
        old.forward(not_covered(first, old.begin(self.partition(0))))
        old.commit()
        heir.forward(not_covered(second, stands))
        heir.commit()
        self.sees(*first, *second)

    def test_a_fence_outlasts_a_task_that_was_stopped_before_it_claimed(self, owners: Owners) -> None:
        if self.delivery == "at_least_once":
            return
        records = self.records(6)
        old, late = owners.make(token=Token(1, 3, 7)), owners.make("worker-b", token=Token(1, 3, 9))
        old.begin(self.partition(0))
        old.forward(records[:3])
        settings = self.kind.settings.model_validate(dict(self.settings()))
        context = self.context("exactly_once", "worker-c")
        for _ in range(2):
            self.kind.fence(settings, context, {self.partition(0): Token(1, 5, 0)})
        with pytest.raises(LogError):
            old.commit()
        for stale in (old, late):
            with pytest.raises(StaleOwner):
                stale.begin(self.partition(0))
        self.sees()
        resumed = owners.make(token=Token(1, 6, 12))
        assert resumed.begin(self.partition(0)) == {}
        resumed.forward(records)
        resumed.commit()
        self.sees(*records)


def test_the_source_being_elsewhere_puts_the_positions_at_the_destination_too() -> None:
    kind, kafka = KafkaDestination(), MemoryKafka(ManualClock())
    there = GivenConnections({}, {"other": kafka.log()})
    settings = kind.settings.model_validate({"topic": "t"})
    base = context_for("exactly_once", log=kafka.log(), connections=there)
    assert kind.destination(settings, base).positions_in == "source_transaction"
    from_other = replace(base, source_connection="other")
    assert isinstance(kind.destination(settings, from_other), RemoteDestination)
    both = kind.settings.model_validate({"topic": "t", "connection": "other"})
    assert isinstance(kind.destination(both, from_other), RemoteDestination)
