"""Transactions: positions move with records, zombies are fenced, and what is left open ends."""

from __future__ import annotations

import pytest

from headgate.ports.errors import ProducerFenced, TransactionInDoubt
from headgate.ports.log import Committed, TopicPartition
from tests.conformance.log.clusters import Cluster, Member
from tests.conformance.log.conftest import Clients


def test_positions_are_committed_with_the_records_or_not_at_all(cluster: Cluster, clients: Clients) -> None:
    source, destination = cluster.topic("source"), cluster.topic("destination")
    partition = TopicPartition(source, 0)
    member = clients.member(source, Member())
    clients.write(source, b"a", b"b")
    member.until_values(2)
    producer = clients.transactional()
    producer.begin()
    producer.produce(destination, b"A")
    producer.send_offsets({partition: Committed(1, "one")}, member.consumer.group_metadata(), 30.0)
    producer.drop()
    producer = clients.transactional()
    assert member.consumer.committed([partition], 30.0) == {}
    producer.begin()
    producer.produce(destination, b"B")
    producer.send_offsets({partition: Committed(2, "two")}, member.consumer.group_metadata(), 30.0)
    producer.commit(30.0)
    assert member.consumer.committed([partition], 30.0) == {partition: Committed(2, "two")}
    assert clients.reader(destination).until_values(1) == [b"B"]


def test_a_transaction_of_positions_alone_is_committed(cluster: Cluster, clients: Clients) -> None:
    source = cluster.topic("source")
    partition = TopicPartition(source, 0)
    listener = Member()
    member = clients.member(source, listener)
    member.until(lambda: bool(listener.has), "the assignment")
    producer = clients.transactional()
    producer.begin()
    producer.send_offsets({partition: Committed(7)}, member.consumer.group_metadata(), 30.0)
    producer.commit(30.0)
    assert member.consumer.committed([partition], 30.0) == {partition: Committed(7)}


def test_an_empty_transaction_is_committed(clients: Clients) -> None:
    producer = clients.transactional()
    for _ in range(2):
        producer.begin()
        producer.commit(30.0)


def test_a_zombie_is_fenced_by_whoever_initialises_its_id(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("destination")
    zombie = clients.transactional()
    zombie.begin()
    zombie.produce(topic, b"zombie")
    everything = clients.reader(topic, isolation="read_uncommitted")
    everything.until_values(1)
    heir = clients.transactional()
    heir.begin()
    heir.produce(topic, b"heir")
    heir.commit(30.0)
    with pytest.raises(ProducerFenced):
        zombie.commit(30.0)
    assert clients.reader(topic).until_values(1) == [b"heir"]


def test_a_zombie_that_goes_on_producing_reaches_nobody(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("destination")
    zombie = clients.transactional()
    clients.transactional()
    zombie.begin()

    def go_on() -> None:
        for _ in range(1_000):
            zombie.produce(topic, b"zombie")
        zombie.commit(30.0)

    with pytest.raises(TransactionInDoubt):
        go_on()
    clients.write(topic, b"after")
    assert clients.reader(topic).until_values(1) == [b"after"]


def test_positions_from_a_replaced_member_are_refused(cluster: Cluster, clients: Clients) -> None:
    source, destination = cluster.topic("source", partitions=2), cluster.topic("destination")
    first_listener, second_listener = Member(), Member()
    first = clients.member(source, first_listener, assignor="range")
    first.until(lambda: len(first_listener.has) == 2, "both partitions")
    stale = first.consumer.group_metadata()
    second = clients.member(source, second_listener, assignor="range")

    def shared() -> bool:
        first.poll()
        second.poll()
        return len(first_listener.has) == len(second_listener.has) == 1

    cluster.until(shared, "one partition each")
    producer = clients.transactional()
    producer.begin()
    producer.produce(destination, b"stale")
    with pytest.raises(TransactionInDoubt):
        producer.send_offsets({TopicPartition(source, 0): Committed(5)}, stale, 30.0)
    producer.drop()
    clients.transactional()
    assert first.consumer.committed([TopicPartition(source, 0)], 30.0) == {}
    clients.write(destination, b"after")
    assert clients.reader(destination).until_values(1) == [b"after"]


def test_a_transaction_that_nobody_ends_times_out_and_fences_its_producer(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("destination")
    producer = clients.transactional(timeout_ms=5_000)
    producer.begin()
    producer.produce(topic, b"open")
    everything = clients.reader(topic, isolation="read_uncommitted")
    everything.until_values(1)
    clients.write(topic, b"behind")
    assert clients.reader(topic).until_values(1) == [b"behind"]
    with pytest.raises(TransactionInDoubt):
        producer.commit(30.0)


def test_two_producers_that_take_turns_keep_the_order_and_the_later_position(
    cluster: Cluster, clients: Clients
) -> None:
    source, destination = cluster.topic("source"), cluster.topic("destination")
    partition = TopicPartition(source, 0)
    listener = Member()
    member = clients.member(source, listener)
    member.until(lambda: bool(listener.has), "the assignment")
    producers = [clients.transactional("a"), clients.transactional("b")]
    for number in range(20):
        producer = producers[number % 2]
        producer.begin()
        producer.produce(destination, b"%d" % number)
        producer.send_offsets({partition: Committed(number + 1)}, member.consumer.group_metadata(), 30.0)
        producer.commit(30.0)
        assert member.consumer.committed([partition], 30.0) == {partition: Committed(number + 1)}
    assert clients.reader(destination).until_values(20) == [b"%d" % number for number in range(20)]
