"""`TransactionalSession` by itself, against producers that note what is asked of them."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.ports.errors import LogError, LogUnavailable, ProducerFenced, RecordTooLarge, TransactionInDoubt
from headgate.ports.log import Committed, TopicPartition
from headgate.session import TransactionalSession

POSITIONS = {TopicPartition("source", 0): Committed(7)}


class Producer:
    """Notes its calls in the log's list; fails where the log says so."""

    def __init__(self, log: Log, name: str) -> None:
        self._log = log
        self._name = name

    def _call(self, call: str) -> None:
        self._log.calls.append(f"{call} {self._name}")
        error = self._log.errors.pop(call, None)
        if error is not None:
            raise error

    def init(self, timeout_s: float) -> None:
        self._call("init")

    def begin(self) -> None:
        self._call("begin")

    def send_offsets(self, positions: Any, group_metadata: Any, timeout_s: float) -> None:
        assert positions
        self._call("offsets")

    def commit(self, timeout_s: float) -> None:
        self._call("commit")

    def drop(self) -> None:
        self._call("drop")


class Log:
    """Makes producers. `errors` are raised by the next call of that name."""

    def __init__(self, **errors: LogError) -> None:
        self.calls: list[str] = []
        self.errors: dict[str, LogError] = dict(errors)

    def transactional_producer(self, transactional_id: str, **settings: Any) -> Any:
        self.calls.append(f"make {transactional_id}")
        return Producer(self, transactional_id)


def opened(log: Any, alternate: bool = False) -> TransactionalSession:
    session = TransactionalSession(log, "id", alternate=alternate)
    session.open()
    log.calls.clear()
    return session


def test_a_transaction_begins_takes_positions_and_commits() -> None:
    log = Log()
    session = opened(log)
    session.begin()
    session.commit(POSITIONS, None)
    assert log.calls == ["begin id", "offsets id", "commit id"]
    assert session.phase == "ready"


def test_without_positions_only_the_records_are_committed() -> None:
    log = Log()
    session = opened(log)
    session.begin()
    session.commit({}, None)
    assert log.calls == ["begin id", "commit id"]


def test_two_producers_take_turns_and_begin_anew_after_a_doubt() -> None:
    log = Log()
    session = opened(log, alternate=True)
    for _ in range(3):
        session.begin()
        session.commit({}, None)
    assert [call for call in log.calls if call.startswith("begin")] == ["begin id-a", "begin id-b", "begin id-a"]
    log.errors["commit"] = TransactionInDoubt("lost")
    session.begin()
    with pytest.raises(TransactionInDoubt):
        session.commit({}, None)
    assert log.calls[-2:] == ["drop id-a", "drop id-b"]
    log.calls.clear()
    session.open()
    assert log.calls == ["make id-a", "init id-a", "make id-b", "init id-b"]


@pytest.mark.parametrize("call", ["begin", "offsets", "commit"])
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (TransactionInDoubt("unknown"), TransactionInDoubt),
        (ProducerFenced("fenced"), ProducerFenced),
        (LogUnavailable("away"), TransactionInDoubt),
        (RecordTooLarge("large"), RecordTooLarge),
    ],
)
def test_whatever_is_not_a_clean_success_breaks_the_session_and_drops_its_producers(
    call: str, error: LogError, raised: type[LogError]
) -> None:
    log = Log()
    session = opened(log)
    log.errors[call] = error

    def transaction() -> None:
        session.begin()
        session.commit(POSITIONS, None)

    with pytest.raises(raised):
        transaction()
    assert session.phase == "broken"
    assert log.calls[-1] == "drop id"
    assert "abort" not in " ".join(log.calls)


def test_an_open_that_fails_leaves_nothing_behind_and_can_be_repeated() -> None:
    log: Any = Log(init=LogUnavailable("away"))
    session = TransactionalSession(log, "id", alternate=True)
    with pytest.raises(LogUnavailable):
        session.open()
    assert session.phase == "broken"
    assert log.calls == ["make id-a", "init id-a", "drop id-a"]
    session.open()
    assert session.phase == "ready"


def test_a_broken_session_does_not_begin() -> None:
    session = opened(Log())
    session.begin()
    session.abandon()
    assert session.phase == "broken"
    with pytest.raises(AssertionError):
        session.begin()


def test_abandoning_between_transactions_changes_nothing() -> None:
    log = Log()
    session = opened(log)
    session.abandon()
    assert (session.phase, log.calls) == ("ready", [])


def test_closing_drops_the_producers() -> None:
    log = Log()
    session = opened(log, alternate=True)
    session.close()
    assert (session.phase, log.calls) == ("closed", ["drop id-a", "drop id-b"])
