"""What a reader proves about the history: nothing missing, nothing twice, nothing edited."""

from __future__ import annotations

import json
from typing import Any

from headgate_events.chain import digest
from headgate_events.client.selection import Selection
from headgate_events.client.sequence import ChainBreak, Entry, Gap, HistoryItem, Unknown
from headgate_events.codec import encode, history_headers
from headgate_events.records import HistoryRecord
from headgate_events.testing import MemoryHeadgate, StoredRecord
from tests.golden.samples import ANSWERS, COMMON_TRANSITION


def chain(
    *versions: int, incarnation: int = 40, kind: str = "retry-requested", after: str | None = None
) -> list[bytes]:
    """The stored bytes of transitions with these versions, each carrying the hash of the one before."""
    values: list[bytes] = []
    for version in versions:
        payload = {
            **COMMON_TRANSITION,
            "kind": kind,
            "incarnation": incarnation,
            "version": version,
            "previous": after,
        }
        values.append(encode(payload))
        after = digest(values[-1])
    return values


def stored(value: bytes, record_id: str = "", partition: int = 0) -> StoredRecord:
    payload: dict[str, Any] = json.loads(value)
    record = HistoryRecord(payload["kind"], record_id or f"x-{payload.get('version')}", payload, value)
    return StoredRecord("headgate.history", partition, 0, b"departures", value, history_headers(record))


def judged(*values: bytes, from_start: bool = True) -> list[HistoryItem]:
    selection = Selection(None, None, None, from_start=from_start)
    return [item for value in values for item in selection.items(stored(value))]


def versions(items: list[HistoryItem]) -> list[int]:
    return [item.record.version for item in items if isinstance(item, Entry)]  # type: ignore[union-attr, misc]


def test_a_whole_chain_is_told_as_it_is() -> None:
    items = judged(*chain(1, 2, 3))
    assert versions(items) == [1, 2, 3]
    assert len(items) == 3


def test_a_transition_that_was_written_twice_is_told_once() -> None:
    one, two = chain(1, 2)
    items = judged(one, two, two, one)
    assert versions(items) == [1, 2]
    assert len(items) == 2


def test_a_missing_transition_is_a_gap_and_reading_goes_on() -> None:
    one, _, three = chain(1, 2, 3)
    assert judged(one, three)[1] == Gap("departures", 40, 1, 3)
    assert versions(judged(one, three)) == [1, 3]


def test_a_stream_that_does_not_begin_at_its_beginning_is_a_gap_only_when_read_from_the_start() -> None:
    three = chain(1, 2, 3)[2]
    assert judged(three)[0] == Gap("departures", 40, 0, 3)
    assert versions(judged(three, from_start=False)) == [3]
    assert len(judged(three, from_start=False)) == 1


def test_an_edited_transition_breaks_the_chain_behind_it() -> None:
    one, two = chain(1, 2)
    items = judged(one.replace(b"maintenance", b"maintenence"), two)
    assert [type(item) for item in items] == [Entry, ChainBreak, Entry]
    assert isinstance(items[1], ChainBreak)
    assert items[1].version == 2


def test_a_transition_told_twice_in_different_words_is_shown_with_the_break() -> None:
    one = chain(1)[0]
    items = judged(one, one.replace(b"maintenance", b"maintenence"))
    assert [type(item) for item in items] == [Entry, ChainBreak, Entry]


def test_a_new_incarnation_begins_at_one_and_carries_the_old_ones_hash() -> None:
    old = chain(1, 2)
    new = chain(1, 2, incarnation=90, after=digest(old[-1]))
    assert len(judged(*old, *new)) == 4
    assert judged(*old, new[1])[2] == Gap("departures", 90, 0, 2)
    unlinked = chain(1, incarnation=90, after=None)
    assert isinstance(judged(*old, *unlinked)[2], ChainBreak)


def test_after_a_stream_was_forgotten_its_name_begins_anew() -> None:
    old = chain(1)
    forgotten = chain(2, kind="stream-forgotten", after=digest(old[0]))
    assert len(judged(*old, *forgotten, *chain(1, incarnation=90))) == 3


def test_an_outcome_that_was_written_twice_is_told_once() -> None:
    value = encode({"kind": "outcome", **ANSWERS["outcome"]})
    selection = Selection(None, None, None, from_start=True)
    ids = ["commands-0-1-0", "commands-0-1-1", "commands-0-1-0", "commands-0-1-1", "reports-0-1-0", "commands-0-2-0"]
    items = [item for each in ids for item in selection.items(stored(value, record_id=each))]
    assert [item.id for item in items if isinstance(item, Entry)] == [
        "commands-0-1-0",
        "commands-0-1-1",
        "reports-0-1-0",
        "commands-0-2-0",
    ]


def test_partitions_that_are_read_in_another_order_than_written_hide_nothing() -> None:
    value = encode({"kind": "outcome", **ANSWERS["outcome"]})
    selection = Selection(None, None, None, from_start=True)
    later = stored(value, record_id="commands-0-2-0", partition=0)
    earlier = stored(value, record_id="commands-0-1-0", partition=1)
    assert len([item for record in (later, earlier) for item in selection.items(record)]) == 2


def test_what_cannot_be_read_is_shown_as_unknown() -> None:
    selection = Selection(None, None, None, from_start=True)
    value = chain(1)[0]
    good = stored(value)
    foreign = StoredRecord(
        "headgate.history", 2, 9, b"departures", value, [("ce_type", b"headgate.history.tomorrow.v1")]
    )
    damaged = StoredRecord("headgate.history", 2, 10, b"departures", b"{", good.headers())
    invalid = StoredRecord("headgate.history", 2, 11, b"departures", b"{}", good.headers())
    items = [item for record in (foreign, damaged, invalid) for item in selection.items(record)]
    assert [(type(item), item.offset) for item in items if isinstance(item, Unknown)] == [
        (Unknown, 9),
        (Unknown, 10),
        (Unknown, 11),
    ]


def test_a_key_that_a_newer_version_added_to_a_definition_does_not_stop_a_reader() -> None:
    memory = MemoryHeadgate()
    memory.commands.create(
        "departures", {"source": {"topic": "a", "own": {"x": 1}}, "destination": {"kind": "kafka"}}
    ).outcome(1)
    entry = next(iter(memory.history.read("departures")))
    assert isinstance(entry, Entry)
    value = memory._core.history[0].value()
    assert value is not None
    newer = value.replace(b'"retry":{', b'"retry":{"jitter":true,').replace(b'"labels":{}', b'"labels":{},"colour":1')
    assert newer.count(b"jitter") == newer.count(b"colour") == 1
    items = judged(newer)
    assert isinstance(items[0], Entry)
    assert items[0].record == entry.record
    assert items[0].record.config.source.model_extra == {"topic": "a", "own": {"x": 1}}  # type: ignore[union-attr]
