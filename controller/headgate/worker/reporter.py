"""The reporter: what a worker says to the projector, and its heartbeats. Reports are sent until they are acknowledged.

The producer is idempotent and not transactional: a report that arrives twice has the same id, and the fold takes it
once. A heartbeat is never repeated, because the next one says more. A producer that is beyond use, as one is that could
not reach its broker for long, is let go, and what it had under way is sent by another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import structlog

from headgate.ports.errors import LogError, LogFatal
from headgate.ports.log import Clock, Log, LogProducer
from headgate.worker.mailbox import Report
from headgate_events.codec import CORDON_TYPE, HEARTBEAT_TYPE, encode, report_headers
from headgate_events.envelope import Envelope, rfc3339, to_headers
from headgate_events.names import cordon_key
from headgate_events.records import Record
from headgate_events.topics import Topics

RETRY_S: Final = 0.5
MAX_IN_FLIGHT: Final = 1_000

logger = structlog.get_logger("headgate.worker")


class Reporter:
    """Sends reports and heartbeats. The supervisor's thread owns it."""

    def __init__(self, log: Log, topics: Topics, clock: Clock, worker: str) -> None:
        self._log = log
        self._topics = topics
        self._clock = clock
        self._worker = worker
        self._producer: LogProducer | None = None
        self._waiting: dict[str, Report] = {}
        self._in_flight: dict[str, Report] = {}
        self._not_before_s = 0.0
        self.beaten = 0
        """The newest heartbeat that was delivered, by its number."""

    @property
    def open_reports(self) -> int:
        """How many reports are not acknowledged yet."""
        return len(self._waiting) + len(self._in_flight)

    @property
    def full(self) -> bool:
        """Whether no more reports should be added for now."""
        return self.open_reports >= MAX_IN_FLIGHT

    def add(self, report: Report) -> None:
        """Take a report on; one that is on its way already is the same report."""
        if report.id not in self._in_flight:
            self._waiting.setdefault(report.id, report)

    def step(self, now_s: float) -> None:
        """Send what waits, and hear of what arrived."""
        if self._producer is not None:
            try:
                self._producer.poll()
            except LogError as error:
                self._let_go(error)
        if not self._waiting or now_s < self._not_before_s:
            return
        waiting, self._waiting = self._waiting, {}
        for report in waiting.values():
            self._in_flight[report.id] = report
            try:
                self._send(report)
            except LogFatal as error:
                self._let_go(error)
            except LogError as error:
                self._again(report, error)

    def beat(self, payload: Mapping[str, Any], number: int) -> None:
        """Send heartbeat `number` of this process; when that fails, the next one is tried in its turn."""
        headers = to_headers(
            Envelope(
                type=HEARTBEAT_TYPE,
                id=f"{self._worker}-{payload['instance']}-{number}",
                source=f"headgate/worker/{self._worker}",
                subject=self._worker,
                time=rfc3339(payload["at_ms"]),
            )
        )

        def delivered(error: Exception | None, _: Record) -> None:
            if error is None:
                self.beaten = max(self.beaten, number)
            else:
                logger.warning("heartbeat not delivered", action="worker.beat", error=str(error))

        try:
            self._ready().produce(
                self._topics.heartbeats,
                encode(dict(payload)),
                self._worker.encode(),
                headers,
                None,
                payload["at_ms"],
                delivered,
            )
        except LogFatal as error:
            self._let_go(error)
        except LogError as error:
            logger.warning("heartbeat not sent", action="worker.beat", error=str(error))

    def say_cordon(self, worker: str, payload: Mapping[str, Any]) -> None:
        """Say again that a worker is cordoned; when that fails, it is said at the next occasion."""
        headers = to_headers(
            Envelope(
                type=CORDON_TYPE,
                id=f"{worker}-cordon-{self._clock.now_ms()}",
                source=f"headgate/worker/{self._worker}",
                subject=worker,
                time=rfc3339(self._clock.now_ms()),
            )
        )
        try:
            self._ready().produce(self._topics.heartbeats, encode(dict(payload)), cordon_key(worker).encode(), headers)
        except LogError as error:
            logger.warning("cordon not said again", action="worker.cordon", error=str(error))

    def close(self, timeout_s: float) -> bool:
        """Wait, bounded, until everything is acknowledged; say whether it was."""
        producer = self._producer
        if producer is None:
            return not self.open_reports
        try:
            producer.flush(timeout_s)
            producer.close()
        except LogError as error:
            logger.warning("reports were not acknowledged", action="worker.report", error=str(error))
        self._producer = None
        return not self.open_reports

    def _let_go(self, error: LogError) -> None:
        """Drop a producer that is beyond use; what it had under way is sent again by the next one."""
        logger.warning("a new producer of reports is made", action="worker.report", error=str(error))
        producer, self._producer = self._producer, None
        for report in list(self._in_flight.values()):
            self._again(report, error)
        if producer is not None:
            producer.drop()

    def _ready(self) -> LogProducer:
        if self._producer is None:
            self._producer = self._log.producer()
        return self._producer

    def _send(self, report: Report) -> None:
        now_ms = self._clock.now_ms()
        headers = report_headers(
            report.kind,
            report.id,
            report.stream,
            source=f"headgate/worker/{self._worker}",
            at_ms=now_ms,
            actor=f"worker/{self._worker}",
        )

        producer = self._ready()

        def delivered(error: Exception | None, _: Record) -> None:
            if producer is not self._producer:
                return  # it was let go, and what it had under way with it
            if error is None:
                self._in_flight.pop(report.id, None)
            else:
                self._again(report, error)

        key, value = report.stream.encode(), encode(report.payload)
        producer.produce(self._topics.reports, value, key, headers, None, now_ms, delivered)

    def _again(self, report: Report, error: Exception) -> None:
        logger.warning("report not sent yet", action="worker.report", kind=report.kind, error=str(error))
        self._in_flight.pop(report.id, None)
        self._waiting.setdefault(report.id, report)
        self._not_before_s = self._clock.monotonic_s() + RETRY_S
