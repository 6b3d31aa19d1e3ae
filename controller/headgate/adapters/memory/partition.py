"""One partition's log: offsets, open and aborted transactions, and what either kind of reader may see of them.

As in Kafka, a marker that ends a transaction takes an offset and is never delivered; the last stable offset is the
first offset of the oldest transaction that is still open; compaction keeps offsets and leaves gaps.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from headgate.adapters.memory.record import MemoryRecord
from headgate.ports.log import Isolation

Fate = Literal["open", "committed", "aborted", "marker"]


@dataclass(slots=True)
class Entry:
    """One offset that is taken. `record` is None for the marker that ends a transaction."""

    offset: int
    timestamp_ms: int
    fate: Fate
    producer: int | None = None
    record: MemoryRecord | None = None


class PartitionLog:
    """The entries of one partition, in the order of their offsets."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.start = 0
        self.end = 0
        self._open: dict[int, int] = {}

    def last_stable(self) -> int:
        """Return the offset before which every transaction has ended."""
        return min(self._open.values(), default=self.end)

    def limit(self, isolation: Isolation) -> int:
        """Return the end as a reader of this isolation sees it."""
        return self.last_stable() if isolation == "read_committed" else self.end

    def append(self, record: MemoryRecord, producer: int | None) -> None:
        """Append a record; with `producer` it belongs to that producer's open transaction."""
        assert record.at_offset == self.end, "a record is appended at the end"
        fate: Fate = "committed" if producer is None else "open"
        if producer is not None:
            self._open.setdefault(producer, self.end)
        self.entries.append(Entry(self.end, record.with_timestamp[1], fate, producer, record))
        self.end += 1

    def finish(self, producer: int, committed: bool, now_ms: int) -> None:
        """Write the marker that ends a producer's transaction, and settle the fate of its records."""
        first = self._open.pop(producer, self.end)
        for entry in self.entries[self._index(first) :]:
            if entry.producer == producer and entry.fate == "open":
                entry.fate = "committed" if committed else "aborted"
        self.entries.append(Entry(self.end, now_ms, "marker", producer))
        self.end += 1

    def read(self, position: int, at_most: int, isolation: Isolation) -> tuple[Sequence[MemoryRecord], int]:
        """Return up to `at_most` records from a position on, and the position after what was passed over with them."""
        limit = self.limit(isolation)
        found: list[MemoryRecord] = []
        for entry in self.entries[self._index(position) :]:
            if entry.offset >= limit:
                return found, max(position, limit)
            visible = entry.fate == "committed" or (isolation == "read_uncommitted" and entry.fate != "marker")
            if not visible or entry.record is None:
                continue
            if len(found) == at_most:
                return found, entry.offset
            found.append(entry.record)
        return found, max(position, limit)

    def at_time(self, timestamp_ms: int, isolation: Isolation) -> int:
        """Return the first offset of a record at or after a time, or the end that this isolation sees."""
        limit = self.limit(isolation)
        for entry in self.entries:
            if entry.record is not None and entry.offset < limit and entry.timestamp_ms >= timestamp_ms:
                return entry.offset
        return limit

    def delete_before(self, offset: int) -> None:
        """Move the start on, as retention and the deletion of records do. It never moves back."""
        self.start = max(self.start, min(offset, self.end))
        self.entries = self.entries[self._index(self.start) :]

    def compact(self, drop_tombstones: bool) -> None:
        """Keep the last record of each key, before the last stable offset; records without a key are dropped there.

        Tombstones stay unless `drop_tombstones`: in Kafka that depends on how old they are.
        """
        stable = self.last_stable()
        last = {
            entry.record.with_key: entry.offset
            for entry in self.entries
            if entry.record is not None and entry.fate == "committed" and entry.offset < stable
        }
        self.entries = [entry for entry in self.entries if self._survives(entry, stable, last, drop_tombstones)]

    def _survives(self, entry: Entry, stable: int, last: dict[bytes | None, int], drop_tombstones: bool) -> bool:
        if entry.offset >= stable or entry.record is None:
            return True
        key = entry.record.with_key
        if entry.fate == "aborted" or key is None or last[key] != entry.offset:
            return False
        return entry.record.with_value is not None or not drop_tombstones

    def _index(self, offset: int) -> int:
        return bisect_left(self.entries, offset, key=lambda entry: entry.offset)
