"""The marker feed: the markers of some streams, and whether all that stood there at a given moment have been taken.

Whoever puts markers among records may release a record only once every marker is there that was written before the
record was fetched. So, after a fetch, `look` asks where the markers topic ends now, transactions that are open or were
aborted included, and `up_to_date` says when committed reading has come that far. Marks of transactions at the tail are
passed by position, not by record; an open transaction is waited for, by whoever asks, and by nobody else.

Each stream's markers stand in one partition of the compacted topic; a stream that is followed later is read from the
beginning of its partition, so nothing that it said is missing. What was taken already comes again then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from headgate_events.markers import decode_marker, is_claim, stream_of
from headgate_events.partitioner import partition_of
from headgate_events.records import Record
from headgate_events.schema.workers import Marker


class MarkersTopic(Protocol):
    """The markers topic of a namespace, as one reader of committed records sees it. Every call is bounded in time."""

    def partitions(self) -> int:
        """Return how many partitions there are."""
        ...

    def begin(self, positions: Mapping[int, int | None]) -> None:
        """Read exactly these partitions from these positions on; None is the beginning."""
        ...

    def read(self, wait_s: float) -> tuple[Sequence[Record], Mapping[int, int]]:
        """Return the next records, and the ends that were met after the last of them."""
        ...

    def ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Ask for the high watermarks, past what is open or was aborted."""
        ...

    def rest(self) -> None:
        """Let go of what is only needed to ask."""
        ...

    def close(self) -> None:
        """Let go of everything; `begin` comes before the next `read`."""
        ...


class MarkerFeed:
    """Follows the markers of streams. Belongs to one thread."""

    def __init__(self, topic: MarkersTopic) -> None:
        self._topic = topic
        self._count = 0
        self._streams: frozenset[str] = frozenset()
        self._positions: dict[int, int] = {}
        self._ends: dict[int, int] | None = None

    @property
    def up_to_date(self) -> bool:
        """Whether everything has been taken that stood there at the last look."""
        return self._ends is not None and not self._ends

    @property
    def looked(self) -> bool:
        """Whether there was a look since the last change of what is followed."""
        return self._ends is not None

    def follow(self, streams: Iterable[str]) -> None:
        """Follow exactly these streams from now on. What was looked for before has to be looked for anew."""
        wanted = frozenset(streams)
        if wanted == self._streams:
            return
        if not self._count:
            self._count = self._topic.partitions()
        places = {each: partition_of(each, self._count) for each in wanted}
        anew = {places[each] for each in wanted - self._streams}
        kept = {each: at for each, at in self._positions.items() if each in set(places.values()) and each not in anew}
        if anew or kept != self._positions:
            self._topic.begin({**dict.fromkeys(anew), **kept})
        self._positions = {**dict.fromkeys(anew, 0), **kept}
        self._streams = wanted
        self._ends = None

    def look(self) -> None:
        """Ask for the present ends; `up_to_date` is about them from now on."""
        ends = self._topic.ends(self._positions.keys())
        self._ends = {each: end for each, end in ends.items() if self._positions[each] < end}

    def take(self, wait_s: float = 0.0) -> list[Marker]:
        """Return the next markers of these streams, in order within each stream. Claims are left out."""
        if not self._positions:
            return []
        records, ends = self._topic.read(wait_s)
        markers = []
        for record in records:
            place, offset = record.partition(), record.offset()
            assert place is not None
            assert offset is not None
            self._positions[place] = offset + 1
            key = record.key()
            if isinstance(key, bytes) and stream_of(key) in self._streams and not is_claim(key):
                marker = decode_marker(record)
                if marker is not None:
                    markers.append(marker)
        for place, end in ends.items():
            self._positions[place] = max(self._positions.get(place, 0), end)
        if self._ends:
            self._ends = {each: end for each, end in self._ends.items() if self._positions.get(each, 0) < end}
        return markers

    def rest(self) -> None:
        """Cost as little as possible until the next look."""
        self._topic.rest()

    def close(self) -> None:
        """Let go. A later `follow` begins from the beginning."""
        self._topic.close()
        self._streams, self._positions, self._ends = frozenset(), {}, None
