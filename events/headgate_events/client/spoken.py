"""Who speaks for which channel, by the heartbeats of the workers: what a vigil over channels needs.

A heartbeat counts for three of its intervals, from when it was received; one that was read while catching up counts
from when it was written, between its timestamp and this machine's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from headgate_events.idleness.vigil import Spoken, spoken_for
from headgate_events.markers import ChannelId
from headgate_events.names import cordoned_worker
from headgate_events.records import Record

MISSED_BEATS: Final = 3


class Speakers:
    """The newest heartbeat of each worker. Belongs to one thread; seconds are of one steady clock."""

    def __init__(self) -> None:
        self._beats: dict[str, tuple[Mapping[str, Any], float, float]] = {}
        self.patience_s = 0.0
        """How long three heartbeats last, by the slowest worker; 0 while none was heard."""

    def take(self, record: Record, now_s: float, now_ms: int, *, caught_up: bool) -> None:
        """Take a record of the heartbeats topic; what is no heartbeat, or is damaged, says nothing."""
        key, value = record.key(), record.value()
        name = key.decode(errors="replace") if isinstance(key, bytes) else ""
        if not name or cordoned_worker(name) is not None:
            return
        if value is None:
            self._beats.pop(name, None)
            return
        try:
            beat = orjson.loads(value)
            lasts_s = MISSED_BEATS * float(beat["interval_ms"]) / 1000
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            return
        age_s = 0.0 if caught_up else max(0.0, (now_ms - int(record.timestamp()[1])) / 1000)
        self._beats[name] = (beat, now_s - age_s, lasts_s)
        self.patience_s = max(self.patience_s, lasts_s)

    def spoken_for(self, streams: Mapping[str, int]) -> dict[ChannelId, Spoken]:
        """Return what was said last of the channels of these streams (name and incarnation), the newest of each."""
        return spoken_for(self._beats.values(), streams)
