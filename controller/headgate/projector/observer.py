"""The observer: turns what only a clock or a silence can tell into reports, so that the fold needs neither.

It looks after the streams of the partitions that this process owns: a heap of deadlines says when to look at which
stream, and a sweep over the states, in bounded pieces, says on whom a silent worker left a task. What it says is a
report like any other, appended outside transactions; said twice, it changes nothing the second time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import structlog

from headgate.core.evolve import State
from headgate.core.observing import Observation, Workers, missed, overdue
from headgate.ports.errors import LogError
from headgate.ports.log import Clock, Log, LogProducer
from headgate.projector.heartbeats import Heartbeats
from headgate.projector.states import PartitionStates
from headgate_events.codec import encode, report_headers
from headgate_events.records import Record
from headgate_events.topics import Topics

ACTOR: Final = "observer"
SOURCE: Final = "headgate/observer"
DUE_PER_STEP: Final = 200
SWEEP_PER_STEP: Final = 2_000
SWEEP_EVERY_S: Final = 5.0
SAY_AGAIN_S: Final = 5.0
"""How long a report has to take effect before it is said again."""
MAX_SAID: Final = 100_000

log = structlog.get_logger(__name__)


class Observer:
    """Watches owned partitions. One thread owns it, the projector's."""

    def __init__(self, client: Log, topics: Topics, clock: Clock) -> None:
        self._log = client
        self._topics = topics
        self._clock = clock
        self._heartbeats = Heartbeats(client, topics.heartbeats)
        self._producer: LogProducer | None = None
        self._workers: Workers | None = None
        self._swept: Workers | None = None
        self._to_sweep: list[tuple[int, list[str]]] = []
        self._sweep_again_s = 0.0
        self._missing = 0
        self._said: OrderedDict[str, float] = OrderedDict()

    def step(self, now_s: float, owned: Mapping[int, PartitionStates]) -> int:
        """Look once, bounded; return how many reports were appended. `owned` are the partitions that are caught up.

        Raises LogUnavailable when the broker cannot be reached.
        """
        said = self._look_at_deadlines(now_s, owned)
        self._workers = self._heartbeats.step(now_s)
        if self._workers is not None:
            said += self._sweep(now_s, owned, self._workers)
        if self._producer is not None:
            self._producer.poll()
        return said

    def changed(self, states: PartitionStates, stream: str, state: State, now_s: float) -> None:
        """Look at a state that was just committed."""
        due_ms = state["due_ms"]
        if due_ms is not None:
            states.expect(stream, due_ms)
        if self._workers is not None and (state["tasks"] or state["conditions"] or not self._workers.live):
            for each in missed(state, self._workers):
                self._say(each, now_s)

    def sweep_soon(self) -> None:
        """Look at every stream again: partitions were taken on."""
        self._swept = None

    def close(self) -> None:
        """Stop; what was said and is not acknowledged is sent, bounded."""
        producer, self._producer = self._producer, None
        for what, client in (("heartbeats", self._heartbeats), ("reports", producer)):
            try:
                if client is not None:
                    client.close()
            except LogError as error:
                # What was observed is observed again, by whoever owns the partition then.
                log.warning("projector.observer_close_failed", client=what, error=str(error))

    def _look_at_deadlines(self, now_s: float, owned: Mapping[int, PartitionStates]) -> int:
        now_ms = self._clock.now_ms()
        said = 0
        for states in owned.values():
            for stream in states.take_due(now_ms, DUE_PER_STEP):
                state = states.get(stream)
                if state is None:
                    continue
                found = overdue(state, now_ms)
                said += sum(self._say(each, now_s) for each in found)
                # It stays expected until the fold has decided: the report may be lost, or the clocks differ.
                due_ms = now_ms + round(SAY_AGAIN_S * 1_000) if found else state["due_ms"]
                if due_ms is not None:
                    states.expect(stream, due_ms)
        return said

    def _sweep(self, now_s: float, owned: Mapping[int, PartitionStates], workers: Workers) -> int:
        if not self._to_sweep:
            unsettled = self._missing > 0 and now_s >= self._sweep_again_s
            if workers == self._swept and not unsettled:
                return 0
            self._swept, self._missing = workers, 0
            self._sweep_again_s = now_s + SWEEP_EVERY_S
            self._to_sweep = [(partition, list(states.values)) for partition, states in owned.items()]
        said, left = 0, SWEEP_PER_STEP
        while self._to_sweep and left:
            partition, streams = self._to_sweep[-1]
            looked_at, rest = streams[-left:], streams[:-left]
            left -= len(looked_at)
            if rest:
                self._to_sweep[-1] = (partition, rest)
            else:
                self._to_sweep.pop()
            states = owned.get(partition)
            if states is not None:
                said += sum(self._look_at(states, stream, workers, now_s) for stream in looked_at)
        return said

    def _look_at(self, states: PartitionStates, stream: str, workers: Workers, now_s: float) -> int:
        value = states.values.get(stream)
        if value is None or (b'"tasks":{}' in value and b'"conditions":{}' in value and workers.live):
            return 0
        state = states.get(stream)
        found = () if state is None else missed(state, workers)
        self._missing += len(found)
        return sum(self._say(each, now_s) for each in found)

    def _say(self, what: Observation, now_s: float) -> bool:
        before_s = self._said.get(what.id)
        if before_s is not None and now_s - before_s < SAY_AGAIN_S:
            return False
        if self._producer is None:
            self._producer = self._log.producer()
        self._said[what.id] = now_s
        self._said.move_to_end(what.id)
        if len(self._said) > MAX_SAID:
            self._said.popitem(last=False)
        self._producer.produce(
            self._topics.reports,
            encode(what.payload),
            what.stream.encode(),
            report_headers(what.kind, what.id, what.stream, source=SOURCE, at_ms=self._clock.now_ms(), actor=ACTOR),
            on_delivery=self._delivered,
        )
        log.info("projector.observed", stream=what.stream, kind=what.kind, id=what.id)
        return True

    def _delivered(self, error: Exception | None, _: Record) -> None:
        if error is not None:
            log.warning("projector.report_undelivered", error=str(error))
