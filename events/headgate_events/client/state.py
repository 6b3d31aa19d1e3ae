"""`StateReader`: every stream as it is, then every change, from the compacted state topic.

The snapshot is read up to where the topic ended when it was asked for, so it shows whatever was decided before; then
the same consumer follows. What is held are bytes (`CompactedTable`), which are parsed when they are asked for.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from headgate_events.client.interfaces import State
from headgate_events.client.kafka import Settings
from headgate_events.client.reader import TopicReader
from headgate_events.client.table import Change, CompactedTable
from headgate_events.names import DEFAULT_NAMESPACE
from headgate_events.schema.state import StreamState
from headgate_events.topics import Topics

SNAPSHOT_TIMEOUT_S: Final = 60.0


class StateReader(State):
    """Knows where each stream is. Belongs to one thread; contacts nobody before it is asked for something."""

    def __init__(
        self, bootstrap_servers: str, namespace: str = DEFAULT_NAMESPACE, *, kafka: Settings | None = None
    ) -> None:
        self._reader = TopicReader(bootstrap_servers, Topics(namespace).state, kafka)
        self._table = CompactedTable()
        self._restored = False
        self._missed: OrderedDict[str, Change] = OrderedDict()

    @property
    def table(self) -> CompactedTable:
        """The table as last read, for names, raw bytes and large numbers of streams."""
        return self._table

    def refresh(self, timeout_s: float = SNAPSHOT_TIMEOUT_S) -> None:
        """Read up to what was written when this was called. Changes met on the way are given by `follow` later on.

        Raises ClusterUnreachable, TopicsMissing, or EnvironmentProblem when the end was not reached in time.
        """
        deadline = time.monotonic() + timeout_s
        if not self._restored:
            # An attempt that broke off may hold streams whose ends are compacted away by now.
            self._table = CompactedTable()
            self._reader.start(dict.fromkeys(range(self._reader.partitions(timeout_s))))
            for batch in self._reader.to_now(deadline - time.monotonic()):
                self._table.load(batch)
            self._restored = True
            return
        for batch in self._reader.to_now(timeout_s):
            for record in batch:
                self._note(self._table.apply(record))

    def snapshot(self, timeout_s: float = SNAPSHOT_TIMEOUT_S) -> dict[str, StreamState]:
        """Return every stream as of this call or later; changes before it are not given by `follow` any more."""
        self.refresh(timeout_s)
        self._missed.clear()
        return dict(self._table.items())

    def get(self, stream: str) -> StreamState | None:
        """Return one stream as last read (the first call reads a snapshot); None when there is none."""
        if not self._restored:
            self.refresh()
        return self._table.get(stream)

    def follow(self, timeout_s: float | None = None) -> Iterator[Change]:
        """Yield every change after the last snapshot for `timeout_s` seconds; None is for ever.

        Waits at most 100 ms at a time, so that an interrupt is heard. Raises EnvironmentProblem when the log fails for
        good; a cluster that goes away for a while is waited for.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        if not self._restored:
            self.refresh(SNAPSHOT_TIMEOUT_S if timeout_s is None else timeout_s)
        yield from self._take_missed()
        left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
        for batch in self._reader.onward(left_s):
            for record in batch:
                self._note(self._table.apply(record))
            yield from self._take_missed()

    def close(self, timeout_s: float = 5.0) -> None:  # noqa: ARG002 - a reader of no group has nothing to wait for
        """Let go of the connection. What was read stays readable."""
        self._reader.close()

    def _note(self, change: Change | None) -> None:
        """Keep a change until somebody follows: the newest of each stream, which bounds what is kept."""
        if change is None:
            return
        earlier = self._missed.pop(change.stream, None)
        if earlier is not None:
            change = Change(change.stream, change.value, earlier.previous)
        if change.value != change.previous:
            self._missed[change.stream] = change

    def _take_missed(self) -> Iterator[Change]:
        while self._missed:
            yield self._missed.popitem(last=False)[1]
