"""Positions: committed ones with their text, lost ones, seeking, pausing, times, compaction."""

from __future__ import annotations

import pytest

from headgate.ports.errors import PositionLost
from headgate.ports.log import Committed, TopicPartition
from tests.conformance.log.clusters import Cluster, Member
from tests.conformance.log.conftest import Clients


def test_a_committed_position_comes_back_with_its_text(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source", partitions=3)
    first, second, third = (TopicPartition(topic, number) for number in range(3))
    consumer = clients.keep(clients.log.consumer(group=clients.group()))
    assert consumer.committed([first, second, third], 30.0) == {}
    consumer.commit({first: Committed(3, "three → 3"), second: Committed(0)}, 30.0)
    other = clients.keep(cluster.log().consumer(group=clients.group()))
    expected = {first: Committed(3, "three → 3"), second: Committed(0, "")}
    assert other.committed([first, second, third], 30.0) == expected


def test_groups_have_positions_of_their_own(cluster: Cluster, clients: Clients) -> None:
    partition = TopicPartition(cluster.topic("source"), 0)
    one = clients.keep(clients.log.consumer(group=clients.group("one")))
    other = clients.keep(clients.log.consumer(group=clients.group("other")))
    one.commit({partition: Committed(3)}, 30.0)
    assert other.committed([partition], 30.0) == {}


@pytest.mark.parametrize("start", [0, 2])
def test_a_position_before_the_start_is_lost(cluster: Cluster, clients: Clients, start: int) -> None:
    topic = cluster.topic("source")
    partition = TopicPartition(topic, 0)
    clients.write(topic, *[b"%d" % number for number in range(10)])
    cluster.delete_records({partition: 6})
    reading = clients.reader(topic, start=start)
    with pytest.raises(PositionLost) as caught:
        reading.until(lambda: False, "an error")
    assert (caught.value.topic, caught.value.partition, caught.value.position) == (topic, 0, start)
    assert reading.records == []
    assert reading.consumer.range(partition, 30.0).start == 6
    reading.consumer.seek({partition: 6})
    assert reading.until_values(4) == [b"6", b"7", b"8", b"9"]


@pytest.mark.parametrize("assignor", ["range", "cooperative-sticky"])
def test_a_member_goes_on_from_a_seek_after_it_lost_its_position(
    cluster: Cluster, clients: Clients, assignor: str
) -> None:
    topic = cluster.topic("source", partitions=2)
    lost, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
    clients.write(topic, b"a", b"b", partition=0)
    clients.write(topic, b"x", b"y", partition=1)
    member = clients.member(topic, Member(starts={lost: 50, other: 2}), assignor=assignor)
    with pytest.raises(PositionLost):
        member.until(lambda: False, "an error")
    member.consumer.seek({lost: 1})
    assert member.until_values(1) == [b"b"]
    clients.write(topic, b"z", partition=1)
    assert member.until_values(2) == [b"b", b"z"]


def test_a_position_behind_the_end_is_lost(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source")
    clients.write(topic, b"a")
    reading = clients.reader(topic, start=50)
    with pytest.raises(PositionLost):
        reading.until(lambda: False, "an error")


def test_the_loss_of_one_position_does_not_hold_up_other_partitions(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source", partitions=2)
    clients.write(topic, b"a", b"b", partition=1)
    consumer = clients.keep(clients.log.consumer())
    consumer.assign({TopicPartition(topic, 0): 50, TopicPartition(topic, 1): 0})
    seen: list[bytes] = []
    lost: list[int] = []

    def both() -> bool:
        try:
            seen.extend(record.value() for record in consumer.poll(100, 0.05).records)
        except PositionLost as error:
            lost.append(error.partition)
        return len(seen) == 2 and bool(lost)

    cluster.until(both, "the records of one partition and the loss of the other")
    assert seen == [b"a", b"b"]
    assert lost == [0]


def test_after_a_seek_nothing_from_before_is_delivered(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source", partitions=2)
    partition = TopicPartition(topic, 0)
    clients.write(topic, *[b"%d" % number for number in range(1_000)])
    consumer = clients.keep(clients.log.consumer())
    consumer.assign({partition: 0, TopicPartition(topic, 1): 0})
    for target in (700, 10, 999, 0, 500):
        seen: list[int | None] = []

        def some() -> bool:
            seen.extend(record.offset() for record in consumer.poll(50, 0.05).records)  # noqa: B023
            return bool(seen)  # noqa: B023

        cluster.until(some, "records")
        consumer.seek({partition: target})
        seen.clear()
        cluster.until(some, "records after the seek")
        assert seen == list(range(target, target + len(seen)))
        consumer.seek({partition: 0})


def test_a_seek_right_after_the_assignment_holds(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source")
    clients.write(topic, *[b"%d" % number for number in range(10)])
    reading = clients.reader(topic)
    reading.consumer.seek({TopicPartition(topic, 0): 8})
    assert reading.until_values(2) == [b"8", b"9"]


def test_a_paused_partition_delivers_nothing_and_loses_nothing(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source", partitions=2)
    paused, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
    clients.write(topic, *[b"%d" % number for number in range(100)], partition=0)
    consumer = clients.keep(clients.log.consumer())
    consumer.assign({paused: 0, other: 0})
    seen: list[int | None] = []

    def read_until(count: int, partition: int) -> None:
        def there() -> bool:
            batch = consumer.poll(10, 0.05)
            assert {record.partition() for record in batch.records} <= {partition}
            seen.extend(record.offset() for record in batch.records)
            return len(seen) >= count

        cluster.until(there, f"{count} records of partition {partition}")

    read_until(10, 0)
    consumer.pause([paused])
    before = list(seen)
    clients.write(topic, b"x", b"y", partition=1)
    seen.clear()
    read_until(2, 1)
    seen[:] = before
    consumer.resume([paused])
    read_until(100, 0)
    assert seen == list(range(100))


def test_an_offset_is_found_by_its_time(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source", partitions=2)
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    base_ms = cluster.now_ms() - 100_000
    producer = clients.log.producer()
    for number in range(5):
        producer.produce(topic, b"%d" % number, partition=0, timestamp_ms=base_ms + 1_000 * number)
        producer.flush(30.0)
    producer.close()
    consumer = clients.keep(clients.log.consumer())
    assert consumer.at_time([first, second], base_ms + 2_000, 30.0) == {first: 2, second: 0}
    assert consumer.at_time([first], base_ms + 2_001, 30.0) == {first: 3}
    assert consumer.at_time([first], base_ms + 60_000, 30.0) == {first: 5}
    assert consumer.at_time([first], 0, 30.0) == {first: 0}


def test_an_assigned_partition_without_a_committed_position_is_an_error_not_a_guess(
    cluster: Cluster, clients: Clients
) -> None:
    class NoStarts(Member):
        def assigned(self, partitions: object) -> dict[TopicPartition, int]:
            return {}

    topic = cluster.topic("source")
    clients.write(topic, b"a")
    member = clients.member(topic, NoStarts())
    with pytest.raises(PositionLost) as caught:
        member.until(lambda: False, "an error")
    assert caught.value.position is None


def test_an_assigned_partition_starts_at_its_committed_position(cluster: Cluster, clients: Clients) -> None:
    class NoStarts(Member):
        def assigned(self, partitions: object) -> dict[TopicPartition, int]:
            return {}

    topic = cluster.topic("source")
    clients.write(topic, b"a", b"b", b"c")
    consumer = clients.log.consumer(group=clients.group())
    consumer.commit({TopicPartition(topic, 0): Committed(1)}, 30.0)
    consumer.close()
    assert clients.member(topic, NoStarts()).until_values(2) == [b"b", b"c"]


def test_a_committed_position_waits_for_the_transaction_that_moves_it(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source")
    partition = TopicPartition(topic, 0)
    listener = Member()
    member = clients.member(topic, listener)
    member.until(lambda: bool(listener.has), "the assignment")
    member.consumer.commit({partition: Committed(1)}, 30.0)
    producer = clients.transactional()
    producer.begin()
    producer.send_offsets({partition: Committed(2)}, member.consumer.group_metadata(), 30.0)
    from headgate.ports.errors import LogUnavailable

    with pytest.raises(LogUnavailable):
        member.consumer.committed([partition], 1.0)
    producer.commit(30.0)
    assert member.consumer.committed([partition], 30.0) == {partition: Committed(2)}


def test_compaction_keeps_the_last_record_of_a_key_and_its_offset(cluster: Cluster, clients: Clients) -> None:
    if cluster.memory is None:
        pytest.skip("a broker's cleaner comes when it likes, and leaves the active segment alone")
    topic = cluster.topic("table", config={"cleanup.policy": "compact"})
    producer = clients.log.producer()
    for key, value in ((b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"b", None), (b"c", b"4")):
        producer.produce(topic, value, key)
    producer.flush(30.0)
    cluster.memory.compact(topic)
    reading = clients.reader(topic)
    reading.until_ends(1)
    assert [(record.offset(), record.key(), record.value()) for record in reading.records] == [
        (2, b"a", b"3"),
        (3, b"b", None),
        (4, b"c", b"4"),
    ]
    cluster.memory.compact(topic, drop_tombstones=True)
    again = clients.reader(topic, start=1)
    assert again.until_ends(1) == {TopicPartition(topic, 0): 5}
    assert again.offsets() == [2, 4]
