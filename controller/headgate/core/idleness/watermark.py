"""How far event time has come in one channel: the largest time seen, less what records may be out of order.

The watermark says that no record at or before it is expected; a record that comes all the same is late, and counted.
Late is judged by what was announced, since that is what readers downstream have acted on.
"""

from __future__ import annotations

from collections.abc import Sequence

from headgate_events.idleness.signals import MAX, MIN, saturated


class WatermarkGenerator:
    """Makes one channel's watermarks, strictly rising, all in milliseconds. One thread owns it.

    `out_of_orderness_ms` is how much older than the newest a record may be and still be on time; zero for records in
    order. `seed` is the watermark that the channel's former owner had announced (MIN: none).
    """

    __slots__ = ("_announced", "_bound_ms", "_largest", "_reached", "late", "seen", "without_time")

    def __init__(self, out_of_orderness_ms: int, seed: int = MIN) -> None:
        if out_of_orderness_ms < 0:
            raise ValueError(f"records cannot be out of order by {out_of_orderness_ms} ms; zero means in order")
        self._bound_ms = out_of_orderness_ms
        self._announced = self._reached = seed
        self._largest: int | None = None
        self.seen = 0
        self.late = 0
        self.without_time = 0

    @property
    def announced(self) -> int:
        """The watermark announced last, MIN before any."""
        return self._announced

    @property
    def reached(self) -> int:
        """How far event time has come, announced or not, and without regard to an end: what an heir begins with."""
        return max(self._reached, MIN if self._largest is None else self._candidate(self._largest))

    def observe(self, event_time_ms: int | None) -> bool:
        """Note a record's event time (None: it has none) and return whether the record is late."""
        self.seen += 1
        if event_time_ms is None:
            self.without_time += 1
            return False
        if self._largest is None or event_time_ms > self._largest:
            self._largest = event_time_ms
        late = event_time_ms <= self._announced
        self.late += late
        return late

    def observe_all(self, event_times_ms: Sequence[int], without_time: int = 0) -> int:
        """Note records in a row, and so many more without a time, as `observe` would; return how many are late.

        The hot path: three loops that run in C, and a look at each only where one of them is late.
        """
        self.seen += len(event_times_ms) + without_time
        self.without_time += without_time
        if not event_times_ms:
            return 0
        newest = max(event_times_ms)
        if self._largest is None or newest > self._largest:
            self._largest = newest
        late = 0
        if min(event_times_ms) <= self._announced:
            late = sum(each <= self._announced for each in event_times_ms)
            self.late += late
        return late

    def due(self) -> int | None:
        """Return the watermark to announce now, None if not above the last; what is returned is announced."""
        if self._largest is None:
            return None
        return self._announce(self._candidate(self._largest))

    def _candidate(self, largest: int) -> int:
        # The newest time itself may come again, hence one less; so no record's time, however large, makes a MAX.
        return saturated(largest - self._bound_ms - 1)

    def due_while_empty(self, checked_at_ms: int, margin_ms: int) -> int | None:
        """Return what a look at the end allows to announce: time of the look, less disorder and margin; None as above.

        Only with end evidence, and only where a stream asks for it (`idle_advance`): it trusts the producers' clocks.
        """
        return self._announce(saturated(checked_at_ms - self._bound_ms - margin_ms - 1))

    def inherit(self, watermark: int) -> int | None:
        """Announce a watermark that the streams before have made; None when it is not above the last."""
        self._reached = max(self._reached, watermark)
        return self._announce(watermark)

    def finish(self) -> int | None:
        """Return MAX, the end of event time, or None when it was announced before."""
        return self._announce(MAX)

    def _announce(self, candidate: int) -> int | None:
        if candidate <= self._announced:
            return None
        self._announced = candidate
        if candidate < MAX:
            self._reached = candidate
        return candidate
