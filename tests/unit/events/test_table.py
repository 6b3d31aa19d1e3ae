"""A compacted topic as a table of bytes."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from headgate_events.client.table import CompactedTable
from headgate_events.codec import encode
from headgate_events.errors import UnreadableRecord
from headgate_events.schema.state import Progress
from headgate_events.testing import StoredRecord
from tests.golden.samples import PROGRESS, STATE


def state(stream: str = "departures", **fields: Any) -> bytes:
    return encode({**STATE, "stream": stream, **fields})


def record(key: str, value: bytes | None, offset: int = 0, partition: int = 0) -> StoredRecord:
    return StoredRecord("headgate.state", partition, offset, key.encode(), value)


def test_the_last_record_of_a_key_counts_and_a_null_ends_it() -> None:
    table = CompactedTable()
    table.load([record("a", state("a", version=1)), record("b", state("b")), record("a", state("a", version=2), 7)])
    assert sorted(table.names()) == ["a", "b"]
    found = table.get("a")
    assert found is not None
    assert found.version == 2
    table.load([record("a", None, 8), record("never", None, 9)])
    assert list(table.names()) == ["b"]
    assert table.get("a") is None
    assert table.positions == {0: 10}


def test_changes_say_what_was_and_what_is() -> None:
    table = CompactedTable()
    created = table.apply(record("a", state("a", version=1)))
    changed = table.apply(record("a", state("a", version=2)))
    gone = table.apply(record("a", None))
    assert created is not None
    assert changed is not None
    assert gone is not None
    assert created.before is None
    assert created.state is not None
    assert changed.before == created.state
    assert changed.state is not None
    assert changed.state.version == 2
    assert (gone.before, gone.state) == (changed.state, None)


def test_the_same_bytes_again_and_a_tombstone_of_nothing_are_no_changes() -> None:
    table = CompactedTable()
    assert table.apply(record("a", state("a"))) is not None
    assert table.apply(record("a", state("a"))) is None
    assert table.apply(record("b", None)) is None


def test_progress_records_are_no_streams() -> None:
    table = CompactedTable()
    assert table.apply(record("_progress.3", encode(PROGRESS))) is None
    assert list(table.names()) == []
    assert table.get("_progress.3") is None
    assert table.progress(3) == Progress(partition=3, commands=42, reports=17)
    assert table.progress(4) is None


def test_a_deleted_stream_is_not_shown_and_goes_once() -> None:
    table = CompactedTable()
    table.apply(record("a", state("a")))
    gone = table.apply(record("a", state("a", status="DELETED")))
    assert gone is not None
    assert gone.state is None
    assert table.apply(record("a", None)) is None
    table.load([record("b", state("b", status="DELETED"))])
    assert table.get("b") is None
    assert list(table.items()) == []
    assert len(table) == 1


def test_a_stream_whose_settings_say_deleted_is_shown() -> None:
    value = json.loads(state("a"))
    value["config"]["destination"]["status"] = "DELETED"
    table = CompactedTable()
    table.load([record("a", encode(value))])
    assert list(table.names()) == ["a"]


@pytest.mark.parametrize("value", [b"{", b"[]", b'{"kind":"state"}', b"\xff"])
def test_a_state_that_cannot_be_read_is_named_and_hides_nobody(value: bytes) -> None:
    table = CompactedTable()
    table.load([record("bad", value), record("good", state("good"))])
    assert [name for name, _ in table.items()] == ["good"]
    assert list(table.unreadable()) == ["bad"]
    with pytest.raises(UnreadableRecord):
        table.get("bad")


def test_what_is_held_is_little_more_than_what_is_stored() -> None:
    table = CompactedTable()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(20_000):
            name = f"stream-{number}"
            table.load([record(name, state(name), number)])
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    encoded = sum(len(key) + len(value) for key, value in table.stored())
    assert len(table) == 20_000
    assert after - before <= 1.6 * encoded


def test_a_key_that_a_newer_version_added_does_not_stop_a_reader() -> None:
    value = json.loads(state("a"))
    value["config"]["colour"] = "blue"
    value["config"]["idleness"]["deep"] = {"er": 1}
    value["mood"] = "fine"
    table = CompactedTable()
    table.load([record("a", encode(value)), record("b", state("b"))])
    newer, older = table.get("a"), table.get("b")
    assert newer is not None
    assert older is not None
    assert newer.config == older.config
    assert newer.config.source.model_extra == {"topic": "flights"}
