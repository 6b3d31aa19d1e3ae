"""What is written comes back: order, keys, headers, times, sizes."""

from __future__ import annotations

import pytest

from headgate.ports.errors import LogError, RecordTooLarge, TopicMissing
from headgate.ports.log import TopicPartition
from tests.conformance.log.clusters import Cluster, where
from tests.conformance.log.conftest import Clients


def test_records_of_a_partition_come_in_the_order_of_writing(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source")
    written = [b"%d" % number for number in range(300)]
    clients.write(topic, *written)
    reading = clients.reader(topic)
    assert reading.until_values(300) == written
    assert reading.offsets() == list(range(300))


def test_keys_go_to_the_partitions_of_java_clients(cluster: Cluster, clients: Clients) -> None:
    # Positive murmur2 of each key, from `org.apache.kafka.common.utils.Utils`, whose own tests hold the first three.
    java = {b"21": 1173551340, b"foobar": 1357151166, b"a-little-bit-long-string": 1161502112}
    topic = cluster.topic("keyed", partitions=7)
    producer = clients.log.producer()
    for key in java:
        producer.produce(topic, b"", key)
    producer.flush(30.0)
    producer.close()
    reading = clients.reader(topic, partitions=7)
    reading.until_values(3)
    assert {record.key(): record.partition() for record in reading.records} == {
        key: hashed % 7 for key, hashed in java.items()
    }


def test_a_given_partition_stands_above_the_key(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("placed", partitions=3)
    producer = clients.log.producer()
    for number in range(3):
        producer.produce(topic, b"%d" % number, b"same", partition=number)
    producer.flush(30.0)
    producer.close()
    reading = clients.reader(topic, partitions=3)
    reading.until_values(3)
    assert {record.value(): record.partition() for record in reading.records} == {b"0": 0, b"1": 1, b"2": 2}


def test_headers_keys_and_tombstones_come_back_as_written(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("whole")
    producer = clients.log.producer()
    producer.produce(topic, None, b"key", [("a", b"1"), ("b", "two"), ("a", None)])
    producer.produce(topic, b"", None, [])
    producer.flush(30.0)
    producer.close()
    reading = clients.reader(topic)
    reading.until_values(2)
    tombstone, plain = reading.records
    assert (tombstone.key(), tombstone.value()) == (b"key", None)
    assert tombstone.headers() == [("a", b"1"), ("b", b"two"), ("a", None)]
    assert (plain.key(), plain.value(), plain.headers()) == (None, b"", None)


def test_the_brokers_clock_stamps_records_where_the_topic_says_so(cluster: Cluster, clients: Clients) -> None:
    stamped = cluster.topic("stamped", config={"message.timestamp.type": "LogAppendTime"})
    kept = cluster.topic("kept")
    before_ms = cluster.now_ms() - 60_000
    producer = clients.log.producer()
    for topic in (stamped, kept):
        producer.produce(topic, b"x", timestamp_ms=before_ms)
    producer.flush(30.0)
    producer.close()
    first, second = clients.reader(stamped), clients.reader(kept)
    first.until_values(1)
    second.until_values(1)
    kind, at_ms = first.records[0].timestamp()
    assert kind == 2
    assert at_ms >= before_ms + 60_000
    assert second.records[0].timestamp() == (1, before_ms)


def test_a_delivery_is_told_with_the_offset(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("told")
    told = []
    producer = clients.log.producer()
    for value in (b"a", b"b"):
        producer.produce(topic, value, on_delivery=lambda error, record: told.append((error, record.offset())))
    producer.flush(30.0)
    producer.close()
    assert told == [(None, 0), (None, 1)]


def test_a_record_that_is_too_large_is_refused(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("small", config={"max.message.bytes": "1000"})
    producer = clients.log.producer()
    with pytest.raises(RecordTooLarge):
        producer.produce(topic, b"x" * 2_000_000)
    producer.produce(topic, b"x" * 5_000)
    with pytest.raises(RecordTooLarge):
        producer.flush(30.0)
    producer.produce(topic, b"fits")
    producer.flush(30.0)
    producer.close()
    assert clients.reader(topic).until_values(1) == [b"fits"]


def test_a_transaction_with_a_record_that_is_too_large_commits_nothing(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("small", config={"max.message.bytes": "1000"})
    producer = clients.transactional()
    producer.begin()
    producer.produce(topic, b"fits")
    producer.produce(topic, b"x" * 5_000)
    with pytest.raises(LogError):
        producer.commit(30.0)
    producer.drop()
    clients.transactional()
    clients.write(topic, b"after")
    assert clients.reader(topic).until_values(1) == [b"after"]


def test_a_topic_that_does_not_exist_has_no_partitions_and_is_not_created_by_asking(
    cluster: Cluster, clients: Clients
) -> None:
    missing = f"{cluster.name}.missing"
    assert clients.log.partitions(missing, 30.0) is None
    assert clients.log.partitions(missing, 30.0) is None
    assert clients.log.partitions(cluster.topic("there", partitions=4), 30.0) == 4
    consumer = clients.keep(clients.log.consumer())
    with pytest.raises(TopicMissing):
        consumer.range(TopicPartition(missing, 0), 30.0)
    with pytest.raises(TopicMissing):
        consumer.ends([TopicPartition(missing, 0)], 30.0)
    assert clients.log.partitions(missing, 30.0) is None


def test_a_batch_is_no_larger_than_asked_for(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("many")
    clients.write(topic, *[b"%d" % number for number in range(50)])
    consumer = clients.keep(clients.log.consumer())
    consumer.assign({TopicPartition(topic, 0): 0})
    sizes: list[int] = []
    seen: list[object] = []

    def all_there() -> bool:
        batch = consumer.poll(7, 0.05)
        sizes.append(len(batch.records))
        seen.extend(record.value() for record in batch.records)
        assert all(where(record) == TopicPartition(topic, 0) for record in batch.records)
        return len(seen) == 50

    cluster.until(all_there, "50 records")
    assert max(sizes) <= 7
    assert seen == [b"%d" % number for number in range(50)]


def test_records_are_forwarded_as_they_are(cluster: Cluster, clients: Clients) -> None:
    source, target = cluster.topic("forward-from"), cluster.topic("forward-to", partitions=2)
    producer = clients.log.producer()
    producer.produce(source, b"a", b"k", [("h", b"1")], timestamp_ms=1_700_000_000_000)
    producer.produce(source, None, b"k")
    producer.flush(30.0)
    reader = clients.reader(source)
    reader.until_values(2)

    producer.forward(target, reader.records, keep_headers=True, keep_partition=True)
    producer.flush(30.0)
    producer.close()

    forwarded = clients.reader(target, partitions=2)
    forwarded.until_values(2)
    assert [(each.value(), each.key()) for each in forwarded.records] == [(b"a", b"k"), (None, b"k")]
    assert {each.partition() for each in forwarded.records} == {0}
    assert forwarded.records[0].headers() == [("h", b"1")]
    assert forwarded.records[0].timestamp()[1] == 1_700_000_000_000


def test_a_failed_delivery_is_raised_by_the_flush_where_only_failures_are_told(
    cluster: Cluster, clients: Clients
) -> None:
    topic = cluster.topic("small-failures", config={"max.message.bytes": "1000"})
    producer = clients.log.producer(failures_only=True)
    producer.produce(topic, b"x" * 5_000)
    with pytest.raises(RecordTooLarge):
        producer.flush(30.0)
    producer.produce(topic, b"x")
    producer.flush(30.0)
    producer.close()
