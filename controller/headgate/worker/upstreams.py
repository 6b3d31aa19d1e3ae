"""Upstreams: which streams write a topic, so that no task judges by itself a topic that carries another's output.

An empty partition of such a topic says nothing: the stream before may be busy and filter everything out. A worker keeps
one small index of all streams' destinations. The supervisor, which alone follows the state, changes it; tasks only ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headgate_events.schema.common import Status

Place = tuple[str | None, str]
"""A topic: the name of the connection to its cluster (None is the cluster of the streams), and its own."""


class Upstreams:
    """The streams that write each topic. One thread changes it, any thread may ask."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._writers: dict[Place, frozenset[str]] = {}

    def note(self, stream: str, state: Mapping[str, Any] | None) -> None:
        """Take on a stream's newest state; None, or one that was deleted, writes nowhere any more."""
        place = None
        if state is not None and state.get("status") != Status.DELETED.value:
            place = place_of((state.get("config") or {}).get("destination") or {})
        before = self._places.get(stream)
        if place == before:
            return
        if before is not None:
            del self._places[stream]
            left = self._writers[before] - {stream}
            if left:
                self._writers[before] = left
            else:
                del self._writers[before]
        if place is not None:
            self._places[stream] = place
            self._writers[place] = self._writers.get(place, frozenset()) | {stream}

    def of(self, source: Mapping[str, Any]) -> frozenset[str]:
        """Return the streams that write what a stream with this source reads."""
        place = place_of(source)
        return frozenset() if place is None else self._writers.get(place, frozenset())


def place_of(connector: Mapping[str, Any]) -> Place | None:
    """Return the topic that a source or destination names; None for one that is not a Kafka topic."""
    topic = connector.get("topic")
    if connector.get("kind") != "kafka" or not isinstance(topic, str):
        return None
    connection = connector.get("connection")
    return (connection if isinstance(connection, str) else None), topic
