"""The output gate: the last place before the wire, where nothing gets past an announced IDLE.

The valve already keeps watermarks back while its output is IDLE. The gate does it once more where everything leaves, so
that a watermark made inside a task cannot slip by (rule R7; Flink does it in its RecordWriterOutput). Records pass
always: a status governs watermarks only (R19).
"""

from __future__ import annotations

from headgate_events.idleness.signals import Edge, Signal, Status


class OutputGate:
    """Remembers the announced status, from ACTIVE (R1). Not safe across threads; owned by whoever writes."""

    __slots__ = ("_announced",)

    def __init__(self) -> None:
        self._announced = Status.ACTIVE

    @property
    def announced(self) -> Status:
        """The status that was let through last; ACTIVE before any."""
        return self._announced

    def passes(self, signal: Signal) -> bool:
        """Return whether the signal may leave: a status only if it is news (R3), a watermark only while ACTIVE (R7)."""
        if isinstance(signal, Edge):
            assert signal.status is not Status.FINISHED
            news = signal.status is not self._announced
            self._announced = signal.status
            return news
        return self._announced is Status.ACTIVE
