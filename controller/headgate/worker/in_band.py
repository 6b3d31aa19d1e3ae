"""Markers among a destination's own records (`idleness.markers: in_band`), beside those on the markers topic.

Each marker goes to every partition of the destination, after the records that it covers and in the same transaction
with them where there is one. So a reader of one partition needs nothing else to know how far it is. A header says that
it is a marker and no record; a foreign reader has to look at it, which is why a stream has to ask for this.

A partition that the destination gets later is told everything that holds, as soon as it is seen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import Final

from headgate.ports.errors import LogError
from headgate.ports.log import Log
from headgate_events.markers import MarkerRecord, in_band_record
from headgate_events.records import Payload
from headgate_events.schema.config import StreamConfig

REQUEST_S: Final = 10.0
LOOK_MS: Final = 5_000
"""How often it is asked how many partitions the destination has."""
REPEAT: Final = "HEARTBEAT"
"""The kind of a marker that repeats what holds; it goes to new partitions alone."""


class InBand:
    """What one task writes among the records of a topic on the markers' cluster. Its thread owns it."""

    def __init__(self, log: Log, topic: str) -> None:
        self._log = log
        self._topic = topic
        self._count = 0
        self._newcomers = range(0)
        self._look_ms = 0

    def grown(self, now_ms: int) -> bool:
        """Say whether the destination got partitions that are to be told everything. Asks now and then."""
        if now_ms >= self._look_ms:
            self._look_ms = now_ms + LOOK_MS
            before = self._count
            with contextlib.suppress(LogError):  # it is asked again
                self._look()
            if before < self._count and before:
                self._newcomers = range(before, self._count)
        return bool(self._newcomers)

    def records(self, markers: Sequence[Payload]) -> list[MarkerRecord]:
        """Return what is to be written, partition by partition. Raises LogError."""
        if not self._count:
            self._look()
        newcomers, self._newcomers = self._newcomers, range(0)
        found = []
        for each in markers:
            places: Iterable[int] = newcomers if each["marker"] == REPEAT else range(self._count)
            found += [in_band_record(self._topic, place, each) for place in places]
        return found

    def _look(self) -> None:
        self._count = max(self._count, self._log.partitions(self._topic, REQUEST_S) or 0)


def why_not_in_band(config: StreamConfig) -> str | None:
    """Return why markers cannot go among this stream's records; None where they can, or need not."""
    if config.idleness.markers != "in_band":
        return None
    destination = config.destination
    if destination.kind != "kafka":
        return f"Markers can go among the records of a Kafka topic only, and the destination is {destination.kind}."
    if (destination.model_extra or {}).get("connection") is not None:
        return "Markers can go among the records of a topic on the stream's own cluster only."
    return None
