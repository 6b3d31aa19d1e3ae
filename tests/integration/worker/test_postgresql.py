"""Streams into a real PostgreSQL: every record is a row once, whatever dies, and what does not fit is said."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.worker.conftest import WAIT_S, Headgate
from tests.support.eventually import eventually
from tests.support.kafka import Record, read_to_end
from tests.support.postgres import Database, LocalServer, database_on
from tests.support.processes import HeadgateProcess, Processes

PARTITIONS = 4
QUICK = {
    "HEADGATE_WORKER_HEARTBEAT_INTERVAL_MS": "300",
    "HEADGATE_WORKER_SESSION_TIMEOUT_MS": "6000",
    "HEADGATE_WORKER_SHUTDOWN_TIMEOUT_S": "15",
}


def connections_file(database: Database, folder: Path, password: str) -> Path:
    """Write the file of connections as an administrator does (JSON is YAML)."""
    path = folder / "connections.yaml"
    warehouse = {"kind": "postgresql", **database.connection, "password": password}
    path.write_text(json.dumps({"connections": {"warehouse": warehouse}}))
    return path


def numbered(source: str, **more: Any) -> dict[str, Any]:
    """Return a definition that writes numbers with where they stood."""
    columns = {"number": "$value", "p": "$partition", "o": "$offset"}
    destination = {"kind": "postgresql", "connection": "warehouse", "table": "orders", "fields": "none"}
    return {
        "source": {"kind": "kafka", "topic": source},
        "destination": {**destination, "columns": columns, **more.pop("destination", {})},
        "retry": {"initial_s": 0.1, "max_s": 0.5},
        **more,
    }


def make_table(database: Database) -> None:
    """Make a table that would keep a record twice, so that a repeat is seen."""
    database.run("CREATE TABLE orders (id bigserial PRIMARY KEY, number bigint NOT NULL, p int, o bigint)")


def until_rows(database: Database, count: int, timeout_s: float = WAIT_S) -> None:
    def look() -> bool:
        ((found,),) = database.run("SELECT count(*) FROM orders")
        assert found >= count, f"{found} of {count}"
        return True

    eventually(look, timeout_s, f"orders has {count} rows", every_s=0.1)


def each_once_and_in_order(database: Database, count: int) -> None:
    rows = database.run("SELECT number, p, o FROM orders ORDER BY id")
    assert sorted(number for number, _, _ in rows) == list(range(count))
    for partition in range(PARTITIONS):
        offsets = [offset for _, p, offset in rows if p == partition]
        assert offsets == sorted(offsets)


@pytest.fixture
def on_own(own_postgres: LocalServer) -> Iterator[tuple[LocalServer, Database]]:
    with database_on(own_postgres) as made:
        yield own_postgres, made


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_every_record_is_a_row_once_though_workers_connections_and_the_server_die(
    headgate: Headgate, processes: Processes, on_own: tuple[LocalServer, Database], tmp_path: Path
) -> None:
    server, database = on_own
    make_table(database)
    path = connections_file(database, tmp_path, "${env:WAREHOUSE_PASSWORD}")
    environment = {**QUICK, "HEADGATE_CONNECTIONS": str(path), "WAREHOUSE_PASSWORD": database.password}

    def start(name: str) -> HeadgateProcess:
        process = processes.start("worker", "--name", name, environment=environment)
        process.wait_for_output("worker.ready", WAIT_S)
        return process

    workers = {name: start(name) for name in ("a", "b")}
    source = headgate.source("source", PARTITIONS)
    headgate.create_and_start("orders", **numbered(source, parallelism=2))
    headgate.until("orders", "runs on both", lambda state: set(state.tasks) == {"a", "b"})
    sent = 0

    def send(count: int) -> None:
        nonlocal sent
        headgate.produce(source, count, start=sent, partitions=PARTITIONS)
        sent += count

    for _ in range(5):
        send(1_000)
        database.cut_connections()
    until_rows(database, sent, 60)

    send(2_000)
    workers["a"].kill()
    send(2_000)
    until_rows(database, sent, 60)
    workers["a"] = start("a")
    headgate.until("orders", "runs on both again", lambda state: set(state.tasks) == {"a", "b"})

    send(2_000)
    database.let_go()
    server.crash()
    send(2_000)
    server.start()
    until_rows(database, sent, 60)

    send(2_000)
    workers["b"].signal(signal.SIGSTOP)  # with rows in its hands, or in the middle of a commit
    send(2_000)
    until_rows(database, sent, 60)  # its heir has taken over
    workers["b"].signal(signal.SIGCONT)
    send(1_000)
    until_rows(database, sent, 60)

    headgate.until_status("orders", "RUNNING", 60)
    headgate.done(headgate.commands.pause("orders"))
    paused = headgate.until_status("orders", "PAUSED", 60)
    each_once_and_in_order(database, sent)
    assert paused.drain is not None
    receipts = paused.drain.receipts[source].values()
    assert sum(each.read for each in receipts) == sum(each.written for each in receipts) == sent
    positions = database.run("SELECT partition, position FROM headgate_positions ORDER BY partition")
    assert positions == [(partition, sent // PARTITIONS) for partition in range(PARTITIONS)]
    for name in ("a", "b"):
        workers[name].stop()
    for worker in processes.started:
        assert database.password not in worker.output()
    for topic in ("commands", "history", "state", "reports", "heartbeats"):
        assert not any(database.password.encode() in (each.value or b"") for each in all_of(headgate, topic)), topic


def all_of(headgate: Headgate, topic: str) -> list[Record]:
    return read_to_end(headgate.servers, f"{headgate.namespace}.{topic}")


def set_aside(headgate: Headgate) -> set[int]:
    """Return the numbers among the dead letters, which come at least once where the positions are the database's."""
    return {int(each.value or b"") for each in headgate.read(f"{headgate.namespace}.dead-letters.orders")}


def test_a_bad_row_becomes_a_dead_letter_and_the_others_arrive(
    headgate: Headgate, database: Database, tmp_path: Path
) -> None:
    make_table(database)
    database.run("ALTER TABLE orders ADD CHECK (number NOT IN (17, 42)), ADD UNIQUE (number)")
    source = headgate.source("source", PARTITIONS)
    headgate.produce(source, 200, partitions=PARTITIONS)
    headgate.produce(source, 4, start=100, partitions=PARTITIONS)  # numbers that are there already
    connections = str(connections_file(database, tmp_path, database.password))
    headgate.worker("a", connections=connections)
    headgate.create_and_start("orders", **numbered(source, on_error="dead_letter"))
    until_rows(database, 198)
    headgate.until("orders", "set the last one aside", lambda _: set_aside(headgate) >= {17, 42, 100, 101, 102, 103})
    headgate.until_status("orders", "RUNNING")
    assert set_aside(headgate) == {17, 42, 100, 101, 102, 103}
    assert database.run("SELECT count(*), count(DISTINCT number) FROM orders") == [(198, 198)]


def test_a_table_that_changes_stops_the_stream_until_somebody_mends_it_and_recovers(
    headgate: Headgate, database: Database, tmp_path: Path
) -> None:
    make_table(database)
    source = headgate.source("source", PARTITIONS)
    headgate.worker("a", connections=str(connections_file(database, tmp_path, database.password)))
    headgate.create_and_start("orders", **numbered(source))
    headgate.produce(source, 100, partitions=PARTITIONS)
    until_rows(database, 100)
    database.run("ALTER TABLE orders RENAME COLUMN o TO position")
    headgate.produce(source, 100, start=100, partitions=PARTITIONS)
    failed = headgate.until_status("orders", "FAILED_PERMANENTLY")
    (error,) = {(each.code, each.message) for each in failed.errors.values()}
    assert error[0] == "destination.schema_conflict"
    assert 'column "o" of relation "orders" does not exist' in error[1]
    database.run("ALTER TABLE orders RENAME COLUMN position TO o")
    headgate.done(headgate.commands.recover("orders"))
    headgate.until_status("orders", "RUNNING")
    until_rows(database, 200)
    each_once_and_in_order(database, 200)


def test_a_stream_whose_table_is_missing_does_not_start_and_says_what_is_missing(
    headgate: Headgate, database: Database, tmp_path: Path
) -> None:
    source = headgate.source("source", PARTITIONS)
    headgate.worker("a", connections=str(connections_file(database, tmp_path, database.password)))
    headgate.done(headgate.commands.create("orders", numbered(source)))
    headgate.done(headgate.commands.start("orders"))
    refused = headgate.until("orders", "is refused", lambda state: state.status == "NOT_STARTED" and any(state.checks))
    results = {check.name: (check.result, check.message) for check in refused.checks}
    assert results["destination.table"] == ("failed", "There is no table public.orders.")
    assert results["destination.connection"][0] == "passed"


def test_a_stream_that_was_deleted_and_created_anew_begins_where_it_is_told_to(
    headgate: Headgate, database: Database, tmp_path: Path
) -> None:
    make_table(database)
    source = headgate.source("source", PARTITIONS)
    headgate.produce(source, 100, partitions=PARTITIONS)
    headgate.worker("a", connections=str(connections_file(database, tmp_path, database.password)))
    for times in (1, 2):
        headgate.create_and_start("orders", **numbered(source))
        until_rows(database, 100 * times)
        headgate.done(headgate.commands.delete("orders"))
    assert database.run("SELECT count(*), count(DISTINCT number) FROM orders") == [(200, 100)]
    assert database.run("SELECT count(*) FROM headgate_positions") == [(PARTITIONS,)]
