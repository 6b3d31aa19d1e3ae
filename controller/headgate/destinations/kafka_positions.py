"""The topic of positions on the destination's cluster: where each source partition stands, and who has claimed it.

Compacted, one record for each source partition of each incarnation of a stream, at a place that follows from its key
alone. A position is written in the transaction that writes the records up to it, so a reader of committed records finds
both or neither. Segments are small, because the newest is never compacted, and all of it is read at each take-over.

Two ways of reading. *Glancing* takes what is committed now. *Settling* notes the true end first, with what open
transactions wrote behind it, and reads until that is passed: whoever has just fenced a predecessor sees by it how the
predecessor's last transaction ended. It is bounded, and other owners' transactions, which stand open for moments only,
are waited for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from headgate.ports.connectors import ConnectorRefused
from headgate.ports.destination import Token
from headgate.ports.errors import LogUnavailable
from headgate.ports.log import Committed, Log, LogConsumer, TopicPartition
from headgate_events.partitioner import partition_of
from headgate_events.records import Record

PARTITIONS: Final = 8
"""A key's place is among these, also where the topic has more: it must never move."""
CONFIG: Final[Mapping[str, str]] = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.1",
    "segment.bytes": str(8 * 1024 * 1024),
}
REQUEST_S: Final = 10.0
POLL_S: Final = 0.1
QUIET_POLLS: Final = 300
"""Polls in a row that bring nothing before a transaction that stands open is an error: 30 s."""
ASK_EVERY: Final = 3
FETCH_WAIT_MS: Final = 20


class Kept(NamedTuple):
    """What is kept of one source partition: its position, None before the first, and the token of its newest claim."""

    committed: Committed | None
    token: Token


def positions_topic(namespace: str) -> str:
    """Name the topic of a namespace."""
    return f"{namespace}.positions"


class PositionsTopic:
    """Reads the topic, and makes what is written to it. `prefix` names the stream's incarnation."""

    def __init__(self, log: Log, name: str, prefix: str) -> None:
        self.name = name
        self._log = log
        self._prefix = prefix

    def open(self) -> None:
        """Create the topic where it is missing. Raises LogError, or ConnectorRefused when it is of another shape."""
        self._log.create_topic(self.name, PARTITIONS, CONFIG, REQUEST_S)
        count = self._log.partitions(self.name, REQUEST_S) or 0
        if count < PARTITIONS:
            raise ConnectorRefused(
                f"The topic {self.name} on the destination's cluster has {count} partition(s), and {PARTITIONS} are"
                " needed.",
                hint="It holds positions: delete it only when no stream has any there, else give it more partitions.",
            )

    def record(self, partition: TopicPartition, kept: Kept) -> tuple[bytes, bytes, int]:
        """Return value, key and partition of the record that says what is kept."""
        position, metadata = kept.committed or (None, "")
        value = orjson.dumps({"position": position, "metadata": metadata, "token": list(kept.token)})
        key = self._key(partition)
        return value, key, partition_of(key, PARTITIONS)

    def glance(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Kept]:
        """Return what is committed now."""
        return self._read(list(partitions), settle=False)

    def settle(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, Kept]:
        """Return what is committed once every transaction that wrote by now has ended. Raises LogUnavailable."""
        return self._read(list(partitions), settle=True)

    def _read(self, partitions: Sequence[TopicPartition], *, settle: bool) -> dict[TopicPartition, Kept]:
        wanted = {self._key(each): each for each in partitions}
        places = sorted({TopicPartition(self.name, partition_of(key, PARTITIONS)) for key in wanted})
        targets = self._ends(places) if settle else None
        reader = self._log.consumer(isolation="read_committed", ends=True, fetch_wait_ms=FETCH_WAIT_MS)
        try:
            ranges = {place: reader.range(place, REQUEST_S) for place in places}
            if targets is None:
                targets = {place: held.end for place, held in ranges.items()}
            reading = _Reading({place: held.start for place, held in ranges.items()}, targets)
            reader.assign(reading.positions)
            return {wanted[key]: _kept(value) for key, value in reading.run(reader, wanted).items()}
        finally:
            reader.close()

    def _ends(self, places: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        witness = self._log.consumer(isolation="read_uncommitted")
        try:
            return {place: witness.range(place, REQUEST_S).end for place in places}
        finally:
            witness.close()

    def _key(self, partition: TopicPartition) -> bytes:
        return f"{self._prefix}/{partition.topic}/{partition.partition}".encode()


class _Reading:
    """One reading of a few partitions up to their targets."""

    def __init__(self, positions: dict[TopicPartition, int], targets: Mapping[TopicPartition, int]) -> None:
        self.positions = positions
        self._targets = targets

    def run(self, reader: LogConsumer, wanted: Mapping[bytes, object]) -> dict[bytes, bytes]:
        """Return the newest value of each wanted key."""
        found: dict[bytes, bytes] = {}
        quiet = 0
        while behind := [place for place, target in self._targets.items() if self.positions[place] < target]:
            batch = reader.poll(10_000, POLL_S)
            self._take(batch.records, wanted, found)
            for place, end in batch.ends.items():
                self.positions[place] = max(self.positions[place], end)
            quiet = 0 if batch.records or batch.ends else quiet + 1
            if quiet > QUIET_POLLS:
                raise LogUnavailable(
                    f"A transaction on {behind[0].topic} of the destination's cluster has stood open for"
                    f" {QUIET_POLLS * POLL_S:.0f} s, so where the stream stands cannot be told yet.",
                    hint="It ends with its time-out at the latest; it is tried again.",
                )
            if quiet and quiet % ASK_EVERY == 0:
                # An end is said once; what was aborted behind it brings no record, so it has to be asked for again.
                moved = {place: self.positions[place] for place in behind if self._has_moved(reader, place)}
                if moved:
                    reader.seek(moved)
        return found

    def _take(self, records: Sequence[Record], wanted: Mapping[bytes, object], found: dict[bytes, bytes]) -> None:
        for record in records:
            topic, number, offset = record.topic(), record.partition(), record.offset()
            assert topic is not None, "a consumed record has a place"
            assert number is not None, "a consumed record has a place"
            assert offset is not None, "a consumed record has a place"
            self.positions[TopicPartition(topic, number)] = offset + 1
            key, value = record.key(), record.value()
            if key in wanted:
                assert isinstance(key, bytes), "the wanted keys are bytes"
                if value is None:
                    found.pop(key, None)
                else:
                    found[key] = value

    def _has_moved(self, reader: LogConsumer, place: TopicPartition) -> bool:
        return reader.range(place, REQUEST_S).end > self.positions[place]


def _kept(value: bytes) -> Kept:
    found: Any = orjson.loads(value)
    position = found["position"]
    return Kept(None if position is None else Committed(position, found["metadata"]), Token(*found["token"]))
