"""`ActivityReader`: who is idle, since when and on what proof, how far event time has come; then every edge.

A snapshot of the compacted markers topic first, then the same consumer follows. The past is on the edges topic, which
keeps every edge for thirty days.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from typing import Final

from headgate_events.client.channels import ActivityEdge, ActivityTable, AlternatingEdges
from headgate_events.client.interfaces import Activity
from headgate_events.client.kafka import Settings
from headgate_events.client.reader import TopicReader
from headgate_events.markers import decode_marker
from headgate_events.names import DEFAULT_NAMESPACE
from headgate_events.partitioner import partition_of
from headgate_events.records import Record
from headgate_events.schema.workers import Marker
from headgate_events.topics import Topics

SNAPSHOT_TIMEOUT_S: Final = 60.0


class ActivityReader(Activity):
    """Knows what was said about each channel. Belongs to one thread; contacts nobody before it is asked.

    `flush_on_all_idle` is the valve's switch: whether the largest watermark is taken when the last channel goes idle.
    None takes what each stream's definition says.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        kafka: Settings | None = None,
        flush_on_all_idle: bool | None = None,
    ) -> None:
        topics = Topics(namespace)
        self._markers = TopicReader(bootstrap_servers, topics.markers, kafka)
        self._edges = TopicReader(bootstrap_servers, topics.edges, kafka)
        self._flush = flush_on_all_idle
        self._table = ActivityTable(flush_on_all_idle=flush_on_all_idle)
        self._restored = False

    @property
    def table(self) -> ActivityTable:
        """What was said, as last read."""
        return self._table

    def refresh(
        self,
        timeout_s: float = SNAPSHOT_TIMEOUT_S,
        *,
        streams: Collection[str] | None = None,
        since_ms: int | None = None,
    ) -> list[ActivityEdge]:
        """Read up to what was said when this was called, and return the edges since the last call (none at first).

        The first reading may be made shorter, and with it all that follows: to the partitions where some streams
        stand, or to what was said since a time. Both are for whoever looks once and knows the rest from elsewhere.

        Raises ClusterUnreachable, TopicsMissing, or EnvironmentProblem when the end was not reached in time.
        """
        deadline = time.monotonic() + timeout_s
        first = not self._restored
        if first:
            self._table = ActivityTable(flush_on_all_idle=self._flush)
            self._markers.start(self._beginning(streams, since_ms, timeout_s))
        edges: list[ActivityEdge] = []
        newest: dict[bytes | str | None, Record] = {}
        for batch in self._markers.to_now(max(0.0, deadline - time.monotonic())):
            if first:
                # Each marker tells the whole of its channel, so of what was not compacted yet only the newest counts.
                for record in batch:
                    newest.pop(record.key(), None)  # so that they stay in the order of the log
                    newest[record.key()] = record
                continue
            for record in batch:
                edges += self._table.apply(record)
        for last in newest.values():
            self._table.apply(last)
        self._restored = True
        return edges

    def _beginning(
        self, streams: Collection[str] | None, since_ms: int | None, timeout_s: float
    ) -> dict[int, int | None]:
        """Return where to begin reading, by partition; None is the beginning."""
        count = self._markers.partitions(timeout_s)
        wanted = set(range(count)) if streams is None else {partition_of(each, count) for each in streams}
        if since_ms is None:
            return dict.fromkeys(sorted(wanted))
        # A partition that says nothing that new has nothing to read.
        return dict(self._markers.at_time(sorted(wanted), since_ms, timeout_s))

    def follow(self, timeout_s: float | None = None) -> Iterator[ActivityEdge]:
        """Yield every edge after the last reading, for `timeout_s` seconds; None is for ever.

        The edges of one channel, and those of one stream (`channel` is None), each strictly alternate. An interrupt is
        heard within 100 ms.
        """
        if not self._restored:
            self.refresh(SNAPSHOT_TIMEOUT_S if timeout_s is None else timeout_s)
        for batch in self._markers.onward(timeout_s):
            for record in batch:
                yield from self._table.apply(record)

    def past(self, stream: str, *, since_ms: int | None = None, timeout_s: float = 60.0) -> Iterator[Marker]:
        """Yield the edges of a stream that are still kept, oldest first: each is a marker with its proof.

        Those of one channel strictly alternate, from the first that is kept: what a new owner says again, and what a
        former one says late, is left out.
        """
        deadline = time.monotonic() + timeout_s
        place = partition_of(stream, self._edges.partitions(timeout_s))
        start: dict[int, int | None] = {place: None}
        if since_ms is not None:
            found = self._edges.at_time([place], since_ms, timeout_s)
            if place not in found:
                return
            start = {place: found[place]}
        self._edges.start(start)
        alternating = AlternatingEdges()
        for batch in self._edges.to_now(max(0.0, deadline - time.monotonic())):
            for record in batch:
                marker = decode_marker(record)
                if marker is not None and marker.stream == stream and alternating.passes(marker):
                    yield marker

    def close(self, timeout_s: float = 5.0) -> None:  # noqa: ARG002 - a reader of no group has nothing to wait for
        """Let go of the connections. What was read stays readable."""
        self._markers.close()
        self._edges.close()
