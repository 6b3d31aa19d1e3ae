"""Groups: who has which partition, who hears of it when, and who may commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from headgate.ports.errors import LogError, StaleMember, TopicMissing
from headgate.ports.log import Committed, TopicPartition
from tests.conformance.log.clusters import Cluster, Member, Reading
from tests.conformance.log.conftest import Clients


def share(cluster: Cluster, members: Sequence[Reading], listeners: Sequence[Member], counts: Sequence[int]) -> None:
    """Poll all members in turn until each has so many partitions."""

    def shared() -> bool:
        for member in members:
            member.poll()
        return [len(listener.has) for listener in listeners] == list(counts)

    cluster.until(shared, f"the members have {list(counts)} partitions")


@pytest.mark.parametrize("assignor", ["range", "cooperative-sticky"])
def test_members_share_the_partitions_and_take_over_from_one_that_leaves(
    cluster: Cluster, clients: Clients, assignor: str
) -> None:
    topic = cluster.topic("source", partitions=4)
    listeners = [Member(), Member()]
    first = clients.member(topic, listeners[0], assignor=assignor)
    share(cluster, [first], listeners[:1], [4])
    second = clients.member(topic, listeners[1], assignor=assignor)
    share(cluster, [first, second], listeners, [2, 2])
    assert listeners[0].has.isdisjoint(listeners[1].has)
    assert set(first.consumer.assignment()) == listeners[0].has
    assert "lost" not in listeners[0].words()
    clients.close(first.consumer)
    assert listeners[0].has == set()
    assert listeners[0].words()[-1] == "revoked"
    share(cluster, [second], listeners[1:], [4])


@pytest.mark.parametrize("assignor", ["range", "cooperative-sticky"])
def test_a_partition_that_was_paused_when_it_went_away_is_read_when_it_comes_back(
    cluster: Cluster, clients: Clients, assignor: str
) -> None:
    topic = cluster.topic("source", partitions=2)
    listeners = [Member(starts={TopicPartition(topic, number): 0 for number in range(2)}) for _ in range(2)]
    first = clients.member(topic, listeners[0], assignor=assignor)
    share(cluster, [first], listeners[:1], [2])
    first.until_ends(2)
    first.consumer.pause(sorted(listeners[0].has))
    second = clients.member(topic, listeners[1], assignor=assignor)
    share(cluster, [first, second], listeners, [1, 1])
    first.consumer.resume(sorted(listeners[0].has))
    clients.close(second.consumer)
    share(cluster, [first], listeners[:1], [2])
    clients.write(topic, b"a", partition=0)
    clients.write(topic, b"b", partition=1)
    first.until(lambda: sorted(first.values()) == [b"a", b"b"], "both partitions are read")


def test_the_range_assignor_gives_the_same_numbers_of_two_topics_to_one_member(
    cluster: Cluster, clients: Clients
) -> None:
    topics = [cluster.topic("commands", partitions=3), cluster.topic("reports", partitions=3)]
    listeners = [Member(), Member()]
    members = []
    for listener in listeners:
        consumer = clients.keep(cluster.log().consumer(group=clients.group(), assignor="range"))
        consumer.subscribe(topics, listener)
        members.append(Reading(cluster, consumer))

    def shared() -> bool:
        for member in members:
            member.poll()
        return sorted(len(listener.has) for listener in listeners) == [2, 4]

    cluster.until(shared, "both members have partitions")
    for listener in listeners:
        numbers = [{each.partition for each in listener.has if each.topic == topic} for topic in topics]
        assert numbers[0] == numbers[1]


def test_a_member_can_still_commit_while_it_gives_partitions_up(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source", partitions=2)
    readings: list[Reading] = []

    def commit(partitions: Sequence[TopicPartition]) -> None:
        readings[0].consumer.commit({each: Committed(7, "handed over") for each in partitions}, 30.0)

    listeners = [Member(on_revoked=commit), Member()]
    readings.append(clients.member(topic, listeners[0], assignor="range"))
    share(cluster, readings, listeners[:1], [2])
    readings.append(clients.member(topic, listeners[1], assignor="range"))
    share(cluster, readings, listeners, [1, 1])
    given_up = [each for word, partitions in listeners[0].heard if word == "revoked" for each in partitions]
    assert listeners[1].has <= set(given_up)
    assert readings[1].consumer.committed(given_up, 30.0) == dict.fromkeys(given_up, Committed(7, "handed over"))


def test_a_listener_says_where_to_start(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source")
    clients.write(topic, b"a", b"b", b"c")
    member = clients.member(topic, Member(starts={TopicPartition(topic, 0): 2}))
    assert member.until_values(1) == [b"c"]


def test_what_a_listener_raises_comes_out_of_the_poll_and_nothing_is_delivered(
    cluster: Cluster, clients: Clients
) -> None:
    class NotReady(Exception):
        pass

    class Raises(Member):
        def assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
            raise NotReady

    topic = cluster.topic("source")
    clients.write(topic, b"a")
    consumer = clients.keep(clients.log.consumer(group=clients.group()))
    consumer.commit({TopicPartition(topic, 0): Committed(0)}, 30.0)
    consumer.subscribe([topic], Raises())
    member = Reading(cluster, consumer)
    with pytest.raises(NotReady):
        member.until(lambda: False, "an error")
    for _ in range(10):
        member.poll()
    assert member.records == []


def test_what_a_listener_raises_while_giving_up_comes_out_of_the_close(cluster: Cluster, clients: Clients) -> None:
    class NotDone(Exception):
        pass

    def fail(_: object) -> None:
        raise NotDone

    topic = cluster.topic("source")
    listener = Member(on_revoked=fail)
    member = clients.member(topic, listener)
    member.until(lambda: bool(listener.has), "the assignment")
    with pytest.raises(NotDone):
        clients.close(member.consumer)


def test_a_member_that_stays_away_loses_its_partitions_and_its_commits_are_refused(
    cluster: Cluster, clients: Clients
) -> None:
    topic = cluster.topic("source", partitions=2)
    listeners = [Member(), Member()]
    bounds = {"session_timeout_ms": 6_000, "max_poll_interval_ms": 6_000}
    absent = clients.member(topic, listeners[0], **bounds)
    share(cluster, [absent], listeners[:1], [2])
    held = set(listeners[0].has)
    heir = clients.member(topic, listeners[1], **bounds)
    share(cluster, [heir], listeners[1:], [2])
    with pytest.raises(StaleMember):
        absent.consumer.commit({TopicPartition(topic, 0): Committed(1)}, 30.0)

    def heard_of_it() -> bool:
        try:
            absent.consumer.poll(100, 0.05)
        except LogError as error:
            if not error.retriable:
                raise
        return not listeners[0].has

    cluster.until(heard_of_it, "the absent member hears that its partitions are gone")
    assert "lost" in listeners[0].words()
    gone = {each for word, partitions in listeners[0].heard if word != "assigned" for each in partitions}
    assert gone == held


def test_who_is_no_member_cannot_commit_for_a_group_that_has_some(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source")
    listener = Member()
    member = clients.member(topic, listener)
    member.until(lambda: bool(listener.has), "the assignment")
    stranger = clients.keep(clients.log.consumer(group=clients.group()))
    with pytest.raises(StaleMember):
        stranger.commit({TopicPartition(topic, 0): Committed(1)}, 30.0)


def test_a_subscription_to_a_topic_that_does_not_exist_is_an_error(cluster: Cluster, clients: Clients) -> None:
    if cluster.protocol == "consumer":
        pytest.skip("by KIP-848 the broker waits for such a topic and tells the member nothing")
    member = clients.member(f"{cluster.name}.missing", Member())
    with pytest.raises(TopicMissing):
        member.until(lambda: False, "an error")


def test_a_consumer_can_be_closed_twice_and_before_it_joined(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("source")
    consumer = clients.log.consumer(group=clients.group())
    consumer.subscribe([topic], Member())
    consumer.close()
    consumer.close()
