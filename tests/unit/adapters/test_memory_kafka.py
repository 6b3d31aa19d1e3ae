"""What the in-memory cluster can do beyond what a test can make a real one do: processes, clocks, faults."""

from __future__ import annotations

import pytest

from headgate.adapters.clock import ManualClock
from headgate.adapters.memory import MemoryKafka, MemoryLog
from headgate.adapters.memory.faults import Call
from headgate.ports.errors import (
    LogFatal,
    LogUnavailable,
    PositionLost,
    ProducerFenced,
    StaleMember,
    TransactionInDoubt,
)
from headgate.ports.log import Committed, Log, TopicPartition, TransactionalProducer
from headgate_events.partitioner import murmur2, partition_of
from tests.conformance.log.clusters import Member

PARTITION = TopicPartition("source", 0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def kafka(clock: ManualClock) -> MemoryKafka:
    made = MemoryKafka(clock)
    made.create_topic("source", 2)
    return made


def writer(log: Log, name: str = "writer", timeout_ms: int = 20_000) -> TransactionalProducer:
    producer = log.transactional_producer(name, timeout_ms=timeout_ms)
    producer.init(1.0)
    return producer


def values(kafka: MemoryKafka) -> list[bytes | None]:
    return [record.value() for record in kafka.records("source")]


def joined(log: MemoryLog, listener: Member, **settings: int) -> object:
    consumer = log.consumer(group="group", **settings)
    consumer.subscribe(["source"], listener)
    consumer.poll(10, 0)
    return consumer


def test_the_hash_is_that_of_kafkas_java_clients() -> None:
    # From the tests of `org.apache.kafka.common.utils.Utils`, there as signed numbers.
    vectors = {
        b"21": -973932308,
        b"foobar": -790332482,
        b"a-little-bit-long-string": -985981536,
        b"a-little-bit-longer-string": -1486304829,
        b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
        b"abc": 479470107,
    }
    assert {key: murmur2(key) for key in vectors} == {key: hashed % 2**32 for key, hashed in vectors.items()}
    assert partition_of(b"", 7) == (murmur2(b"") & 0x7FFFFFFF) % 7


def test_a_killed_members_partitions_move_after_its_session_timeout(kafka: MemoryKafka, clock: ManualClock) -> None:
    first, second = kafka.log("first"), kafka.log("second")
    heard, heir_heard = Member(), Member()
    joined(first, heard, session_timeout_ms=6_000)
    assert len(heard.has) == 2
    first.process.kill()
    heir = second.consumer(group="group", session_timeout_ms=6_000)
    heir.subscribe(["source"], heir_heard)
    clock.advance(5.9)
    heir.poll(10, 0)
    assert heir_heard.has == set()
    clock.advance(0.2)
    heir.poll(10, 0)
    assert len(heir_heard.has) == 2
    assert heard.words() == ["assigned"]


def test_a_suspended_member_comes_back_to_nothing_and_its_commits_are_refused(
    kafka: MemoryKafka, clock: ManualClock
) -> None:
    sleeper = kafka.log("sleeper")
    heard = Member()
    consumer = sleeper.consumer(group="group", session_timeout_ms=6_000)
    consumer.subscribe(["source"], heard)
    consumer.poll(10, 0)
    proof = consumer.group_metadata()
    producer = writer(sleeper)
    producer.begin()
    sleeper.process.suspend()
    clock.advance(7)
    sleeper.process.resume()
    with pytest.raises(StaleMember):
        consumer.commit({PARTITION: Committed(1)}, 1.0)
    with pytest.raises(TransactionInDoubt):
        producer.send_offsets({PARTITION: Committed(1)}, proof, 1.0)
    consumer.poll(10, 0)
    assert heard.words() == ["assigned", "lost", "assigned"]


def test_a_killed_process_calls_nothing_any_more(kafka: MemoryKafka) -> None:
    log = kafka.log()
    consumer, producer = log.consumer(), writer(log)
    log.process.kill()
    with pytest.raises(LogFatal):
        consumer.poll(1, 0)
    with pytest.raises(LogFatal):
        producer.begin()


def test_an_open_transaction_ends_by_the_clock_and_its_producer_is_fenced(
    kafka: MemoryKafka, clock: ManualClock
) -> None:
    log = kafka.log()
    producer = writer(log, timeout_ms=5_000)
    producer.begin()
    producer.produce("source", b"open", partition=0)
    plain = log.producer()
    plain.produce("source", b"behind", partition=0)
    assert values(kafka) == []
    clock.advance(5)
    kafka.tick()
    assert values(kafka) == [b"behind"]
    with pytest.raises(ProducerFenced):
        producer.commit(1.0)


@pytest.mark.parametrize(("fault", "seen"), [("lost", []), ("applied", [b"a"])])
def test_a_commit_in_doubt_took_effect_or_not(kafka: MemoryKafka, fault: str, seen: list[bytes]) -> None:
    log = kafka.log()
    producer = writer(log)
    kafka.faults.fail_commit(fault, "writer")  # type: ignore[arg-type]
    producer.begin()
    producer.produce("source", b"a")
    with pytest.raises(TransactionInDoubt):
        producer.commit(1.0)
    writer(log)
    assert values(kafka) == seen


def test_a_late_commit_of_a_producer_that_nobody_has_fenced_takes_effect(kafka: MemoryKafka) -> None:
    kafka.faults.fail_commit("late")
    log = kafka.log()
    producer = writer(log)
    producer.begin()
    producer.produce("source", b"first", partition=0)
    with pytest.raises(TransactionInDoubt):
        producer.commit(1.0)
    assert values(kafka) == []
    kafka.deliver_late_commits()
    assert values(kafka) == [b"first"]


def test_a_late_commit_of_a_fenced_producer_does_nothing(kafka: MemoryKafka) -> None:
    kafka.faults.fail_commit("late")
    log = kafka.log()
    producer = writer(log)
    producer.begin()
    producer.produce("source", b"first", partition=0)
    with pytest.raises(TransactionInDoubt):
        producer.commit(1.0)
    heir = writer(log)
    heir.begin()
    heir.produce("source", b"second", partition=0)
    kafka.deliver_late_commits()
    assert values(kafka) == []
    heir.commit(1.0)
    assert values(kafka) == [b"second"]


def test_markers_can_be_held_back_until_the_next_transaction_waits_for_them(kafka: MemoryKafka) -> None:
    kafka.faults.hold_markers = True
    log = kafka.log()
    producer = writer(log)
    producer.begin()
    producer.produce("source", b"a", partition=0)
    producer.commit(1.0)
    assert values(kafka) == []
    producer.begin()
    producer.produce("source", b"b", partition=0)
    assert values(kafka) == [b"a"]
    producer.commit(1.0)
    kafka.write_markers()
    assert values(kafka) == [b"a", b"b"]


def test_an_unavailable_cluster_fails_calls_and_keeps_what_plain_producers_queued(kafka: MemoryKafka) -> None:
    log = kafka.log()
    consumer, producer = log.consumer(), log.producer()
    consumer.assign({PARTITION: 0})
    kafka.faults.unavailable = True
    producer.produce("source", b"a", partition=0)
    with pytest.raises(LogUnavailable):
        producer.flush(1.0)
    with pytest.raises(LogUnavailable):
        consumer.poll(1, 0)
    with pytest.raises(LogUnavailable):
        log.transactional_producer("id").init(1.0)
    kafka.faults.unavailable = False
    producer.poll()
    assert [record.value() for record in consumer.poll(10, 0).records] == [b"a"]


def test_a_test_may_fail_any_request_it_chooses(kafka: MemoryKafka) -> None:
    seen: list[Call] = []

    def interfere(call: Call) -> LogUnavailable | None:
        seen.append(call)
        return LogUnavailable("chosen") if call.operation == "committed" else None

    kafka.faults.interfere = interfere
    consumer = kafka.log("process").consumer(group="group")
    with pytest.raises(LogUnavailable, match="chosen"):
        consumer.committed([PARTITION], 1.0)
    assert seen == [Call("committed", "process", "group")]


def test_a_group_rebalances_when_its_topic_gets_partitions(kafka: MemoryKafka) -> None:
    heard = Member()
    consumer = kafka.log().consumer(group="group")
    consumer.subscribe(["source"], heard)
    consumer.poll(10, 0)
    kafka.add_partitions("source", 3)
    consumer.poll(10, 0)
    assert len(heard.has) == 3
    assert heard.words() == ["assigned", "revoked", "assigned"]


def test_sticky_members_keep_what_they_had(kafka: MemoryKafka) -> None:
    kafka.create_topic("wide", 6)
    heard = [Member() for _ in range(3)]
    consumers = []
    for listener in heard:
        consumer = kafka.log().consumer(group="group", assignor="cooperative-sticky")
        consumer.subscribe(["wide"], listener)
        consumers.append(consumer)
        before = [set(each.has) for each in heard]
        for _ in range(3):  # to hear of the rebalance, to give up, to be assigned
            for each in consumers:
                each.poll(10, 0)
        after = [each.has for each in heard]
        assert max(map(len, after[: len(consumers)])) - min(map(len, after[: len(consumers)])) <= 1
        assert all(now <= then for now, then in zip(after, before, strict=True) if then)


def test_no_partition_starves_when_polls_are_small(kafka: MemoryKafka) -> None:
    log = kafka.log()
    producer = log.producer()
    for number in range(2):
        for _ in range(10):
            producer.produce("source", b"x", partition=number)
    consumer = log.consumer()
    consumer.assign({TopicPartition("source", number): 0 for number in range(2)})
    seen = {record.partition() for _ in range(2) for record in consumer.poll(5, 0).records}
    assert seen == {0, 1}


def test_a_lost_position_is_raised_once_and_the_partition_stays_still(kafka: MemoryKafka) -> None:
    consumer = kafka.log().consumer()
    consumer.assign({PARTITION: 5})
    with pytest.raises(PositionLost):
        consumer.poll(1, 0)
    assert consumer.poll(1, 0).records == []


def test_the_same_calls_give_the_same_log() -> None:
    def run() -> list[tuple[int, int, bytes | None, int]]:
        made = MemoryKafka(ManualClock())
        made.create_topic("source", 3)
        log = made.log()
        producer = log.producer()
        for number in range(20):
            producer.produce("source", b"%d" % number, None if number % 3 else b"key")
        return [(r.partition(), r.offset(), r.value(), r.timestamp()[1]) for r in made.records("source")]

    assert run() == run()
