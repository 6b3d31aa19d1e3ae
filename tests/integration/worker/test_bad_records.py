"""Records that cannot be processed: set aside, or in the way of their own partition and of nothing else."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from headgate.core.receipts import BEGINNING, chain
from headgate.destinations.discard import Discard, DiscardDestination
from headgate.ports.destination import RecordRefused
from headgate.worker.process import Worker
from headgate_events.dead_letters import read_dead_letter
from tests.integration.worker.conftest import Headgate, numbers
from tests.support.kafka import Record

BEAR = "tests.integration.worker.transforms:bear_unless"


class Stored:
    """A record as the suite's own reader found it, in the shape in which clients hand records over."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def key(self) -> bytes | None:
        return self._record.key

    def value(self) -> bytes | None:
        return self._record.value

    def headers(self) -> list[tuple[str, bytes | None]]:
        return list(self._record.headers)

    def offset(self) -> int:
        return self._record.offset


def definition(source: str, destination: str, settings: dict[str, Any], **more: Any) -> dict[str, Any]:
    function = more.pop("function", BEAR)
    return {
        "source": {"kind": "kafka", "topic": source},
        "destination": {"kind": "kafka", "topic": destination, "partition": "source"},
        "transform": {"function": function, "settings": settings},
        "retry": {"initial_s": 0.1, "max_s": 0.3},
        **more,
    }


@pytest.mark.parametrize("function", [BEAR, "tests.integration.worker.transforms:bear_all"])
@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_dead_letters_are_the_records_as_they_were_and_say_where_from_and_why(
    headgate: Headgate, function: str, delivery: str
) -> None:
    source, destination = headgate.source("source", 2), headgate.source("destination", 2)
    headgate.produce(source, 100, partitions=2)
    headgate.worker("a")
    config = definition(
        source, destination, {"bad": [7, 42, 43]}, on_error="dead_letter", function=function, delivery=delivery
    )
    headgate.create_and_start("orders", **config)
    assert sorted(numbers(headgate.until_moved(destination, 97))) == [n for n in range(100) if n not in {7, 42, 43}]
    headgate.done(headgate.commands.pause("orders"))
    paused = headgate.until_status("orders", "PAUSED")
    letters = headgate.until_moved(f"{headgate.namespace}.dead-letters.orders", 3)
    assert sorted(numbers(letters)) == [7, 42, 43]
    originals = {record.value: record for record in headgate.read(source)}
    for letter in letters:
        said = read_dead_letter(Stored(letter))  # type: ignore[arg-type]
        original = originals[letter.value]
        assert (said.topic, said.partition, said.offset) == (source, original.partition, original.offset)
        assert (letter.key, said.timestamp_ms) == (original.key, original.timestamp_ms)
        assert (said.code, said.attempt, said.stream, said.revision) == ("transform.failed", 1, "orders", 1)
        assert said.incarnation == paused.incarnation
        assert "cannot bear" in said.message
    assert paused.drain is not None
    receipts = paused.drain.receipts[source].values()
    assert [sum(getattr(each, name) for each in receipts) for name in ("read", "written", "set_aside")] == [100, 97, 3]


def test_skipped_records_are_passed_over_and_counted(headgate: Headgate) -> None:
    source, destination = headgate.source("source", 1), headgate.source("destination", 1)
    headgate.produce(source, 50, partitions=1)
    headgate.worker("a")
    headgate.create_and_start("orders", **definition(source, destination, {"bad": [0, 49]}, on_error="skip"))
    assert numbers(headgate.until_moved(destination, 48)) == list(range(1, 49))
    headgate.done(headgate.commands.pause("orders"))
    paused = headgate.until_status("orders", "PAUSED")
    assert paused.drain is not None
    receipt = paused.drain.receipts[source]["0"]
    assert (receipt.read, receipt.written, receipt.set_aside, receipt.end) == (50, 48, 2, 50)


def test_too_many_of_them_stop_the_stream_all_the_same(headgate: Headgate) -> None:
    source, destination = headgate.source("source", 1), headgate.source("destination", 1)
    headgate.produce(source, 20, partitions=1)
    headgate.worker("a")
    config = definition(
        source, destination, {"bad": [3, 4, 5]}, on_error="skip", error_limit={"errors": 2, "records": 100}
    )
    headgate.create_and_start("orders", **config)
    failed = headgate.until_status("orders", "FAILED_PERMANENTLY")
    (error,) = failed.errors.values()
    assert (error.code, error.partition, failed.carries_on) == ("record.too_many_errors", None, False)
    assert "More than 2 of the last 100 records" in error.message
    assert numbers(headgate.until_moved(destination, 3)) == [0, 1, 2]


def test_a_partition_that_fails_does_not_stop_the_others_and_recover_skips_it(headgate: Headgate) -> None:
    source, destination = headgate.source("source", 3), headgate.source("destination", 3)
    headgate.produce(source, 30, partitions=3)
    headgate.worker("a")
    headgate.create_and_start("orders", **definition(source, destination, {"bad": [4]}))
    failed = headgate.until_status("orders", "FAILED_PERMANENTLY")
    (error,) = failed.errors.values()
    assert (error.topic, error.partition, error.offset, error.recoverable) == (source, 1, 1, False)
    headgate.produce(source, 30, start=30, partitions=3)
    moved = numbers(headgate.until_moved(destination, 41))
    assert sorted(moved) == [number for number in range(60) if number % 3 != 1 or number < 4]
    headgate.stop_worker("a")
    headgate.worker("b")  # an heir does not try again what waits for a person
    headgate.produce(source, 3, start=60, partitions=3)
    headgate.until_moved(destination, 43)
    assert headgate.get("orders").status == "FAILED_PERMANENTLY"

    skip = {"policy": "skip", "topic": source, "partition": "1", "records": 1}
    headgate.done(headgate.commands.recover("orders", skip))
    moved = numbers(headgate.until_moved(destination, 62))
    assert sorted(moved) == [number for number in range(63) if number != 4], "once each, and the others not again"
    assert headgate.until_status("orders", "RUNNING").errors == {}


def test_isolate_stream_stops_everything(headgate: Headgate) -> None:
    source, destination = headgate.source("source", 3), headgate.source("destination", 3)
    headgate.produce(source, 30, partitions=3)
    headgate.worker("a")
    headgate.create_and_start("orders", **definition(source, destination, {"bad": [4]}, isolate="stream"))
    failed = headgate.until_status("orders", "FAILED_PERMANENTLY")
    assert (failed.carries_on, failed.tasks) == (False, {})
    (error,) = failed.errors.values()
    assert (error.partition, error.offset) == (1, 1)


def test_a_partition_whose_record_meets_a_passing_error_is_retried_while_the_others_move(
    headgate: Headgate, tmp_path: Path
) -> None:
    source, destination = headgate.source("source", 2), headgate.source("destination", 2)
    headgate.produce(source, 20, partitions=2)
    headgate.worker("a")
    settings = {"later": [6], "until": str(tmp_path / "now")}
    headgate.create_and_start("orders", **definition(source, destination, settings, on_error="skip"))
    failed = headgate.until_status("orders", "FAILED")
    (error,) = failed.errors.values()
    assert (error.code, error.recoverable, error.partition, error.offset) == ("transform.retry_later", True, 0, 3)
    moved = numbers(headgate.until_moved(destination, 13))
    assert sorted(moved) == sorted([0, 2, 4, *range(1, 20, 2)])
    headgate.until("orders", "counts its retries", lambda state: any(e.count >= 2 for e in state.errors.values()))
    (tmp_path / "now").touch()
    assert sorted(numbers(headgate.until_moved(destination, 20))) == list(range(20))
    headgate.until_status("orders", "RUNNING")


def test_a_drain_does_not_wait_for_a_partition_that_stands_still(headgate: Headgate, tmp_path: Path) -> None:
    source, destination = headgate.source("source", 2), headgate.source("destination", 2)
    headgate.produce(source, 20, partitions=2)
    headgate.worker("a")
    settings = {"later": [6], "until": str(tmp_path / "now")}
    headgate.create_and_start("orders", **definition(source, destination, settings))
    headgate.until_status("orders", "FAILED")
    headgate.until_moved(destination, 13)
    headgate.done(headgate.commands.pause("orders"))
    paused = headgate.until_status("orders", "PAUSED")
    assert paused.drain is not None
    assert paused.drain.receipts[source]["0"].end == 3
    (tmp_path / "now").touch()
    headgate.done(headgate.commands.resume("orders"))
    assert sorted(numbers(headgate.until_moved(destination, 20))) == list(range(20))


def test_a_budget_of_attempts_ends_the_retries(headgate: Headgate, tmp_path: Path) -> None:
    source, destination = headgate.source("source", 1), headgate.source("destination", 1)
    headgate.produce(source, 5, partitions=1)
    headgate.worker("a")
    settings = {"later": [2], "until": str(tmp_path / "never")}
    retry = {"initial_s": 0.05, "max_s": 0.1, "max_attempts": 3}
    headgate.create_and_start("orders", **definition(source, destination, settings, retry=retry))
    failed = headgate.until_status("orders", "FAILED_PERMANENTLY")
    (error,) = failed.errors.values()
    assert "Given up after 3 attempts (retry.max_attempts)." in error.message


def test_a_transform_may_stop_the_stream_whatever_on_error_says(headgate: Headgate) -> None:
    source, destination = headgate.source("source", 1), headgate.source("destination", 1)
    headgate.produce(source, 5, partitions=1)
    headgate.worker("a")
    headgate.create_and_start("orders", **definition(source, destination, {"stops": [2]}, on_error="skip"))
    failed = headgate.until_status("orders", "FAILED_PERMANENTLY")
    (error,) = failed.errors.values()
    assert "asked for the stream to stop: look at this first" in error.message
    assert numbers(headgate.until_moved(destination, 2)) == [0, 1]


def test_a_receipts_digest_is_that_of_the_source_also_across_owners(headgate: Headgate) -> None:
    source, destination = headgate.source("source", 2), headgate.source("destination", 2)
    headgate.produce(source, 100, partitions=2)
    headgate.worker("a")
    headgate.create_and_start("orders", **definition(source, destination, {}, receipt_digest=True))
    headgate.until_moved(destination, 100)
    headgate.stop_worker("a")
    headgate.produce(source, 100, start=100, partitions=2)
    headgate.worker("b")
    headgate.until_moved(destination, 200)
    headgate.done(headgate.commands.pause("orders"))
    paused = headgate.until_status("orders", "PAUSED")
    assert paused.drain is not None
    held = headgate.read(source)
    for number, receipt in paused.drain.receipts[source].items():
        records = [Stored(record) for record in held if record.partition == int(number)]
        assert (receipt.read, receipt.digest) == (100, chain(BEGINNING, records).hex())


class Refusing(DiscardDestination):
    """Refuses one value for ever, when it is written or when it is committed."""

    def __init__(self, kept: list[bytes], at_commit: bool) -> None:
        self._kept, self._at_commit = kept, at_commit
        self._written: list[Any] = []

    def open(self) -> None:
        self._written = []

    def forward(self, records: Any) -> None:
        if not self._at_commit:
            self._look(records)
        self._written += records

    def commit(self, positions: Any, proof: Any) -> None:
        if self._at_commit:
            self._look(self._written)
        self._kept += [record.value() for record in self._written]
        self._written = []

    @staticmethod
    def _look(records: Any) -> None:
        for record in records:
            if record.value() in {b"5", b"6"}:
                raise RecordRefused(f"This will never take {record.value()!r}.", origin=record)


@pytest.fixture(params=[False, True], ids=["when written", "when committed"])
def refusing(request: pytest.FixtureRequest) -> tuple[list[bytes], Any]:
    kept: list[bytes] = []

    class Kind(Discard):
        def destination(self, settings: Any, context: Any) -> Any:
            return Refusing(kept, request.param)

    def adjust(worker: Worker) -> None:
        worker.supervisor.means.destinations._loaded["refusing"] = Kind()

    return kept, adjust


def test_what_a_destination_refuses_follows_on_error_and_the_rest_is_written(
    headgate: Headgate, refusing: tuple[list[bytes], Any]
) -> None:
    kept, adjust = refusing
    source = headgate.source("source", 1)
    headgate.produce(source, 20, partitions=1)
    headgate.worker("a", adjust)
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "refusing"},
        on_error="dead_letter",
    )
    headgate.until("orders", "moved", lambda _: len(kept) >= 18)
    assert kept == [b"%d" % number for number in range(20) if number not in {5, 6}]
    headgate.done(headgate.commands.pause("orders"))
    headgate.until_status("orders", "PAUSED")
    letters = headgate.until_moved(f"{headgate.namespace}.dead-letters.orders", 2)
    assert numbers(letters) == [5, 6], "each once, although the task went back for each of them"
    assert {letter.header("headgate-error-code") for letter in letters} == {b"destination.record_refused"}


@pytest.mark.parametrize("delivery", ["exactly_once", "at_least_once"])
def test_a_record_that_the_broker_refuses_is_set_aside_alone(headgate: Headgate, delivery: str) -> None:
    source = headgate.topics.create("source", 1, {"message.timestamp.after.max.ms": str(2**62)})
    settings = {"cleanup.policy": "compact", "max.message.bytes": "20000"}
    destination = headgate.topics.create("destination", 1, settings)
    producer = headgate.plain_producer()
    for number in range(200):  # together more than the topic takes in one batch
        producer.produce(source, b"%d" % number + b" " * 200, b"key")
    producer.produce(source, b"keyless")
    producer.produce(source, b"large" * 10_000, b"key")
    producer.produce(source, b"later", b"key", timestamp=int(time.time() * 1000) + 86_400_000)
    producer.produce(source, b"last", b"key")
    assert producer.flush(30) == 0
    headgate.worker("a")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": destination},
        on_error="dead_letter",
        delivery=delivery,
    )
    headgate.until("orders", "moved", lambda _: b"last" in {each.value for each in headgate.read(destination)})
    letters = headgate.until_moved(f"{headgate.namespace}.dead-letters.orders", 3)
    headgate.done(headgate.commands.pause("orders"))
    paused = headgate.until_status("orders", "PAUSED")
    assert not paused.errors, "that a record is looked for is no failure"
    values = [each.value for each in headgate.read(destination)]
    expected = [*(b"%d" % number + b" " * 200 for number in range(200)), b"last"]
    assert (values if delivery == "exactly_once" else sorted(set(values), key=expected.index)) == expected
    assert [each.value for each in letters] == [b"keyless", b"large" * 10_000, b"later"]
    codes = [each.header("headgate-error-code") for each in letters]
    assert codes == [b"log.record_rejected", b"log.record_too_large", b"log.record_rejected"]


def test_a_record_beyond_the_streams_own_bound_is_a_dead_letter_all_the_same(headgate: Headgate) -> None:
    source, destination = headgate.source("source", 1), headgate.source("destination", 1)
    producer = headgate.plain_producer()
    for value in (b"a", b"large" * 1_000, b"b"):
        producer.produce(source, value)
    assert producer.flush(30) == 0
    headgate.worker("a")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": destination, "client": {"message.max.bytes": 2_000}},
        on_error="dead_letter",
    )
    assert [each.value for each in headgate.until_moved(destination, 2)] == [b"a", b"b"]
    letters = headgate.until_moved(f"{headgate.namespace}.dead-letters.orders", 1)
    assert [each.value for each in letters] == [b"large" * 1_000]
