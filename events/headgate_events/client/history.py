"""`HistoryReader`: the audit log of one stream or of all, from a version, a time or the beginning, to now or onward.

What is read is judged while it is read: repeats are dropped, gaps and breaks of the hash chain are yielded among the
entries, so a log that was torn is seen by whoever looks at it. One stream is one partition, and records of other
streams in it are passed over by their key, without being parsed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from headgate_events.client.interfaces import History
from headgate_events.client.kafka import Settings
from headgate_events.client.reader import TopicReader
from headgate_events.client.selection import Selection
from headgate_events.client.sequence import HistoryItem
from headgate_events.names import DEFAULT_NAMESPACE
from headgate_events.partitioner import partition_of
from headgate_events.topics import Topics

READ_TIMEOUT_S: Final = 60.0
CLOCK_MARGIN_MS: Final = 300_000
"""How far the clock of a projector, which stamps the history, may be behind the broker's, which stamps the inputs."""


class HistoryReader(History):
    """Reads the history. Belongs to one thread; contacts nobody before it is asked. One reading at a time."""

    def __init__(
        self, bootstrap_servers: str, namespace: str = DEFAULT_NAMESPACE, *, kafka: Settings | None = None
    ) -> None:
        self._reader = TopicReader(bootstrap_servers, Topics(namespace).history, kafka)

    def read(
        self,
        stream: str | None = None,
        *,
        from_version: int | None = None,
        since_ms: int | None = None,
        follow: bool = False,
        timeout_s: float | None = None,
    ) -> Iterator[HistoryItem]:
        """Yield one stream's history, or everybody's, up to now; with `follow` also what comes after.

        Reading begins at the first transition whose version is `from_version` or later, and with decisions made at
        `since_ms` or later. `timeout_s` bounds the whole reading; None is 60 s up to now, then for ever. The order is
        that of each stream; between streams of different partitions there is none. An interrupt is heard within 100 ms.
        A `forwarded` record stands in the partition that the input came from, so it shows where all streams are read.

        Raises InvalidRequest at once for arguments that cannot be meant; while reading ClusterUnreachable,
        TopicsMissing, or EnvironmentProblem when the end was not reached in time.
        """
        selection = Selection(stream, from_version, since_ms, from_start=since_ms is None)
        return self._items(selection, stream, since_ms, follow, timeout_s)

    def _items(
        self, selection: Selection, stream: str | None, since_ms: int | None, follow: bool, timeout_s: float | None
    ) -> Iterator[HistoryItem]:
        deadline = time.monotonic() + (READ_TIMEOUT_S if timeout_s is None else timeout_s)
        count = self._reader.partitions(_left(deadline))
        partitions = range(count) if stream is None else [partition_of(stream, count)]
        starts: dict[int, int | None] = dict.fromkeys(partitions)
        if since_ms is not None:
            found = self._reader.at_time(partitions, max(0, since_ms - CLOCK_MARGIN_MS), _left(deadline))
            starts = {partition: found.get(partition) for partition in partitions}
        self._reader.start(starts)
        for batch in self._reader.to_now(_left(deadline)):
            for record in batch:
                yield from selection.items(record)
        if follow:
            for batch in self._reader.onward(None if timeout_s is None else _left(deadline)):
                for record in batch:
                    yield from selection.items(record)

    def close(self, timeout_s: float = 5.0) -> None:  # noqa: ARG002 - a reader of no group has nothing to wait for
        """Let go of the connection."""
        self._reader.close()


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
