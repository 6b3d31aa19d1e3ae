"""A report is sent until it is acknowledged, by another producer where one is beyond use."""

from __future__ import annotations

from typing import Any

from headgate.adapters.clock import ManualClock
from headgate.adapters.memory import MemoryKafka, MemoryLog
from headgate.ports.errors import LogFatal
from headgate.worker.mailbox import Report
from headgate.worker.reporter import RETRY_S, Reporter
from headgate.worker.view import view_of
from headgate_events.topics import Topics
from tests.unit.worker.test_fleet_and_reports import STATE

TOPICS = Topics("ns")


class BreakingLog:
    """A log whose first producer takes records, never delivers them, and is beyond use at the next look."""

    def __init__(self, log: MemoryLog) -> None:
        self.made = 0
        self.dropped = 0
        self._log = log

    def producer(self, **_: Any) -> Any:
        self.made += 1
        return self._log.producer() if self.made > 1 else self

    def produce(self, *_: Any) -> None:
        """Take a record and keep it."""

    def poll(self) -> None:
        raise LogFatal("The sequence of this producer is out of order.")

    def drop(self) -> None:
        self.dropped += 1


def test_what_a_producer_had_under_way_is_sent_again_when_it_is_beyond_use() -> None:
    clock = ManualClock()
    kafka = MemoryKafka(clock)
    kafka.create_topics(TOPICS.specs, 2)
    log = BreakingLog(kafka.log("worker"))
    reporter = Reporter(log, TOPICS, clock, "a")  # type: ignore[arg-type]
    report = Report.of(view_of(STATE), "a", "task-started", {"revision": 2}, "1")
    reporter.add(report)
    reporter.step(clock.monotonic_s())
    reporter.step(clock.monotonic_s())
    assert (log.dropped, reporter.open_reports) == (1, 1)
    clock.advance(2 * RETRY_S)
    reporter.step(clock.monotonic_s())
    reporter.step(clock.monotonic_s())
    assert (log.made, reporter.open_reports) == (2, 0)
    (record,) = kafka.records(TOPICS.reports)
    assert dict(record.headers() or ())["ce_id"] == report.id.encode()
    assert reporter.close(1.0)
