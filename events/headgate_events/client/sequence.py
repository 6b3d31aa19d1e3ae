"""What a reader of the history can prove while it reads: nothing missing, nothing twice, nothing edited.

Transactions of protocol version 1 can, in rare failures, tear or repeat a write. Versions number a stream's transitions
without a hole and each carries the hash of the one before it, so both show; they are values in the stream of results,
because a reader that stopped at the first oddity could not show it to anybody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from headgate_events.chain import digest
from headgate_events.records import HistoryRecord
from headgate_events.schema.common import InputPosition
from headgate_events.schema.history import Cause, Forwarded, Outcome, Transition

_ID: Final = re.compile(r"(commands|reports)-([0-9]+)-([0-9]+)-([0-9]+)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the history: a transition, an outcome, or a forwarding, with where it stands."""

    id: str
    record: Transition | Outcome | Forwarded
    topic: str
    partition: int
    offset: int

    @property
    def stream(self) -> str | None:
        """The stream that it is about; None where the input's key could not be read."""
        return self.record.stream

    @property
    def cause(self) -> Cause | InputPosition:
        """The input from which it followed: for an outcome the report that decided it, if one did."""
        if isinstance(self.record, Transition):
            return self.record.cause
        if isinstance(self.record, Outcome) and self.record.decided_by is not None:
            return self.record.decided_by
        return self.record.input


@dataclass(frozen=True, slots=True)
class Gap:
    """Transitions of a stream are missing: after `after` (0 for none) came `found`. Both are versions."""

    stream: str
    incarnation: int
    after: int
    found: int


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """A transition does not carry the hash of the one before it, or was told twice in different words."""

    stream: str
    incarnation: int
    version: int
    problem: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A record that this version of the library cannot read: `reason` says why. It was passed over, not hidden."""

    type: str | None
    reason: str
    topic: str
    partition: int
    offset: int


HistoryItem: TypeAlias = Entry | Gap | ChainBreak | Unknown


@dataclass(frozen=True, slots=True)
class _Last:
    incarnation: int
    version: int
    hash: str
    forgotten: bool


class Sequence:
    """Judges records in the order in which they are read. Holds one small entry per stream and per input partition.

    With `from_start` the first transition of a stream must be its first ever; otherwise it is trusted.
    """

    def __init__(self, *, from_start: bool) -> None:
        self._from_start = from_start
        self._last: dict[str, _Last] = {}
        self._decided: dict[tuple[int, str, int], tuple[int, int]] = {}

    def judge(self, record: HistoryRecord, partition: int) -> tuple[bool, list[Gap | ChainBreak]]:
        """Say whether a record of this partition of the history is a repeat, and what is wrong before it."""
        payload = record.payload
        if isinstance(payload.get("version"), int) and "to_status" in payload:
            return self._judge_transition(record, payload, partition)
        return self._is_repeated(record.id, partition), []

    def _is_repeated(self, record_id: str, partition: int) -> bool:
        """Ids are made of the input that they follow from, and inputs are decided in order.

        Partitions of the history are read in no order between each other, so each is judged by itself.
        """
        parts = _ID.fullmatch(record_id)
        if parts is None:
            return False
        source = (partition, parts[1], int(parts[2]))
        place = (int(parts[3]), int(parts[4]))
        if place <= self._decided.get(source, (-1, -1)):
            return True
        self._decided[source] = place
        return False

    def _judge_transition(
        self, record: HistoryRecord, payload: dict[str, Any], partition: int
    ) -> tuple[bool, list[Gap | ChainBreak]]:
        stream, incarnation, version = str(payload["stream"]), int(payload["incarnation"]), int(payload["version"])
        found = list(self._problems(stream, incarnation, version, payload.get("previous"), record.value))
        last = self._last.get(stream)
        if last is not None and (incarnation, version) <= (last.incarnation, last.version):
            return not found, found
        self._is_repeated(record.id, partition)
        self._last[stream] = _Last(incarnation, version, digest(record.value), record.kind == "stream-forgotten")
        return False, found

    def _problems(
        self, stream: str, incarnation: int, version: int, previous: str | None, value: bytes
    ) -> Iterator[Gap | ChainBreak]:
        last = self._last.get(stream)
        if last is None:
            if self._from_start and version != 1:
                yield Gap(stream, incarnation, 0, version)
            return
        if (incarnation, version) == (last.incarnation, last.version):
            if digest(value) != last.hash:
                yield ChainBreak(stream, incarnation, version, "it was told twice, in different words")
            return
        if (incarnation, version) < (last.incarnation, last.version):
            return
        after = last.version if incarnation == last.incarnation else 0
        if version != after + 1:
            yield Gap(stream, incarnation, after, version)
        elif previous != last.hash and not (last.forgotten and previous is None):
            yield ChainBreak(stream, incarnation, version, "it does not carry the hash of the transition before it")
