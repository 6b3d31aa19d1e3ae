"""Streams into files, through whole workers: rolled, drained, resumed, and taken over from workers that were killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from tests.integration.worker.conftest import WAIT_S, Headgate
from tests.integration.worker.test_many_workers import start_worker
from tests.support.eventually import eventually
from tests.support.processes import Processes


def produce(headgate: Headgate, topic: str, count: int, *, start: int = 0, partitions: int = 3) -> None:
    producer = headgate.plain_producer()
    for number in range(start, start + count):
        producer.produce(topic, orjson.dumps({"number": number}), partition=number % partitions)
    assert producer.flush(WAIT_S) == 0


def read(folder: Path) -> list[int]:
    """Return the numbers in finished files, in the order of the files' names."""
    found: list[int] = []
    for path in sorted(folder.glob("*.*")):
        if path.suffix == ".parquet":
            found += pq.ParquetFile(path).read()["number"].to_pylist()
        elif path.suffix == ".jsonl":
            found += [orjson.loads(line)["number"] for line in path.read_bytes().splitlines()]
    return found


def until_read(folder: Path, count: int, timeout_s: float = WAIT_S) -> None:
    """Wait until a reader has found so many records, and see that none is there twice."""

    def look() -> bool:
        found = read(folder)
        assert len(found) == count, f"{len(found)} of {count}"
        return True

    eventually(look, timeout_s, f"{folder} holds {count} records", every_s=0.2)
    assert len(set(read(folder))) == count


def start(headgate: Headgate, kind: str, folder: Path, seconds: float, **more: Any) -> str:
    folder.mkdir()
    source = headgate.source("source", 3)
    destination = {"kind": kind, "folder": str(folder), "roll": {"seconds": seconds}}
    headgate.create_and_start("orders", source={"topic": source}, destination=destination, **more)
    return source


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_drain_finishes_the_files_and_a_resume_goes_on_behind_them(
    kind: str, headgate: Headgate, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    headgate.worker("a")
    source = start(headgate, kind, folder, seconds=3_600)
    produce(headgate, source, 300)
    staged = folder / ".headgate" / f"orders.{headgate.get('orders').incarnation}"
    eventually(lambda: len(list(staged.glob("*.staged"))) == 3, WAIT_S, "all partitions are being written")
    assert read(folder) == [], "nothing is to be seen before the files are finished"
    headgate.done(headgate.commands.pause("orders"))
    paused = headgate.until_status("orders", "PAUSED")
    assert paused.drain is not None
    receipts = paused.drain.receipts[source].values()
    assert sum(each.read for each in receipts) == sum(each.written for each in receipts) == len(read(folder))
    produce(headgate, source, 300, start=300)
    headgate.done(headgate.commands.resume("orders"))
    destination = {"kind": kind, "folder": str(folder), "roll": {"seconds": 0.5}}
    headgate.done(headgate.commands.modify("orders", {"source": {"topic": source}, "destination": destination}))
    until_read(folder, 600)
    assert sorted(read(folder)) == list(range(600))


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_workers_killed_while_they_write_files_cost_no_record_and_double_none(
    headgate: Headgate, processes: Processes, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    worker = start_worker(processes, "a")
    source = start(headgate, "jsonl", folder, seconds=0.2)
    sent = 0
    for _ in range(3):
        before = len(read(folder))
        for _ in range(3):
            produce(headgate, source, 1_000, start=sent)
            sent += 1_000
        eventually(lambda least=before: len(read(folder)) > least, WAIT_S, "the worker writes")
        worker.kill()
        worker = start_worker(processes, "a")
    until_read(folder, sent, timeout_s=60)
    by_partition = [[number for number in read(folder) if number % 3 == each] for each in range(3)]
    assert by_partition == [list(range(each, sent, 3)) for each in range(3)]
    headgate.done(headgate.commands.pause("orders"))
    paused = headgate.until_status("orders", "PAUSED")
    assert paused.drain is not None
    receipts = paused.drain.receipts[source].values()
    assert sum(each.read for each in receipts) == sum(each.written for each in receipts) == sent
    assert worker.stop() == 0


def test_a_record_that_does_not_fit_is_passed_over_and_the_others_go_on(headgate: Headgate, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    headgate.worker("a")
    source = start(headgate, "parquet", folder, seconds=0.3, on_error="skip")
    produce(headgate, source, 30)
    until_read(folder, 30)
    headgate.plain_producer().produce(source, b'{"number": "not one"}', partition=0)
    produce(headgate, source, 30, start=30)
    until_read(folder, 60)
    assert headgate.get("orders").status == "RUNNING"


@pytest.mark.parametrize("isolate", ["stream", "partition"])
def test_what_was_refused_is_tried_again_by_what_a_person_changed(
    headgate: Headgate, tmp_path: Path, isolate: str
) -> None:
    headgate.worker("a")
    source = start(headgate, "jsonl", tmp_path / "out", seconds=0.3, isolate=isolate)
    headgate.plain_producer().produce(source, b"1", partition=0)
    headgate.plain_producer().flush(WAIT_S)
    failed = headgate.until_status("orders", "FAILED_PERMANENTLY")
    assert {each.code for each in failed.errors.values()} == {"destination.record_refused"}
    config = failed.config.model_dump(mode="json")
    config["destination"]["record"] = "envelope"
    headgate.done(headgate.commands.modify("orders", config))
    headgate.done(headgate.commands.recover("orders"))
    eventually(lambda: list((tmp_path / "out").glob("*.jsonl")), WAIT_S, "the record is in a file")
    headgate.until("orders", "has no error left", lambda state: (state.status, state.errors) == ("RUNNING", {}))


def test_a_folder_that_is_not_there_is_said_before_the_stream_starts(headgate: Headgate, tmp_path: Path) -> None:
    headgate.worker("a")
    source = headgate.source("source", 3)
    missing = {"kind": "jsonl", "folder": str(tmp_path / "missing")}
    headgate.done(headgate.commands.create("orders", {"source": {"topic": source}, "destination": missing}))
    headgate.done(headgate.commands.start("orders"))
    state = headgate.until("orders", "is refused", lambda state: state.status == "NOT_STARTED" and state.checks)
    assert [check.code for check in state.checks if check.result == "failed"] == ["destination.folder_missing"]
