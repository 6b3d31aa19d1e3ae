"""The oracle of a soak: what was said about each partition against what the logs say was there. Pure.

Source, destination and edges carry the broker's time of append, so one clock orders them; the time of a judgement is
the worker's, on the same machine. Nothing that the producers or the workers remember enters.

- An IDLE names the position that it was said at. No record at or after it may have been appended before the judgement,
  be it committed, open or aborted: then the end was elsewhere, or a transaction was open.
- What lies before it has to be in the destination, before the offset that the IDLE covers.
- No record may be written while the last word about its partition was an IDLE at or before it: ACTIVE comes first.
- Under one claim edges alternate. A channel's watermark never falls, also where its owner changes, and neither does the
  watermark of all, through the valve.
- A watermark may not overtake: behind the offset that it covers, every record of its partition is newer.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from headgate.adapters.memory.record import MemoryRecord
from headgate_events.client.channels import ActivityTable
from headgate_events.idleness.signals import Status
from tests.chaos.soak.speaking import HEADER
from tests.support.kafka import Record

CLOCK_MS = 10
"""By how much the broker's and a worker's idea of now may differ on one machine."""


@dataclass(frozen=True, slots=True)
class Logs:
    """Everything that lay in the topics at the end. `everything` is the source with open and aborted records."""

    stream: str
    everything: Sequence[Record]
    committed: Sequence[Record]
    delivered: Sequence[Record]
    edges: Sequence[Record]
    markers: Sequence[Record]


@dataclass(slots=True)
class Judgement:
    """What was found, and how much there was to judge."""

    problems: list[str] = field(default_factory=list)
    idle: int = 0
    active: int = 0
    claims: int = 0
    watermarks: int = 0


@dataclass(frozen=True, slots=True)
class _Edge:
    status: str
    position: int
    appended_ms: int
    said: Mapping[str, Any]


def judge(logs: Logs) -> Judgement:
    """Judge a whole run."""
    found = Judgement()
    edges = _edges(logs)
    for partition in sorted({record.partition for record in logs.everything} | edges.keys()):
        _Partition(logs, partition, edges.get(partition, []), found).judge()
    _judge_watermarks(logs, found)
    _judge_the_valve(logs, found)
    return found


class _Partition:
    """The records and edges of one partition; the destination's partition has the same number."""

    def __init__(self, logs: Logs, partition: int, edges: Sequence[_Edge], found: Judgement) -> None:
        self.partition, self.edges, self.found = partition, edges, found
        self.everything = [record for record in logs.everything if record.partition == partition]
        self.committed = [record for record in logs.committed if record.partition == partition]
        self.delivered = [record for record in logs.delivered if record.partition == partition]
        self.offsets = {record.value: record.offset for record in self.committed}

    def judge(self) -> None:
        self.found.idle += sum(edge.status == "IDLE" for edge in self.edges)
        self.found.active += sum(edge.status == "ACTIVE" for edge in self.edges)
        if [record.value for record in self.delivered] != [record.value for record in self.committed]:
            self.wrong(
                f"the destination holds {len(self.delivered)} records, which are not the {len(self.committed)} "
                "committed ones in their order"
            )
        self._idle_only_when_empty()
        self._idle_only_when_durable()
        self._active_before_written()
        self._alternating()

    def wrong(self, sentence: str) -> None:
        self.found.problems.append(f"partition {self.partition}: {sentence}")

    def _idle_only_when_empty(self) -> None:
        for edge in self.edges:
            if edge.status != "IDLE":
                continue
            judged_ms = int(edge.said["emitted_at_ms"])
            waiting = [
                record
                for record in self.everything
                if record.offset >= edge.position and record.timestamp_ms < judged_ms - CLOCK_MS
            ]
            if waiting:
                fate = "committed" if waiting[0].value in self.offsets else "never committed"
                self.wrong(
                    f"IDLE at {edge.position}, judged at {judged_ms}, while {len(waiting)} records lay there, the "
                    f"first at {waiting[0].offset} since {waiting[0].timestamp_ms} ({fate}): {_by(edge)}"
                )

    def _idle_only_when_durable(self) -> None:
        places = {record.value: record.offset for record in self.delivered}
        for edge in self.edges:
            covered = edge.said.get("dest_offsets") if edge.status == "IDLE" else None
            if covered is None:
                continue
            end = covered[str(self.partition)]
            late = [
                record
                for record in self.committed
                if record.offset < edge.position and places.get(record.value, end) >= end
            ]
            if late:
                self.wrong(
                    f"IDLE at {edge.position} covers the destination up to {end}, and {len(late)} records before it "
                    f"are not there, the first at {late[0].offset}: {_by(edge)}"
                )

    def _active_before_written(self) -> None:
        times = [edge.appended_ms for edge in self.edges]
        for record in self.delivered:
            at = bisect_right(times, record.timestamp_ms) - 1
            offset = self.offsets.get(record.value)
            if at < 0 or offset is None:
                continue
            last = self.edges[at]
            if last.status == "IDLE" and last.position <= offset:
                self.wrong(
                    f"the record at {offset} was written at {record.timestamp_ms} while IDLE at {last.position} was "
                    f"the last word: {_by(last)}"
                )
                return

    def _alternating(self) -> None:
        last: dict[tuple[int, ...], _Edge] = {}
        for edge in self.edges:
            before = last.get(_token(edge.said))
            if before is not None and before.status == edge.status:
                self.wrong(f"{edge.status} twice under one claim: {_by(edge)}")
            last[_token(edge.said)] = edge


def _edges(logs: Logs) -> dict[int, list[_Edge]]:
    """Return the edges of each partition in their order; their times do not fall within one partition of the topic."""
    found: dict[int, list[_Edge]] = {}
    for record in logs.edges:
        said = orjson.loads(record.value or b"{}")
        if said.get("stream") == logs.stream:
            proof = said.get("evidence") or {}
            edge = _Edge(said["status"], proof.get("position", -1), record.timestamp_ms, said)
            found.setdefault(said["channel"]["partition"], []).append(edge)
    return found


def _judge_watermarks(logs: Logs, found: Judgement) -> None:
    """See that no watermark falls, whoever owns its partition, and that none overtakes a record of its partition."""
    least: dict[int, tuple[list[int], list[int]]] = {}
    for partition in {record.partition for record in logs.delivered}:
        least[partition] = _least_from([record for record in logs.delivered if record.partition == partition])
    highest: dict[int, tuple[tuple[int, ...], int]] = {}
    owners: set[tuple[int, tuple[int, ...]]] = set()
    for record in logs.markers:
        said = orjson.loads(record.value or b"{}")
        if said.get("stream") != logs.stream or said.get("watermark") is None:
            continue
        partition, token, watermark = said["channel"]["partition"], _token(said), int(said["watermark"])
        found.watermarks += 1
        owners.add((partition, token))
        owner, before = highest.get(partition, (token, watermark))
        if token < owner:
            continue  # of an owner who was replaced: readers drop it
        if watermark < before:
            found.problems.append(
                f"partition {partition}: the watermark went back from {before} under claim {owner} to {watermark} "
                f"under claim {token}"
            )
        highest[partition] = token, max(before, watermark)
        covered = said.get("dest_offsets")
        if covered is not None and partition in least:
            offsets, oldest = least[partition]
            at = bisect_right(offsets, covered[str(partition)] - 1)
            if at < len(oldest) and oldest[at] <= watermark:
                found.problems.append(
                    f"partition {partition}: behind {covered[str(partition)]} lies a record of {oldest[at]}, which "
                    f"the watermark {watermark} has overtaken: claim {token}, seq {said['seq']}"
                )
    found.claims = len(owners)


def _least_from(records: Sequence[Record]) -> tuple[list[int], list[int]]:
    """Return the offsets, and for each the smallest event time from there on."""
    offsets, oldest = [], []
    smallest: int | None = None
    for record in reversed(records):
        at = int(record.header(HEADER) or b"0")
        smallest = at if smallest is None else min(smallest, at)
        offsets.append(record.offset)
        oldest.append(smallest)
    return offsets[::-1], oldest[::-1]


def _judge_the_valve(logs: Logs, found: Judgement) -> None:
    """Fold all markers as a reader does: the stream's watermark never falls, and its edges alternate."""
    table = ActivityTable()
    highest: int | None = None
    last: Status | None = None
    for record in logs.markers:
        for edge in table.apply(_as_message(record)):
            if edge.stream == logs.stream and edge.channel is None:
                if edge.status is last:
                    found.problems.append(f"the stream was said to be {edge.status.value} twice")
                last = edge.status
        watermark = table.watermark(logs.stream)
        if highest is not None and (watermark is None or watermark < highest):
            found.problems.append(f"the stream's watermark fell from {highest} to {watermark}")
        highest = watermark if watermark is not None else highest


def _as_message(record: Record) -> MemoryRecord:
    headers = list(record.headers)
    stamp = (1, record.timestamp_ms)
    return MemoryRecord(record.topic, record.partition, record.offset, record.key, record.value, headers, stamp)


def _token(said: Mapping[str, Any]) -> tuple[int, ...]:
    return said["incarnation"], said["epoch"], said["claim"]


def _by(edge: _Edge) -> str:
    return f"{edge.said['worker']}, claim {_token(edge.said)}, seq {edge.said['seq']}"
