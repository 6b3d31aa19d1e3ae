"""Activity in memory: what workers would say about channels, said by a test, and read as `ActivityReader` reads it.

The markers pass through the real codec and the real table with its valve, so what a program sees here of edges and
watermarks is what it would see of a cluster where workers said the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Condition
from typing import Any

from headgate_events.client.channels import ActivityEdge, ActivityTable
from headgate_events.client.interfaces import Activity
from headgate_events.errors import InvalidRequest
from headgate_events.idleness.signals import MAX, Status
from headgate_events.markers import ChannelId, decode_marker, marker_record
from headgate_events.schema.workers import Marker
from headgate_events.testing.records import StoredRecord
from headgate_events.topics import Topics

REASONS = {Status.ACTIVE: "RESUMED", Status.IDLE: "EMPTY", Status.FINISHED: "FINISHED"}


@dataclass(slots=True)
class Said:
    """What was last said of one channel, under which token."""

    token: tuple[int, int]
    status: Status | None = None
    since_ms: int = 0
    watermark: int | None = None
    position: int = 0
    seq: int = 0


@dataclass(slots=True)
class Markers:
    """The markers and edges topics of one namespace in memory, and the words that made them."""

    topics: Topics
    changed: Condition
    markers: list[StoredRecord] = field(default_factory=list)
    edges: list[StoredRecord] = field(default_factory=list)
    said: dict[ChannelId, Said] = field(default_factory=dict)

    def say(
        self,
        state: Mapping[str, Any],
        channel: ChannelId,
        status: Status | None,
        now_ms: int,
        *,
        watermark: int | None,
        position: int | None,
        reason: str | None,
        worker: str,
    ) -> None:
        """Append the marker of one channel, and its edge where the status changes. None leaves what was said."""
        token = (state["incarnation"], state["epoch"])
        before = self.said.get(channel)
        if before is None or before.token[0] != token[0]:
            before = Said(token)
        elif before.token != token:
            before = Said(token, watermark=before.watermark, position=before.position)
        status = status or before.status
        if status is None:
            raise InvalidRequest(f"Nothing was said yet of {channel}.", hint="Say ACTIVE or IDLE of it first.")
        edge = status is not before.status
        before.since_ms = now_ms if edge else before.since_ms
        before.status, before.seq = status, before.seq + 1
        before.watermark = before.watermark if watermark is None else watermark
        before.position = before.position if position is None else position
        if status is Status.FINISHED and before.watermark is not None:
            before.watermark = MAX
        self.said[channel] = before
        end = before.position
        proof = {"position": end, "end": end, "high": end, "fetched_at_ms": now_ms, "isolation": "read_committed"}
        payload = {
            "kind": "marker",
            "marker": "FINISH" if status is Status.FINISHED else "STATUS" if edge else "WATERMARK",
            "stream": channel.stream,
            "channel": {"topic": channel.topic, "partition": channel.partition},
            "status": status.value,
            "watermark": before.watermark,
            "reason": reason or REASONS[status],
            "incarnation": token[0],
            "epoch": token[1],
            "claim": 0,
            "seq": before.seq,
            "worker": worker,
            "evidence": None if status is Status.ACTIVE else proof,
            "emitted_at_ms": now_ms,
            "since_ms": before.since_ms,
            "channels_total": sum((state["partitions"] or {}).values()),
        }
        with self.changed:
            self._append(self.markers, self.topics.markers, payload, now_ms)
            if edge:
                self._append(self.edges, self.topics.edges, payload, now_ms)
            self.changed.notify_all()

    def is_idle(self, state: Mapping[str, Any]) -> bool:
        """Say whether every partition of a stream is said to be idle, or to have ended, under the present epoch."""
        return self.idle_since_ms(state) is not None

    def idle_since_ms(self, state: Mapping[str, Any]) -> int | None:
        """Return since when a stream is idle; None where it is not, or where that is not known of every partition."""
        token = (state["incarnation"], state["epoch"])
        found = []
        for topic, count in (state["partitions"] or {}).items():
            for number in range(count):
                said = self.said.get(ChannelId(state["stream"], topic, number))
                if said is None or said.token != token or said.status in {None, Status.ACTIVE}:
                    return None
                found.append(said.since_ms)
        return max(found, default=None)

    def ends(self, state: Mapping[str, Any]) -> dict[str, dict[str, int]]:
        """Return where each partition of an idle stream ends."""
        found: dict[str, dict[str, int]] = {}
        for channel, said in self.said.items():
            if channel.stream == state["stream"] and said.status is Status.IDLE:
                found.setdefault(channel.topic, {})[str(channel.partition)] = said.position
        return found

    @staticmethod
    def _append(stored: list[StoredRecord], topic: str, payload: dict[str, Any], now_ms: int) -> None:
        made = marker_record(topic, 1, payload)
        stored.append(StoredRecord(topic, 0, len(stored), made.key, made.value, made.headers, now_ms))


class MemoryActivity(Activity):
    """`Activity` in memory."""

    def __init__(self, markers: Markers, wait: Callable[[Condition, Callable[[], bool], float | None], None]) -> None:
        self._markers = markers
        self._wait = wait
        self._table = ActivityTable()
        self._next = 0
        self._restored = False

    @property
    def table(self) -> ActivityTable:
        """What was said, as last read."""
        return self._table

    def refresh(
        self,
        timeout_s: float = 60.0,  # noqa: ARG002 - there is nothing to wait for
        *,
        streams: Collection[str] | None = None,  # noqa: ARG002 - nor is it long
        since_ms: int | None = None,  # noqa: ARG002
    ) -> list[ActivityEdge]:
        """Read up to what was said when this was called, and return the edges since the last call (none at first)."""
        edges = [edge for record in self._new() for edge in self._table.apply(record)]
        first, self._restored = not self._restored, True
        return [] if first else edges

    def follow(self, timeout_s: float | None = None) -> Iterator[ActivityEdge]:
        """Yield every edge after the last reading, and wait in real time for those that other threads make."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        if not self._restored:
            self.refresh()
        while True:
            for record in self._new():
                yield from self._table.apply(record)
            if deadline is not None and time.monotonic() >= deadline:
                return
            self._wait(self._markers.changed, lambda: self._next < len(self._markers.markers), deadline)

    def past(self, stream: str, *, since_ms: int | None = None, timeout_s: float = 60.0) -> Iterator[Marker]:  # noqa: ARG002
        """Yield the edges of a stream, oldest first: each is a marker with its proof."""
        for record in list(self._markers.edges):
            marker = decode_marker(record)
            if marker is not None and marker.stream == stream and marker.emitted_at_ms >= (since_ms or 0):
                yield marker

    def close(self, timeout_s: float = 5.0) -> None:
        """Do nothing: there is nothing to let go of."""

    def _new(self) -> list[StoredRecord]:
        with self._markers.changed:
            found = self._markers.markers[self._next :]
            self._next = len(self._markers.markers)
            return found
