"""A program with a `StreamInput` around its own consumer, and what has come out of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition

from headgate_events import PartitionStatus, PartitionWatermark, StreamInput
from tests.support.eventually import eventually

WAIT_S: Final = 30.0


def shown(element: Any) -> Any:
    if isinstance(element, PartitionWatermark):
        return element.watermark_ms
    return element.status if isinstance(element, PartitionStatus) else element.value().decode()


class Reading:
    """What a program has got out of one partition so far."""

    def __init__(self, stream_input: StreamInput) -> None:
        self.input = stream_input
        self.seen: list[Any] = []

    def until(self, expected: list[Any]) -> None:
        def look() -> bool:
            self.seen += [shown(each) for each in self.input.poll(0.2)]
            assert self.seen == expected
            return True

        eventually(look, WAIT_S, f"{expected} came out", every_s=0.0)


@contextmanager
def reading(servers: str, namespace: str, topic: str, position: int = 0) -> Iterator[Reading]:
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "a-program",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
        }
    )
    consumer.assign([TopicPartition(topic, 0, position)])
    try:
        with StreamInput(servers, consumer, topic, namespace) as stream_input:
            yield Reading(stream_input)
    finally:
        consumer.close()
