"""Positions and their fence: whoever was overtaken writes nothing, and nobody waits for ever for a worker that stopped.

What any destination has to hold is in the conformance suite; here is what is the database's own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from headgate.destinations.postgresql import session as sessions
from headgate.destinations.postgresql.destination import PostgresqlDestination
from headgate.destinations.postgresql.kind import Postgresql
from headgate.destinations.postgresql.session import Session
from headgate.ports.connectors import ConnectorUnavailable
from headgate.ports.destination import StaleOwner, Token, WriteInDoubt
from headgate.ports.log import Committed
from headgate.testing import Owner
from headgate_events.errors import HeadgateError
from tests.integration.postgresql.conftest import PARTITION, Stand, made


@pytest.fixture(autouse=True)
def table(stand: Stand) -> None:
    stand.run("CREATE TABLE orders (amount int)")


def amounts(stand: Stand) -> list[int]:
    return [amount for (amount,) in stand.run("SELECT amount FROM orders ORDER BY amount")]


def session_of(owner: Owner) -> Session:
    assert isinstance(owner.destination, PostgresqlDestination)
    return owner.destination._connected()


def test_two_owners_with_one_token_write_every_record_once(stand: Stand) -> None:
    token = Token(1, 3, 0)
    one, other = stand.begun(token=token), stand.begun(token=token, worker="worker-b")
    one.forward([made(0, {"amount": 0})])
    other.forward([made(0, {"amount": 0}), made(1, {"amount": 1})])
    other.commit()
    with pytest.raises(StaleOwner):
        one.commit()
    assert one.begin(PARTITION)[PARTITION].position == 2
    one.forward([made(2, {"amount": 2})])
    one.commit()
    assert amounts(stand) == [0, 1, 2]
    assert stand.run("SELECT position, epoch, claim, worker FROM headgate_positions") == [(3, 3, 0, "worker-a")]


def test_a_stream_that_was_created_anew_begins_without_a_position_and_fences_its_namesake(stand: Stand) -> None:
    old = stand.begun(incarnation=1)
    old.forward([made(0, {"amount": 0})])
    old.commit()
    new = stand.owner(incarnation=7)
    assert new.begin(PARTITION) == {}
    old.forward([made(1, {"amount": 1})])
    with pytest.raises(StaleOwner):
        old.commit()
    with pytest.raises(StaleOwner):
        old.begin(PARTITION)
    new.forward([made(0, {"amount": 100})])
    new.commit()
    assert amounts(stand) == [0, 100]


def test_a_position_that_somebody_removed_or_changed_stops_the_commit(stand: Stand) -> None:
    for change in ("DELETE FROM headgate_positions", "UPDATE headgate_positions SET position = 77"):
        owner = stand.begun()
        owner.forward([made(0, {"amount": 0})])
        stand.run(change)
        with pytest.raises(StaleOwner):
            owner.commit()
    assert amounts(stand) == []


def test_positions_of_partitions_that_were_not_claimed_are_not_committed(stand: Stand) -> None:
    owner = stand.owner()
    owner.destination.open()
    owner.forward([made(0, {"amount": 0})])
    with pytest.raises(StaleOwner):
        owner.commit()
    assert amounts(stand) == []


def test_a_position_may_go_back_when_a_person_says_so(stand: Stand) -> None:
    owner = stand.begun()
    owner.forward([made(5, {"amount": 0})])
    owner.commit()
    owner.commit({PARTITION: Committed(2, "recovered")})
    assert owner.begin(PARTITION) == {PARTITION: Committed(2, "recovered")}


def test_a_forced_stop_fences_whoever_still_has_rows_in_hand_and_no_later_owner(stand: Stand) -> None:
    kind, later = Postgresql(), PARTITION._replace(partition=1)
    kind.fence(stand.settings(), stand.context(), {PARTITION: Token(1, 4, 0)})  # nothing is there yet
    straggler, other = stand.begun(token=Token(1, 3, 7)), stand.owner(token=Token(1, 9, 1))
    other.begin(later)
    straggler.forward([made(0, {"amount": 0})])
    stand.run("ALTER TABLE orders RENAME TO mistaken")
    kind.fence(stand.settings(), stand.context(), {PARTITION: Token(1, 4, 0), later: Token(1, 4, 0)})
    stand.run("ALTER TABLE mistaken RENAME TO orders")
    with pytest.raises(StaleOwner):
        straggler.commit()
    with pytest.raises(StaleOwner):
        straggler.begin(PARTITION)
    other.forward([made(0, {"amount": 1}, partition=1)])
    other.commit()
    assert amounts(stand) == [1]


@pytest.mark.parametrize("takes_effect", [True, False])
def test_a_connection_that_breaks_while_a_commit_is_answered_leaves_a_doubt_that_the_positions_settle(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, takes_effect: bool
) -> None:
    owner = stand.begun()
    owner.forward([made(0, {"amount": 0})])
    real = Session.commit

    def commit(session: Session) -> bool:
        if takes_effect:
            assert real(session)
        assert stand.database.cut_connections() == 1
        return real(session)

    with monkeypatch.context() as broken:
        broken.setattr(Session, "commit", commit)
        with pytest.raises(WriteInDoubt, match="broke while a commit was answered"):
            owner.commit()
    stands = owner.begin(PARTITION)
    assert (stands == {PARTITION: Committed(1, "run=1 by 1")}) is takes_effect
    if not takes_effect:
        owner.forward([made(0, {"amount": 0})])
        owner.commit()
    assert amounts(stand) == [0]


@pytest.mark.parametrize("settings", [{}, {"mode": "upsert", "keys": ["id"]}])
def test_a_connection_that_was_cut_while_nothing_went_on_is_made_again_without_an_error(
    stand: Stand, settings: dict[str, Any]
) -> None:
    stand.run("ALTER TABLE orders ADD id int PRIMARY KEY")
    owner = stand.begun(**settings)
    for offset in range(3):
        owner.forward([made(offset, {"amount": offset, "id": offset})])
        assert stand.database.cut_connections() == 1
        owner.commit()
    assert stand.database.cut_connections() == 1
    owner.take_on(PARTITION)
    assert amounts(stand) == [0, 1, 2]


def test_a_connection_that_is_cut_before_the_commit_is_no_doubt_and_nothing_was_written(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = stand.begun()
    owner.forward([made(0, {"amount": 0})])
    real = Session.copy

    def copy(session: Session, *arguments: Any) -> None:
        real(session, *arguments)
        stand.database.cut_connections()

    monkeypatch.setattr(Session, "copy", copy)
    with pytest.raises(ConnectorUnavailable):
        owner.commit()
    assert owner.begin(PARTITION) == {}
    assert amounts(stand) == []


def holding(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, at: str, first: str = "SELECT 1"
) -> tuple[Owner, Callable[[], Exception | None]]:
    """Return an owner that stands still in the middle of a commit, and what lets it go on and tells how it ended.

    It runs the statement `first` before it stands still.
    """
    owner = stand.begun()
    owner.forward([made(0, {"amount": 0})])
    own, real = session_of(owner), getattr(Session, at)
    reached, released = threading.Event(), threading.Event()
    ended: list[Exception | None] = []

    def stop(session: Session, *arguments: Any) -> Any:
        if session is own:
            session.run(first)
            reached.set()
            assert released.wait(60.0)
        return real(session, *arguments)

    monkeypatch.setattr(Session, at, stop)

    def commit() -> None:
        try:
            owner.commit()
        except HeadgateError as error:
            ended.append(error)
        else:
            ended.append(None)

    thread = threading.Thread(target=commit)
    thread.start()
    assert reached.wait(30.0)

    def go_on() -> Exception | None:
        released.set()
        thread.join(60.0)
        return ended[0]

    return owner, go_on


def test_an_heir_waits_for_a_commit_that_is_under_way_and_begins_behind_it(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, go_on = holding(stand, monkeypatch, "commit")
    heir = stand.owner(worker="worker-b")
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(heir.begin(PARTITION)))
    thread.start()
    thread.join(0.5)
    assert thread.is_alive(), "the heir waits until it is known how the commit ends"
    assert go_on() is None
    thread.join(60.0)
    assert found[0][PARTITION].position == 1
    assert amounts(stand) == [0]


def test_a_worker_that_stopped_between_its_positions_and_its_commit_is_ended_by_the_server(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, go_on = holding(stand, monkeypatch, "commit", "SET idle_in_transaction_session_timeout = 300")
    heir = stand.owner(worker="worker-b")
    assert heir.begin(PARTITION) == {}
    heir.forward([made(0, {"amount": 0})])
    heir.commit()
    assert isinstance(go_on(), WriteInDoubt)
    assert amounts(stand) == [0]


def test_whoever_is_kept_waiting_by_a_copy_of_a_stopped_worker_ends_it(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.run("ALTER TABLE orders ADD UNIQUE (amount)")
    monkeypatch.setattr(sessions, "_SET_UP", sessions._SET_UP.replace("15000", "300"))
    monkeypatch.setattr(sessions, "STUCK_S", 0.1)
    info = psycopg.conninfo.make_conninfo(
        **{("dbname" if name == "database" else name): value for name, value in stand.connection.items()},
        application_name="headgate/stopped",
    )
    with psycopg.connect(info) as stopped, stopped.cursor() as cursor:
        cursor.execute("INSERT INTO orders VALUES (0)")
        owner = stand.begun()
        owner.forward([made(0, {"amount": 0})])
        with pytest.raises(ConnectorUnavailable, match="lock"):
            owner.commit()
        owner.begin(PARTITION)
        owner.forward([made(0, {"amount": 0})])
        owner.commit()
        with pytest.raises(psycopg.OperationalError):
            stopped.commit()
    assert amounts(stand) == [0]


def test_workers_that_open_at_once_create_the_tables_once(stand: Stand) -> None:
    owners = [
        stand.owner(worker=f"w{number}", table="fresh", create=True, columns={"amount": {"type": "bigint"}})
        for number in range(6)
    ]
    errors: list[Exception] = []

    def open_one(owner: Owner) -> None:
        try:
            owner.destination.open()
        except HeadgateError as error:
            errors.append(error)

    threads = [threading.Thread(target=open_one, args=(owner,)) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert errors == []
    owners[0].take_on(PARTITION)
    owners[0].forward([made(0, {"amount": 1})])
    owners[0].commit()
    assert stand.run("SELECT amount FROM fresh") == [(1,)]
