"""The rule of `TransactionalSession` on either cluster: after a doubt reopen and rewind, and nothing shows of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pytest

from headgate.ports.errors import TransactionInDoubt
from headgate.ports.log import Committed, Log, TopicPartition, TransactionalProducer
from headgate.session import TransactionalSession
from tests.conformance.log.clusters import Cluster, Member
from tests.conformance.log.conftest import Clients

Outcome = Literal["clean", "lost", "applied"]


class Doubtful:
    """A transactional producer some of whose commits end in doubt, with or without effect."""

    def __init__(self, inner: TransactionalProducer, outcomes: Iterator[Outcome]) -> None:
        self._inner = inner
        self._outcomes = outcomes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def commit(self, timeout_s: float) -> None:
        outcome = next(self._outcomes, "clean")
        if outcome != "lost":
            self._inner.commit(timeout_s)
        if outcome != "clean":
            raise TransactionInDoubt(f"This commit was {outcome}.")


class DoubtfulLog:
    """A log whose transactional producers are doubtful."""

    def __init__(self, inner: Log, outcomes: list[Outcome]) -> None:
        self._inner = inner
        self._outcomes = iter(outcomes)

    def transactional_producer(self, transactional_id: str, **settings: Any) -> Any:
        return Doubtful(self._inner.transactional_producer(transactional_id, **settings), self._outcomes)


def copy(
    cluster: Cluster, clients: Clients, session: TransactionalSession, source: str, destination: str, count: int
) -> int:
    """Copy `count` records, a few in each transaction; return how often the session had to be reopened."""
    partition = TopicPartition(source, 0)
    member = clients.member(source, Member())
    consumer = member.consumer
    session.open()
    reopened = 0
    position = 0

    def step() -> bool:
        nonlocal reopened, position
        records = consumer.poll(5, 0.05).records
        if not records:
            return False
        try:
            producer = session.begin()
            for record in records:
                producer.produce(destination, record.value())
            last = records[-1].offset()
            assert last is not None
            session.commit({partition: Committed(last + 1)}, consumer.group_metadata())
            position = last + 1
        except TransactionInDoubt:
            assert session.phase == "broken"
            session.open()
            reopened += 1
            committed: Mapping[TopicPartition, Committed] = consumer.committed([partition], 30.0)
            position = committed[partition].position if committed else 0
            consumer.seek({partition: position})
        return position >= count

    cluster.until(step, f"{count} records are copied")
    return reopened


@pytest.mark.parametrize("alternate", [False, True], ids=["one producer", "two in turns"])
def test_doubts_are_settled_without_loss_and_without_doubles(
    cluster: Cluster, clients: Clients, alternate: bool
) -> None:
    source, destination = cluster.topic("source"), cluster.topic("destination")
    values = [b"%d" % number for number in range(60)]
    clients.write(source, *values)
    outcomes: list[Outcome] = ["clean", "lost", "applied", "clean", "clean", "applied", "lost", "lost", "clean"]
    log: Any = DoubtfulLog(clients.log, outcomes)
    session = TransactionalSession(log, f"{cluster.name}.copier", alternate=alternate)
    assert copy(cluster, clients, session, source, destination, len(values)) == 5
    session.close()
    assert clients.reader(destination).until_values(60) == values


def test_an_abandoned_transaction_shows_nothing_once_the_session_is_reopened(
    cluster: Cluster, clients: Clients
) -> None:
    topic = cluster.topic("destination")
    session = TransactionalSession(clients.log, f"{cluster.name}.writer")
    session.open()
    session.begin().produce(topic, b"abandoned")
    session.abandon()
    session.open()
    session.begin().produce(topic, b"kept")
    session.commit({}, None)
    session.close()
    assert clients.reader(topic).until_values(1) == [b"kept"]


def test_the_heir_of_a_session_fences_it(cluster: Cluster, clients: Clients) -> None:
    topic = cluster.topic("destination")
    old = TransactionalSession(clients.log, f"{cluster.name}.writer", alternate=True)
    old.open()
    old.begin().produce(topic, b"old")
    heir = TransactionalSession(cluster.log(), f"{cluster.name}.writer", alternate=True)
    heir.open()
    heir.begin().produce(topic, b"new")
    heir.commit({}, None)
    with pytest.raises(TransactionInDoubt):
        old.commit({}, None)
    assert old.phase == "broken"
    heir.close()
    assert clients.reader(topic).until_values(1) == [b"new"]
