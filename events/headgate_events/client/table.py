"""The state topic as a table: bytes at rest, parsed on demand, fed by any consumer.

A compacted topic is a table written as a log: the last record of a key counts, and a null is its end. Keeping the bytes
instead of objects holds a million streams in little more than their encoded size; a small cache holds what was parsed
last. The table knows nothing of Kafka clients, so that worker, reader and in-memory twin drive the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import orjson
from pydantic import ValidationError

from headgate_events.codec import read
from headgate_events.errors import UnreadableRecord
from headgate_events.names import PROGRESS_KEY_PREFIX, progress_key
from headgate_events.records import Record
from headgate_events.schema.state import Progress, StreamState

PARSED_CACHE: Final = 1_024
_DELETED_MARK: Final = b'"status":"DELETED"'
_PROGRESS_PREFIX: Final = PROGRESS_KEY_PREFIX.encode()


@dataclass(frozen=True, slots=True)
class Change:
    """One stream as it became: its new bytes and those before it; None stands for "there is no such stream"."""

    stream: str
    value: bytes | None
    previous: bytes | None

    @property
    def state(self) -> StreamState | None:
        """The new state; None when the stream is gone. Raises UnreadableRecord (the writer's fault)."""
        return None if self.value is None else _parse(self.value)

    @property
    def before(self) -> StreamState | None:
        """The state before; None when the stream was not there. Raises UnreadableRecord (the writer's fault)."""
        return None if self.previous is None else _parse(self.previous)


class CompactedTable:
    """The newest value of every key, and how far each partition was read. Belongs to one thread.

    Keys that begin with an underscore are no streams; of them only the progress records are known here. A stream whose
    state is DELETED is remembered by the projector and shown to nobody.
    """

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self.positions: dict[int, int] = {}
        """The next offset to read, by partition."""

    def load(self, records: Iterable[Record]) -> int:
        """Take records in without saying what changed, and return how many there were: what a restore needs."""
        values = self._values
        count, last = 0, None
        partition: int | None = None
        for record in records:
            count += 1
            key, value = record.key(), record.value()
            if value is None:
                values.pop(key, None)
            elif key is not None:
                values[key] = value
            # Records come in runs of one partition, and only the last of a run tells the position.
            if record.partition() != partition:
                self._note_position(last)
                partition = record.partition()
            last = record
        self._note_position(last)
        return count

    def apply(self, record: Record) -> Change | None:
        """Take one record in; return the change of a stream, or None when nothing that is shown has changed."""
        key = record.key()
        previous = self._values.get(key)
        self.load((record,))
        value = record.value()
        if key is None or key[:1] == b"_":
            return None
        shown, shown_before = _visible(value), _visible(previous)
        return None if shown == shown_before else Change(key.decode(errors="replace"), shown, shown_before)

    def get(self, stream: str) -> StreamState | None:
        """Return one stream; None when there is none. Raises UnreadableRecord (the writer's fault)."""
        value = self.raw(stream)
        return None if value is None else _parse(value)

    def raw(self, stream: str) -> bytes | None:
        """Return the stored bytes of one stream, None when there is none."""
        return None if stream[:1] == "_" else _visible(self._values.get(stream.encode()))

    def names(self) -> Iterator[str]:
        """Yield the name of every stream, in no order. Nothing may be taken in meanwhile."""
        for key, value in self._values.items():
            if key[:1] != b"_" and _visible(value) is not None:
                yield key.decode(errors="replace")

    def items(self) -> Iterator[tuple[str, StreamState]]:
        """Yield every stream that can be read, in no order. Nothing may be taken in meanwhile.

        A state that cannot be read is passed over here; `unreadable` names it and `get` raises for it.
        """
        for name in self.names():
            try:
                state = self.get(name)
            except UnreadableRecord:
                continue
            if state is not None:
                yield name, state

    def unreadable(self) -> dict[str, UnreadableRecord]:
        """Return what is wrong with each stream whose state cannot be read. Parses everything."""
        found: dict[str, UnreadableRecord] = {}
        for name in self.names():
            try:
                self.get(name)
            except UnreadableRecord as problem:
                found[name] = problem
        return found

    def progress(self, partition: int) -> Progress | None:
        """Return how far the inputs of a partition are folded; None before the first of them."""
        value = self._values.get(progress_key(partition).encode())
        if value is None:
            return None
        progress: Progress = read("progress", orjson.loads(value))
        return progress

    def stored(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield every key with its bytes, progress records and deleted streams included."""
        yield from self._values.items()

    def _note_position(self, record: Record | None) -> None:
        if record is not None:
            partition, offset = record.partition(), record.offset()
            assert partition is not None
            assert offset is not None
            self.positions[partition] = offset + 1

    def __len__(self) -> int:
        """How many keys are held, progress records and deleted streams included."""
        return len(self._values)


def _visible(value: bytes | None) -> bytes | None:
    """Return the value, or None for a deleted stream. Almost no value is parsed to find that out."""
    if value is None or _DELETED_MARK not in value:
        return value
    try:
        payload: Any = orjson.loads(value)
    except orjson.JSONDecodeError:
        return value  # shown, so that whoever asks for it hears what is wrong
    return None if isinstance(payload, dict) and payload.get("status") == "DELETED" else value


@lru_cache(maxsize=PARSED_CACHE)
def _parse(value: bytes) -> StreamState:
    try:
        state: StreamState = read("state", orjson.loads(value))
    except orjson.JSONDecodeError as problem:
        raise UnreadableRecord("state.malformed_json", f"A state is not JSON: {problem}.") from problem
    except ValidationError as problem:
        raise UnreadableRecord(
            "state.invalid",
            f"A state is not valid: {problem.error_count()} findings.",
            hint="It may be a newer version's: upgrade this client.",
        ) from problem
    return state
