"""What goes wrong is shown, with its class: retried by itself, or stopped until somebody decides."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from headgate.destinations.discard import Discard, DiscardDestination
from headgate.ports.connectors import ConnectorUnavailable
from headgate.worker.process import Worker
from tests.integration.worker.conftest import Headgate, numbers
from tests.support.kafka import admin


class Weather:
    """A destination of the tests whose other side can be switched off."""

    def __init__(self) -> None:
        self.off = threading.Event()
        self.values: list[bytes] = []


def with_weather(weather: Weather) -> Any:
    class Storming(DiscardDestination):
        def __init__(self) -> None:
            self._written: list[bytes] = []

        def open(self) -> None:
            self._written = []

        def forward(self, records: Sequence[Any]) -> None:
            self._written += [record.value() for record in records]

        def commit(self, positions: Mapping[Any, Any], proof: Any) -> None:
            if weather.off.is_set():
                raise ConnectorUnavailable("The test's destination does not answer.")
            weather.values += self._written
            self._written = []

    class Kind(Discard):
        def destination(self, settings: Any, context: Any) -> Any:
            return Storming()

    def adjust(worker: Worker) -> None:
        worker.supervisor.means.destinations._loaded["weather"] = Kind()

    return adjust


def test_a_destination_that_does_not_answer_is_retried_until_it_does(headgate: Headgate) -> None:
    weather = Weather()
    source = headgate.source("source", 1)
    headgate.worker("a", with_weather(weather))
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "weather"},
        retry={"initial_s": 0.1, "max_s": 0.4},
    )
    weather.off.set()
    headgate.produce(source, 10, partitions=1)
    failed = headgate.until_status("orders", "FAILED")
    (error,) = failed.errors.values()
    assert (error.code, error.recoverable, error.worker) == ("connector.unavailable", True, "a")
    assert error.message == "The test's destination does not answer."
    headgate.until("orders", "counts its retries", lambda state: any(e.count >= 4 for e in state.errors.values()))

    headgate.done(headgate.commands.pause("orders"))
    draining = headgate.until("orders", "shows the error under the drain", lambda state: state.errors)
    assert draining.status == "DRAINING", "a drain that cannot write goes on retrying and is never FAILED"
    headgate.done(headgate.commands.cancel_drain("orders"))
    headgate.until_status("orders", "FAILED")
    weather.off.clear()
    running = headgate.until_status("orders", "RUNNING")
    assert not running.errors
    headgate.until("orders", "moved", lambda _: len(weather.values) >= 10)
    assert sorted(weather.values) == sorted(b"%d" % number for number in range(10))


def test_a_partition_that_appears_during_a_drain_is_drained_too(headgate: Headgate) -> None:
    weather = Weather()
    source = headgate.source("source", 1)
    headgate.worker("a", with_weather(weather))
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "weather"},
        retry={"initial_s": 0.1, "max_s": 0.4},
    )
    weather.off.set()
    headgate.produce(source, 10, partitions=1)
    headgate.until_status("orders", "FAILED")
    headgate.done(headgate.commands.pause("orders"))
    headgate.until("orders", "has listed its source", lambda state: state.drain and state.drain.listed)
    headgate.grow(source, 2)
    headgate.until("orders", "lists two partitions", lambda state: state.partitions == {source: 2})
    assert headgate.get("orders").status == "DRAINING"
    weather.off.clear()
    paused = headgate.until_status("orders", "PAUSED")
    assert paused.drain is not None
    # What was never committed is not read again for a drain: it waits for the resume.
    receipts = paused.drain.receipts[source]
    assert {number: (each.end, each.read) for number, each in receipts.items()} == {"0": (0, 0), "1": (0, 0)}
    headgate.done(headgate.commands.resume("orders"))
    headgate.until("orders", "moved", lambda _: len(weather.values) == 10)


def test_a_record_that_the_transform_cannot_bear_stops_the_stream_there_and_recover_skips_it(
    headgate: Headgate,
) -> None:
    source, destination = headgate.source("source", 1), headgate.source("destination", 1)
    headgate.produce(source, 100, partitions=1)
    headgate.worker("a")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": destination},
        transform={"function": "tests.integration.worker.transforms:stop_at", "settings": {"number": 42}},
    )
    failed = headgate.until_status("orders", "FAILED_PERMANENTLY")
    (error,) = failed.errors.values()
    assert (error.code, error.recoverable) == ("transform.failed", False)
    assert (error.topic, error.partition, error.offset) == (source, 0, 42)
    assert "ValueError: cannot bear 42" in error.message
    assert "Traceback" not in error.message
    assert numbers(headgate.until_moved(destination, 42)) == list(range(42)), "what came before it is written, once"

    headgate.done(
        headgate.commands.recover("orders", {"policy": "skip", "topic": source, "partition": "0", "records": 1})
    )
    assert numbers(headgate.until_moved(destination, 99)) == [number for number in range(100) if number != 42]


def test_a_transform_may_ask_for_a_retry(headgate: Headgate) -> None:
    source, destination = headgate.source("source", 1), headgate.source("destination", 1)
    headgate.produce(source, 1, partitions=1)
    headgate.worker("a")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": destination},
        transform={"function": "tests.integration.worker.transforms:not_now"},
        retry={"initial_s": 0.1, "max_s": 0.2},
    )
    failed = headgate.until_status("orders", "FAILED")
    assert {error.code for error in failed.errors.values()} == {"transform.retry_later"}


def test_positions_that_the_log_has_lost_fail_for_good_and_a_resume_says_how_many(headgate: Headgate) -> None:
    source, destination = headgate.source("source", 1), headgate.source("destination", 1)
    headgate.produce(source, 10, partitions=1)
    headgate.worker("a")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": destination},
    )
    headgate.until_moved(destination, 10)
    headgate.done(headgate.commands.pause("orders"))
    headgate.until_status("orders", "PAUSED")
    headgate.produce(source, 20, start=10, partitions=1)
    rehearsed = headgate.commands.resume("orders", {"policy": "earliest"}, dry_run=True).outcome(30)
    assert (rehearsed.outcome, rehearsed.dry_run) == ("accepted", True)
    assert rehearsed.message == (
        f"It would go on at {source}[0]: 0: 10 records would be read again, 0 would be skipped."
    )
    headgate.delete_records(source, 0, before=25)
    outcome = headgate.commands.resume("orders").outcome(30)
    assert (outcome.outcome, outcome.code, outcome.gap) == ("refused", "position.lost", 15)
    assert "`headgate resume orders --at earliest`" in outcome.hint
    assert headgate.get("orders").status == "PAUSED"
    accepted = headgate.commands.resume("orders", {"policy": "earliest"}).outcome(30)
    assert (accepted.outcome, accepted.message) == ("accepted", "0 records are read again, 15 are skipped.")
    assert numbers(headgate.until_moved(destination, 15)) == [*range(10), *range(25, 30)]


def test_a_paused_stream_says_how_long_is_left_until_its_source_drops_what_it_has_not_read(headgate: Headgate) -> None:
    source = headgate.topics.create("source", 1, {"retention.ms": str(24 * 3_600_000)})
    destination = headgate.source("destination", 1)
    headgate.worker("a", worker_position_check_s=0.3)
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": destination},
    )
    headgate.done(headgate.commands.pause("orders"))
    headgate.until_status("orders", "PAUSED")
    twenty_hours_ago_ms = int(time.time() * 1000) - 20 * 3_600_000
    producer = headgate.plain_producer()
    for number in range(50):
        producer.produce(source, b"%d" % number, partition=0, timestamp=twenty_hours_ago_ms)
    assert producer.flush(30) == 0
    at_risk = headgate.until("orders", "is at risk", lambda state: "position_at_risk" in state.conditions)
    held = at_risk.conditions["position_at_risk"]
    assert held.message == f"About 3 h until the source drops records that were not read: {source}[0]."

    headgate.delete_records(source, 0, before=30)
    lost = f"The source has dropped at least 20 records that were not read: {source}[0]."
    later = headgate.until(
        "orders", "says what is lost", lambda state: state.conditions["position_at_risk"].message == lost
    )
    assert later.conditions["position_at_risk"].since_ms == held.since_ms
    headgate.done(headgate.commands.resume("orders", {"policy": "earliest"}))
    assert not headgate.until_status("orders", "RUNNING").conditions


def test_a_definition_that_cannot_run_is_not_started_and_every_item_is_said(headgate: Headgate) -> None:
    headgate.worker("a")
    headgate.done(
        headgate.commands.create(
            "orders",
            {
                "source": {"kind": "kafka", "topic": "there-is-no-such-topic", "isolation": "read_comitted"},
                "destination": {"kind": "kafka", "topic": "nor-this-one", "partiton": "key"},
                "transform": {"function": "tests.integration.worker.transforms:needs_text"},
                "on_error": "skip",
            },
        )
    )
    headgate.done(headgate.commands.start("orders"))
    back = headgate.until("orders", "is not started", lambda state: state.status == "NOT_STARTED" and state.checks)
    failed = {check.name: check for check in back.checks if check.result == "failed"}
    assert set(failed) == {"source.settings", "destination.settings", "transform"}
    assert "partiton" in failed["destination.settings"].message
    assert "text is missing" in failed["transform"].message
    assert {check.name for check in back.checks if check.result == "not_executed"} >= {"source", "positions"}

    missing = {"source": {"kind": "kafka", "topic": "there-is-no-such-topic"}, "destination": {"kind": "mainframe"}}
    headgate.done(headgate.commands.modify("orders", missing))
    headgate.done(headgate.commands.start("orders"))
    back = headgate.until(
        "orders", "is not started", lambda state: state.status == "NOT_STARTED" and len(state.checks) < len(back.checks)
    )
    assert [check.code for check in back.checks if check.result == "failed"] == ["config.unknown_kind"]
    missing["destination"] = {"kind": "discard"}
    headgate.done(headgate.commands.modify("orders", missing))
    headgate.done(headgate.commands.start("orders"))
    back = headgate.until(
        "orders",
        "is not started for its source",
        lambda state: state.status == "NOT_STARTED" and "log.topic_missing" in [check.code for check in state.checks],
    )


def test_a_source_that_is_deleted_under_a_running_stream_fails_it_with_a_sentence(headgate: Headgate) -> None:
    source, destination = headgate.source("source", 2), headgate.source("destination", 2)
    headgate.produce(source, 10, partitions=2)
    headgate.worker("a")
    headgate.create_and_start("orders", source={"topic": source}, destination={"kind": "kafka", "topic": destination})
    headgate.until_moved(destination, 10)
    client = admin(headgate.servers)
    client.delete_topics([source])[source].result(30)
    failed = headgate.until_status("orders", "FAILED_PERMANENTLY", timeout_s=60)
    assert {error.recoverable for error in failed.errors.values()} == {False}
    assert {error.code for error in failed.errors.values()} <= {"source.gone", "log.topic_missing"}
    assert source in " ".join(error.message for error in failed.errors.values())
