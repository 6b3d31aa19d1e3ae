"""Columns: named or inferred, then frozen; what fits them, what does not, and how files are cut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from headgate.destinations.files import columns as columns_module
from headgate.destinations.files import names
from headgate.destinations.files.kinds import ParquetFiles
from headgate.destinations.files.local import LocalFiles
from headgate.destinations.files.rolling import Rolling
from headgate.destinations.files.settings import Roll
from headgate.ports.connectors import ConnectorRefused
from headgate.ports.destination import RecordRefused, Token
from headgate.ports.log import Committed, TopicPartition
from headgate.testing import MadeRecord
from tests.support.files import close_all, make
from tests.support.made import context

P0 = TopicPartition("t", 0)
TOKEN = Token(7, 1, 1)


@pytest.fixture(autouse=True)
def closed_in_the_end() -> Iterator[None]:
    yield
    close_all()


def opened(folder: Path, **settings: Any) -> LocalFiles:
    destination = make("parquet", folder, **settings)
    destination.open()
    destination.positions({P0: TOKEN})
    return destination


def forward(destination: LocalFiles, *values: Any, start: int = 0) -> None:
    records = [MadeRecord("t", 0, start + number, json.dumps(value).encode()) for number, value in enumerate(values)]
    destination.forward(records)


def commit(destination: LocalFiles, position: int) -> None:
    destination.commit({P0: Committed(position)}, None)


def rows(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(folder.glob("*.parquet")) for row in pq.ParquetFile(path).read().to_pylist()]


def test_columns_have_the_types_that_the_settings_name(tmp_path: Path) -> None:
    columns = {
        "id": "int32",
        "at": "timestamp",
        "price": "decimal(10,2)",
        "tags": ["string"],
        "place": {"lat": "float64", "name": "string"},
        "ok": "bool",
    }
    destination = opened(tmp_path, columns=columns)
    value = {
        "id": 1,
        "at": "2026-01-02T03:04:05.5+02:00",
        "price": "12.30",
        "tags": ["a", "b"],
        "place": {"lat": 1, "name": "x"},
        "ok": True,
    }
    forward(destination, value, {"id": 2})
    commit(destination, 2)
    first, second = rows(tmp_path)
    assert first == {
        "id": 1,
        "at": datetime(2026, 1, 2, 1, 4, 5, 500_000, UTC),
        "price": Decimal("12.30"),
        "tags": ["a", "b"],
        "place": {"lat": 1.0, "name": "x"},
        "ok": True,
    }
    assert second == dict.fromkeys(columns) | {"id": 2}


def test_columns_are_inferred_from_the_first_records_and_frozen_for_all_tasks_and_restarts(tmp_path: Path) -> None:
    destination = opened(tmp_path)
    forward(destination, {"a": 1, "when": "2026-01-01", "none": None}, {"a": 1.5, "list": [1]})
    commit(destination, 2)
    frozen = json.loads((tmp_path / ".headgate" / "orders.7" / "schema.json").read_text())
    assert frozen["columns"] == {"a": "float64", "when": "string", "none": "string", "list": ["int64"]}
    restarted = opened(tmp_path)
    forward(restarted, {"a": 2}, start=2)
    with pytest.raises(RecordRefused, match=r"at 3 does not fit the schema: Column\(/a\) changed"):
        forward_and_commit(restarted, [{"a": 3}, {"a": "text"}])
    restarted = opened(tmp_path)
    forward(restarted, {"a": 2}, start=2)
    commit(restarted, 3)
    assert [row["a"] for row in rows(tmp_path)] == [1.0, 1.5, 2.0]


def forward_and_commit(destination: LocalFiles, values: list[Any], start: int = 2) -> None:
    forward(destination, *values, start=start)
    commit(destination, start + len(values))


def test_a_first_record_that_contradicts_those_before_it_is_the_one_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordRefused, match="at 4 does not fit the records before it"):
        forward_and_commit(opened(tmp_path), [{"a": 1}, {"a": 2}, {"a": {"b": 1}}, {"a": 3}])


def test_a_record_with_an_unknown_field_is_refused_unless_they_are_ignored(tmp_path: Path) -> None:
    with pytest.raises(RecordRefused, match="at 3 does not fit the schema: unexpected field"):
        forward_and_commit(opened(tmp_path, columns={"a": "int64"}), [{"a": 1}, {"a": 2, "b": 3}])
    destination = opened(tmp_path, columns={"a": "int64"}, unknown_fields="ignore")
    forward_and_commit(destination, [{"a": 1}, {"a": 2, "b": 3}])
    assert rows(tmp_path) == [{"a": 1}, {"a": 2}]


def test_settings_that_contradict_the_frozen_columns_are_refused_in_the_check_and_when_opened(tmp_path: Path) -> None:
    forward_and_commit(opened(tmp_path, columns={"a": "int64"}), [{"a": 1}])
    kind = ParquetFiles()
    changed = kind.settings.model_validate({"folder": str(tmp_path), "columns": {"a": "string"}})
    (check,) = [check for check in kind.check(changed, context()) if check.result == "failed"]
    assert check.code == "destination.schema_conflict"
    assert check.message == (
        "The schema conflicts with the one that this stream's files have: the column a is 'string' in the settings"
        " and 'int64' in the files."
    )
    with pytest.raises(ConnectorRefused, match="the column b is 'int64' in the settings and not there in the files"):
        opened(tmp_path, columns={"a": "int64", "b": "int64"})
    fresh = context(incarnation=8)
    assert not [check for check in kind.check(changed, fresh) if check.result == "failed"]


@pytest.mark.parametrize("wrong", ["int65", "decimal(99,1)", "decimal(2,3)", [], ["a", "b"], {}, 3, {"x": "nothing"}])
def test_a_type_that_there_is_none_of_fails_the_check_in_words(wrong: Any, tmp_path: Path) -> None:
    kind = ParquetFiles()
    settings = kind.settings.model_validate({"folder": str(tmp_path), "columns": {"a": wrong}})
    (check,) = kind.check(settings, context())
    assert (check.result, check.code) == ("failed", "config.invalid")
    assert "which there is not" in check.message


def test_an_envelope_adds_columns_that_tell_where_a_row_came_from(tmp_path: Path) -> None:
    destination = opened(tmp_path, record="envelope")
    destination.forward(
        [MadeRecord("t", 0, 5, b'{"a": 1}', b"k", None, 12), MadeRecord("t", 0, 6, b" { } ", b"\xff", None, 13)]
    )
    commit(destination, 7)
    first, second = rows(tmp_path)
    assert first == {"_topic": "t", "_partition": 0, "_offset": 5, "_timestamp_ms": 12, "_key": "k", "a": 1}
    assert (second["_offset"], second["a"]) == (6, None)


def test_a_file_says_what_it_holds(tmp_path: Path) -> None:
    forward_and_commit(opened(tmp_path), [{"a": 1}, {"a": 2}], start=40)
    (path,) = tmp_path.glob("*.parquet")
    metadata = pq.read_metadata(path).metadata
    said = {name.decode(): value.decode() for name, value in metadata.items() if name.startswith(b"headgate.")}
    assert said == {
        "headgate.stream": "orders.7",
        "headgate.topic": "t",
        "headgate.partition": "0",
        "headgate.first": "40",
        "headgate.next": "42",
    }


def test_what_waits_in_memory_is_bounded_over_all_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns_module, "BUFFERED_BYTES", 64_000)
    monkeypatch.setattr(columns_module, "LEAST_BYTES", 1_000)
    destination = make("parquet", tmp_path)
    destination.open()
    partitions = [TopicPartition("t", number) for number in range(8)]
    destination.positions(dict.fromkeys(partitions, TOKEN))
    most = 0
    for start in range(0, 2_000, 50):
        for partition in partitions:
            value = b'{"text":"%s"}' % (b"x" * 60)
            destination.forward([MadeRecord("t", partition.partition, start + n, value) for n in range(50)])
        held = [staged._writing for staged in destination._staged.values()]
        most = max(most, sum(each._text_bytes + each._table_bytes for each in held))
    assert 0 < most < 128_000
    destination.commit(dict.fromkeys(partitions, Committed(2_000)), None)
    assert all(pq.read_metadata(path).num_row_groups > 5 for path in tmp_path.glob("*.parquet"))
    assert len(rows(tmp_path)) == 16_000


def test_files_are_due_by_size_by_count_and_by_time() -> None:
    rolling = Rolling(Roll(bytes=1_000, records=10, seconds=5))
    rolling.note(P0, 9, 999)
    assert not rolling.due(4.9)
    assert rolling.due(5.0)
    for records, size_bytes in ((10, 0), (0, 1_000)):
        rolling.note(P0, records, size_bytes)
        assert rolling.due(0.0)
        rolling.begin_anew()
        assert not rolling.due(0.0)


def test_many_files_are_due_when_they_are_large_together() -> None:
    rolling = Rolling(Roll(bytes=100_000_000))
    for number in range(10):
        for size_bytes in (20_000_000, 53_000_000):
            rolling.note(TopicPartition("t", number), 1, size_bytes)
    assert not rolling.due(0.0)
    rolling.note(TopicPartition("t", 10), 1, 10_000_000)
    assert rolling.due(0.0)


def test_names_of_any_topic_fit_a_file_system_and_are_read_back() -> None:
    for topic in ("t", "a.b-c_d", "x" * 249, "t.000000000001.json"):
        partition = TopicPartition(topic, 2_147_483_647)
        staged, entry = names.staged(partition, 12, "0a1b-3"), names.entry(partition, 12)
        final = names.finished(names.owner("s" * 63, 10**12), partition, 2**63 - 1, "jsonl.zst", again=10**6)
        assert max(map(len, (staged, f"{entry}.0a1b2c3d4e5f.draft", final))) <= 255
        assert names.read(staged) == (names.place(partition), 12, "staged")
        assert names.read(entry) == (names.place(partition), 12, "entry")
        assert names.read(f"{entry}.0a1b.draft") == (names.place(partition), 12, "draft")
    assert names.place(TopicPartition("x" * 249, 1)) != names.place(TopicPartition("x" * 248, 1))
    for foreign in ("schema.json", "notes.txt", "t.1.json", ".t.staged"):
        assert names.read(foreign) is None


def test_names_in_order_are_offsets_in_order() -> None:
    made = [names.finished("s.1", P0, first, "jsonl") for first in (0, 9, 10, 99, 1_000, 2**40)]
    assert made == sorted(made)
