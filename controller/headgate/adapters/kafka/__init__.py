"""The real Kafka, through confluent-kafka."""

from headgate.adapters.kafka.log import KafkaLog
from headgate.adapters.kafka.settings import KafkaSettings

__all__ = ["KafkaLog", "KafkaSettings"]
