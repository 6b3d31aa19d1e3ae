"""Following a topic while the broker is not itself."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.ports.errors import TopicMissing
from headgate.ports.log import Batch, Range, TopicPartition
from headgate.worker.follower import Follower
from headgate_events.errors import TopicsMissing


class Waking:
    """A broker that has just started: it names a topic before it knows the topic's partitions."""

    def __init__(self, partitions: int | None) -> None:
        self.knows = False
        self.closed = 0
        self._partitions = partitions

    def partitions(self, topic: str, timeout_s: float) -> int | None:
        return self._partitions

    def consumer(self, **wanted: Any) -> Waking:
        return self

    def range(self, partition: TopicPartition, timeout_s: float) -> Range:
        if not self.knows:
            raise TopicMissing("Local: Unknown partition")
        return Range(0, 0)

    def assign(self, starts: Any) -> None: ...

    def poll(self, at_most: int, wait_s: float) -> Batch:
        return Batch((), {})

    def close(self) -> None:
        self.closed += 1


def test_a_topic_whose_partitions_a_starting_broker_does_not_know_yet_is_waited_for() -> None:
    broker = Waking(partitions=1)
    follower = Follower(broker, "state")  # type: ignore[arg-type]
    assert follower.poll(0.0) == ()
    assert (follower.caught_up, broker.closed) == (False, 1)
    broker.knows = True
    assert follower.poll(0.0) == ()
    assert follower.caught_up


def test_a_topic_that_does_not_exist_is_said() -> None:
    with pytest.raises(TopicsMissing, match="headgate init"):
        Follower(Waking(partitions=None), "state").poll(0.0)  # type: ignore[arg-type]
