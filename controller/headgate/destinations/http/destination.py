"""The open HTTP destination of a task: records gather, and go out as requests in lanes; a commit waits for the answers.

A batch that is refused for what stands in it is halved until the record is found that is at fault, so one bad record
stands alone, and the others of its batch are sent. Everything is bounded: what gathers, the time of a request and of a
call, and the requests that it takes to find a record. Whatever fails, the records since the last commit come again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from headgate.destinations.http.answers import later, meaning_of, never, retry_after_s
from headgate.destinations.http.bodies import Bodies, Part
from headgate.destinations.http.lanes import Lanes
from headgate.destinations.http.sending import Sender
from headgate.destinations.http.settings import HttpDestinationSettings
from headgate.ports.connectors import ConnectorContext, ConnectorUnavailable
from headgate.ports.destination import Output, PositionsIn, RecordRefused, Token, outputs_of
from headgate.ports.log import Committed, TopicPartition
from headgate_events.records import Record

CALL_S: Final = 45.0
"""Requests of one call that are not answered by then are an error: past a minute a task loses its partitions."""
HELD_BYTES: Final = 8_000_000
"""More than this does not gather before requests are made."""
REQUESTS_PER_LANE: Final = 50
"""So many requests one after the other are within the time of a call with most services; with the others fewer are."""


class HttpDestination:
    """Requests to one endpoint. The positions are the source's."""

    positions_in: PositionsIn = "source"
    transactional_ids: tuple[str, ...] = ()

    def __init__(self, settings: HttpDestinationSettings, context: ConnectorContext) -> None:
        self._settings = settings
        self._context = context
        self._bodies = Bodies(settings, context.group)
        self._accepted = frozenset(settings.accept)
        most_records = settings.batch.records if self._bodies.batched else 1
        self._lanes = Lanes(settings.concurrency, most_records, settings.batch.bytes)
        self._at_once = most_records * settings.concurrency
        self.most_records = REQUESTS_PER_LANE * self._at_once
        """How many records a call has time for; fewer each time that it had none for those that it got."""
        self._sender: Sender | None = None
        self._last: Record | None = None
        self._nth = 0
        self._deadline_s = 0.0

    def open(self) -> None:
        """Look the connection up anew, and forget what had gathered. Nothing is sent."""
        self.close()
        self._sender = Sender(self._settings, self._context)

    def forward(self, records: Sequence[Record]) -> None:
        """Take records on as they are."""
        self.write(outputs_of(records))

    def write(self, outputs: Sequence[Output]) -> None:
        """Take outputs on, and send when enough has gathered."""
        self._deadline_s = time.monotonic() + CALL_S
        for output in outputs:
            self._nth = self._nth + 1 if output.origin is self._last else 0
            self._last = output.origin
            self._lanes.add(self._bodies.part(output, self._nth))
            if self._lanes.held >= self.most_records or self._lanes.held_bytes >= HELD_BYTES:
                self._send()

    def positions(self, claims: Mapping[TopicPartition, Token]) -> Mapping[TopicPartition, Committed]:
        """Return nothing: the positions are the source's."""
        return {}

    def commit(self, positions: Mapping[TopicPartition, Committed], proof: Any) -> None:
        """Send what has gathered, and return when all of it was taken."""
        self._deadline_s = time.monotonic() + CALL_S
        self._send()

    def close(self) -> None:
        """Let go of the connections, and forget what had gathered."""
        self._lanes.clear()
        self._last = None
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()

    def _send(self) -> None:
        assert self._sender is not None, "a destination is opened before it is written to"
        sender, deadline_s = self._sender, self._deadline_s
        try:
            self._lanes.run(lambda parts: self._deliver(sender, parts, deadline_s), deadline_s)
        except ConnectorUnavailable:
            if time.monotonic() >= deadline_s:
                self.most_records = max(self._at_once, self.most_records // 4)
            raise

    def _deliver(self, sender: Sender, parts: Sequence[Part], deadline_s: float) -> None:
        """Send parts in one request, or in as many as it takes to find the record that is refused."""
        if time.monotonic() >= deadline_s:
            raise ConnectorUnavailable(
                f"{sender.who} is too slow for this many records: they were not all taken within {CALL_S:g} s.",
                hint="It is tried again with fewer; more concurrency may help.",
            )
        answer = sender.send(self._bodies.request(parts), deadline_s)
        wait_s = retry_after_s(answer.headers, self._context.clock.now_ms())
        meaning = meaning_of(answer.status, self._accepted, waits=wait_s is not None)
        if meaning == "later":
            raise later(sender.who, answer.status, wait_s)
        if meaning == "never":
            raise never(sender.who, answer.status)
        if meaning == "record":
            if len(parts) == 1:
                said = f": {answer.said}" if answer.said else ""
                raise RecordRefused(
                    f"{sender.who} refuses a record with {answer.status}{said}.", origin=parts[0].output.origin
                )
            half = len(parts) // 2
            self._deliver(sender, parts[:half], deadline_s)
            self._deliver(sender, parts[half:], deadline_s)
