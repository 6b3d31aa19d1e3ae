"""Markers among the records that a stream reads: they are no data, and are passed over (D2).

A stream before this one may have put them there. They take up positions, and that is all: they are not moved, not
counted, in no digest, wake no partition and break no emptiness. Whether a topic may hold some is known from the states
of all streams, those deleted included, so that the records of every other topic need not be looked at. What was known
once is not forgotten while the worker lives; `skip_markers` of the source says it for good, or of topics of which no
state tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headgate.ports.log import TopicPartition
from headgate.worker.accounts import partition_of
from headgate_events.markers import is_in_band
from headgate_events.upstreams import Place, place_of


class InBandTopics:
    """The topics that may hold markers. One thread adds to them, any thread may ask."""

    def __init__(self) -> None:
        self._places: frozenset[Place] = frozenset()

    def note(self, state: Mapping[str, Any]) -> None:
        """Take on what a stream's state says."""
        config = state.get("config") or {}
        if (config.get("idleness") or {}).get("markers") == "in_band":
            place = place_of(config.get("destination") or {})
            if place is not None and place not in self._places:
                self._places |= {place}

    def __contains__(self, place: object) -> bool:
        return place in self._places


class MarkersAmong:
    """Leaves markers out of what one task reads. Its thread owns it."""

    def __init__(self, topics: InBandTopics, source: Mapping[str, Any], *, always: bool) -> None:
        self._topics = topics
        self._place = place_of(source)
        self._always = always
        self.passed: set[TopicPartition] = set()
        """The partitions whose position moved over nothing but markers since the last commit."""

    @property
    def expected(self) -> bool:
        """Whether markers may be among the records."""
        return self._always or self._place in self._topics

    def without(self, records: Sequence[Any]) -> tuple[Sequence[Any], dict[TopicPartition, int]]:
        """Return the records without the markers, and the positions behind the last marker of each partition."""
        behind: dict[TopicPartition, int] = {}
        kept = []
        for record in records:
            if is_in_band(record):
                behind[partition_of(record)] = (record.offset() or 0) + 1
            else:
                kept.append(record)
        return (kept, behind) if behind else (records, behind)
