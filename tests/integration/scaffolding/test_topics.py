"""What the suite's own means see of a real Kafka: topics that are usable at once, and the committed records alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import Producer

from tests.support.eventually import eventually
from tests.support.kafka import read_to_end

if TYPE_CHECKING:
    from tests.conftest import Broker
    from tests.support.kafka import Topics


def test_a_topic_that_was_made_has_its_partitions_and_is_empty(broker: Broker, topics: Topics) -> None:
    name = topics.create("source", partitions=3)
    assert topics.names() == [name]
    assert read_to_end(broker.bootstrap_servers, name) == []


def test_what_is_read_is_what_was_committed(broker: Broker, topics: Topics, namespace: str) -> None:
    name = topics.create("source", partitions=2, config={"message.timestamp.type": "LogAppendTime"})
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "transactional.id": namespace})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(name, b"one", b"key", partition=1, headers=[("a", b"1"), ("a", b"2")])
    producer.commit_transaction(30)
    producer.begin_transaction()
    producer.produce(name, b"never", partition=0)
    producer.flush(30)
    producer.abort_transaction(30)

    (record,) = read_to_end(broker.bootstrap_servers, name)
    assert (record.partition, record.key, record.value) == (1, b"key", b"one")
    assert record.header("a") == b"2"
    assert record.log_append_time
    assert [r.value for r in read_to_end(broker.bootstrap_servers, name, isolation="read_uncommitted")] == [
        b"never",
        b"one",
    ]


def test_records_behind_an_open_transaction_are_not_waited_for(broker: Broker, topics: Topics, namespace: str) -> None:
    name = topics.create("source")
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "transactional.id": namespace})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(name, b"pending")
    producer.flush(30)
    assert read_to_end(broker.bootstrap_servers, name) == []
    producer.commit_transaction(30)
    # It is answered before its marker is written.
    eventually(
        lambda: [record.value for record in read_to_end(broker.bootstrap_servers, name)] == [b"pending"],
        30,
        "what was committed is read",
    )
