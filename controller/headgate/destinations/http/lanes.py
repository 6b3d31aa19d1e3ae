"""Lanes: several requests at a time, and yet no record overtakes another one of its key.

A record's lane follows from its source partition and its key (records without a key: from the partition alone), and a
lane makes its requests one after the other. What the lanes hold is sent by `run`, which returns when all of it was
answered, so nothing goes on behind the task's back: an error leaves no request under way that could come after the
records were handed over again, other than one whose answer did not come in time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final
from zlib import crc32

from headgate.destinations.http.bodies import Part
from headgate.ports.connectors import ConnectorUnavailable
from headgate.ports.destination import Output

GRACE_S: Final = 1.0


class Lanes:
    """Parts that wait to be sent, by lane and source partition. The task's thread owns them."""

    def __init__(self, count: int, most_records: int, most_bytes: int) -> None:
        self._count = count
        self._most_records = most_records
        self._most_bytes = most_bytes
        self._lanes: list[list[list[Part]]] = [[] for _ in range(count)]
        self._growing: dict[tuple[int, str | None, int | None], tuple[list[Part], int]] = {}
        self.held = 0
        self.held_bytes = 0

    def add(self, part: Part) -> None:
        """Let a part wait in its lane. A batch holds parts of one source partition."""
        origin, size = part.output.origin, len(part.data)
        number = lane_of(part.output, self._count)
        place = (number, origin.topic(), origin.partition())
        batch, filled = self._growing.get(place, ([], 0))
        if not batch or len(batch) >= self._most_records or filled + size > self._most_bytes:
            batch, filled = [], 0
            self._lanes[number].append(batch)
        batch.append(part)
        self._growing[place] = (batch, filled + size)
        self.held += 1
        self.held_bytes += size

    def clear(self) -> None:
        """Forget what waits."""
        for batches in self._lanes:
            batches.clear()
        self._growing.clear()
        self.held = self.held_bytes = 0

    def run(self, send: Callable[[Sequence[Part]], None], deadline_s: float) -> None:
        """Send what waits, each lane in a thread of its own. Raises what the first `send` that failed raised.

        Raises ConnectorUnavailable when it is not done at the deadline.
        """
        lanes = [list(batches) for batches in self._lanes if batches]
        self.clear()
        errors: list[Exception] = []
        stop = threading.Event()

        def drive(batches: list[list[Part]]) -> None:
            try:
                for batch in batches:
                    if stop.is_set():
                        return
                    send(batch)
            except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
                errors.append(error)
                stop.set()

        threads = [threading.Thread(target=drive, args=(each,), name="http-lane", daemon=True) for each in lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline_s + GRACE_S - time.monotonic()))
        unfinished = any(thread.is_alive() for thread in threads)
        stop.set()
        if errors:
            raise errors[0]
        if unfinished:
            raise ConnectorUnavailable("Requests were not answered in time, and were given up.")


def lane_of(output: Output, count: int) -> int:
    """Return the lane of an output: the same one for all records of a key of one source partition."""
    place = b"%d" % (output.origin.partition() or 0)
    return crc32(place if output.key is None else place + b":" + output.key) % count
