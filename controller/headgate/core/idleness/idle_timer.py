"""The idle timer: silence measured by probes, as Flink's generator with idleness does it (rule R20).

It is here for what can only be judged by silence, such as a source without an end to compare with. A Kafka partition is
judged by evidence instead (`emptiness`), because silence alone cannot tell an empty partition from a busy consumer.
"""

from __future__ import annotations


class IdleTimer:
    """Counts down from the first probe that saw no record, and is idle once strictly more than the timeout has passed.

    A source is therefore idle between the timeout and the timeout plus three probe intervals after its last record.
    `timeout_ms` is positive. The clock is whatever the prober hands in, best one that stops while the source is kept
    from reading; it counts from above zero, for a quiet probe at zero does not start the countdown (in Flink that value
    means "not started", and results have to compare).
    """

    __slots__ = ("_announced", "_quiet_since_ms", "_saw_record", "_timeout_ms")

    def __init__(self, timeout_ms: int) -> None:
        if timeout_ms <= 0:
            raise ValueError(f"an idle timeout is longer than zero, and this one is {timeout_ms} ms")
        self._timeout_ms = timeout_ms
        self._saw_record = False
        self._quiet_since_ms: int | None = None
        self._announced = False

    def activity(self) -> None:
        """Note a record. Cheap: no clock is read."""
        self._saw_record = True
        self._announced = False

    def probe(self, now_ms: int) -> bool:
        """Return whether the source is idle at this probe; it stays so until a record comes."""
        if self._saw_record:
            self._saw_record = False
            self._quiet_since_ms = None
            return False
        if self._quiet_since_ms is None:
            self._quiet_since_ms = now_ms if now_ms != 0 else None
            return False
        return now_ms - self._quiet_since_ms > self._timeout_ms

    def fires(self, now_ms: int) -> bool:
        """Probe, and return True only at the first idle probe of a silence: the moment to announce IDLE."""
        news = self.probe(now_ms) and not self._announced
        self._announced = self._announced or news
        return news
