"""A partition without a leader is unknown to the client as one that does not exist is; only the latter is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from headgate.adapters.kafka import KafkaLog, KafkaSettings
from headgate.ports.errors import LogError, LogUnavailable, TopicMissing
from headgate.ports.log import TopicPartition

PLACE = TopicPartition("source", 1)


@dataclass
class Known:
    error: KafkaError | None
    partitions: dict[int, object]


@dataclass
class Client:
    """Knows no leader, and says of the topic what it was made with; None is no answer."""

    known: Known | None
    topics: dict[str, Any] = field(default_factory=dict)

    def get_watermark_offsets(self, *_arguments: object) -> object:
        raise KafkaException(KafkaError(KafkaError._UNKNOWN_PARTITION))

    def list_topics(self, topic: str, _timeout_s: float) -> Client:
        if self.known is None:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        self.topics[topic] = self.known
        return self


@pytest.mark.parametrize(
    ("known", "error"),
    [
        (Known(None, {0: object(), 1: object()}), LogUnavailable),
        (Known(KafkaError(KafkaError.LEADER_NOT_AVAILABLE), {}), LogUnavailable),
        (None, LogUnavailable),
        (Known(None, {0: object()}), TopicMissing),
        (Known(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART), {}), TopicMissing),
    ],
)
def test_what_is_missing_and_what_is_only_away(known: Known | None, error: type[LogError]) -> None:
    consumer = KafkaLog(KafkaSettings("127.0.0.1:1")).consumer()
    real, consumer._client = consumer._client, Client(known)  # type: ignore[attr-defined]
    try:
        with pytest.raises(error, match="source partition 1"):
            consumer.range(PLACE, 0.1)
    finally:
        consumer._client = real  # type: ignore[attr-defined]
        consumer.close()
