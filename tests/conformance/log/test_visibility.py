"""Who sees what of open, committed and aborted transactions, and what an end proves."""

from __future__ import annotations

import pytest

from headgate.ports.log import Range, TopicPartition
from tests.conformance.log.clusters import Cluster
from tests.conformance.log.conftest import Clients


def test_an_open_transaction_is_hidden_from_committed_readers_alone(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source")
    clients.write(topic, b"before")
    producer = clients.transactional()
    producer.begin()
    producer.produce(topic, b"open")
    everything = clients.reader(topic, isolation="read_uncommitted")
    assert everything.until_values(2) == [b"before", b"open"]
    clients.write(topic, b"behind")
    committed = clients.reader(topic)
    assert committed.until_ends(1) == {TopicPartition(topic, 0): 1}
    assert committed.values() == [b"before"]
    producer.commit(30.0)
    assert committed.until_values(3) == [b"before", b"open", b"behind"]


def test_the_range_ends_at_the_last_stable_offset_for_committed_readers(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source", partitions=2)
    partition, empty = TopicPartition(topic, 0), TopicPartition(topic, 1)
    clients.write(topic, b"before", partition=0)
    producer = clients.transactional()
    producer.begin()
    producer.produce(topic, b"open", partition=0)
    everything = clients.reader(topic, isolation="read_uncommitted")
    everything.until_values(2)
    committed = clients.reader(topic)
    assert committed.consumer.ends([empty, partition], 30.0) == {empty: 0, partition: 1}
    assert everything.consumer.ends([empty, partition], 30.0) == {empty: 0, partition: 2}
    assert everything.consumer.ends([], 30.0) == {}
    assert committed.consumer.range(partition, 30.0) == Range(0, 1)
    assert everything.consumer.range(partition, 30.0) == Range(0, 2)
    producer.commit(30.0)
    cluster.until(lambda: committed.consumer.range(partition, 30.0) == Range(0, 3), "the transaction has ended")


def test_aborted_records_are_hidden_from_committed_readers_alone(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source")
    producer = clients.transactional()
    producer.begin()
    producer.produce(topic, b"aborted")
    everything = clients.reader(topic, isolation="read_uncommitted")
    everything.until_values(1)
    clients.transactional()  # the heir ends what was left open
    clients.write(topic, b"after")
    committed = clients.reader(topic)
    assert committed.until_values(1) == [b"after"]
    assert committed.offsets() == [2]
    assert everything.until_values(2) == [b"aborted", b"after"]


def test_markers_of_transactions_take_up_offsets(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source")
    producer = clients.transactional()
    for value in (b"a", b"b", b"c"):
        producer.begin()
        producer.produce(topic, value)
        producer.commit(30.0)
    reading = clients.reader(topic)
    assert reading.until_values(3) == [b"a", b"b", b"c"]
    assert reading.offsets() == [0, 2, 4]


@pytest.mark.parametrize("last", ["committed", "aborted"])
def test_an_end_passes_what_is_never_delivered(cluster: Cluster, clients: Clients, last: str) -> None:
    topic = cluster.topic("source")
    producer = clients.transactional()
    producer.begin()
    producer.produce(topic, b"a")
    producer.commit(30.0)
    end = 2
    if last == "aborted":
        producer.begin()
        producer.produce(topic, b"b")
        everything = clients.reader(topic, isolation="read_uncommitted")
        everything.until_values(2)
        clients.transactional()
        end = 4
    reading = clients.reader(topic)
    reading.until(lambda: reading.ends == {TopicPartition(topic, 0): end}, f"the end at {end}")
    assert reading.values() == [b"a"]


def test_an_end_is_said_once_and_again_after_a_record_a_seek_and_a_resume(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source")
    partition = TopicPartition(topic, 0)
    clients.write(topic, b"a")
    reading = clients.reader(topic)
    assert reading.until_ends(1) == {partition: 1}
    reading.ends.clear()
    for _ in range(5):
        reading.poll()
    assert reading.ends == {}
    clients.write(topic, b"b")
    assert reading.until_ends(1) == {partition: 2}
    assert reading.values() == [b"a", b"b"]
    reading.ends.clear()
    reading.consumer.seek({partition: 2})
    assert reading.until_ends(1) == {partition: 2}
    reading.ends.clear()
    reading.consumer.pause([partition])
    reading.consumer.resume([partition])
    assert reading.until_ends(1) == {partition: 2}


def test_an_end_that_a_record_of_the_same_poll_has_overtaken_is_not_said(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source")
    clients.write(topic, b"1")
    reading, beside = clients.reader(topic), clients.reader(topic)
    reading.until_values(1)
    beside.until_ends(1)  # the other client meets the end, too, but nobody asks it meanwhile
    clients.write(topic, b"2")
    beside.until_values(2)
    met = []
    while reading.ends.get(TopicPartition(topic, 0)) != 2:
        batch = reading.consumer.poll(500, 0.05)
        reading.ends.update(batch.ends)
        met += [(record.offset(), batch.ends.get(TopicPartition(topic, 0))) for record in batch.records]
    assert met in ([(1, None)], [(1, 2)])


def test_a_reader_sees_how_far_a_partition_goes_past_an_open_transaction(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source")
    partition = TopicPartition(topic, 0)
    clients.write(topic, b"before")
    reading = clients.reader(topic)
    assert reading.until_ends(1) == {partition: 1}
    assert reading.consumer.seen_high(partition) == 1
    producer = clients.transactional()
    producer.begin()
    producer.produce(topic, b"open")
    reading.until(lambda: reading.consumer.seen_high(partition) == 2, "the open transaction shows")
    assert reading.values() == [b"before"]
    producer.commit(30.0)
    reading.until_values(2)


def test_an_empty_partition_says_its_end(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source", partitions=2)
    clients.write(topic, b"a", partition=1)
    reading = clients.reader(topic, partitions=2)
    assert reading.until_ends(2) == {TopicPartition(topic, 0): 0, TopicPartition(topic, 1): 1}


def test_a_transaction_over_several_partitions_becomes_visible_in_all(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source", partitions=3)
    producer = clients.transactional()
    producer.begin()
    for number in range(3):
        producer.produce(topic, b"%d" % number, partition=number)
    producer.commit(30.0)
    assert sorted(clients.reader(topic, partitions=3).until_values(3)) == [b"0", b"1", b"2"]
