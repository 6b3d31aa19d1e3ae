"""A month of departures, produced faster than it happened: steadily while the story needs it, then the rest at once.

A steady pace would run out on a slow machine before the story is through, so once only the reserve is left it slows
down, until `let_go` says that no step needs traffic any more. Where all airports were silent for longest it stands
still, until the story has seen that: `hurry` comes there sooner, `first_after` sends one departure, `go_on` the others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from confluent_kafka import KafkaError, Message, Producer

from headgate.demo.cluster import Cluster, ClusterFailed
from headgate.demo.flights import AIRPORTS, Flight, longest_silence

RESERVE: Final = 0.3
"""The share of the month that is kept back until `let_go`."""
SLOW: Final = 0.1
"""The pace that is left, as a share, when only the reserve is."""
TICK_S: Final = 0.02
AT_ONCE: Final = 500
END_TIMEOUT_S: Final = 10.0


class Traffic:
    """Produces the departures from a thread of its own; entering starts it, leaving ends it. `pace` is departures/s."""

    def __init__(self, cluster: Cluster, topic: str, flights: Sequence[Flight], pace: float) -> None:
        self.sent = [0 for _ in AIRPORTS]
        """For each partition how many departures the broker has acknowledged."""
        self.date = flights[0].departed[:10] if flights else ""
        """How far into the month the traffic is."""
        self._topic = topic
        self._flights = flights
        self._pace = pace
        self.silence_at = longest_silence(flights) if len(flights) > 1 else len(flights)
        """The number of the first departure after the longest silence."""
        self._up_to = self.silence_at
        self._producer: Producer = cluster.producer()
        self._failure: str | None = None
        self._ended = threading.Event()
        self._free = threading.Event()
        self._hurried = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    @property
    def total(self) -> int:
        """How many departures there are in all."""
        return len(self._flights)

    @property
    def finished(self) -> bool:
        """Whether the whole month is acknowledged."""
        return sum(self.sent) == len(self._flights)

    @property
    def silent(self) -> bool:
        """Whether everything before the longest silence is acknowledged, and nothing was sent after it."""
        return sum(self.sent) == self._up_to == self.silence_at

    def hurry(self) -> None:
        """Come to the longest silence as fast as it goes."""
        self._hurried.set()

    def first_after(self) -> Flight:
        """Send the first departure after the longest silence, and return it."""
        self._up_to = self.silence_at + 1
        return self._flights[self.silence_at]

    def go_on(self) -> None:
        """Send what comes after it."""
        self._up_to = len(self._flights)

    def let_go(self) -> None:
        """Produce the rest as fast as it goes."""
        self._free.set()

    def check(self) -> None:
        """Raise ClusterFailed when a departure could not be produced."""
        if self._failure is not None:
            raise ClusterFailed(f"The departures could not be written to {self._topic}: {self._failure}.")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(END_TIMEOUT_S)

    def _run(self) -> None:
        reserve_from = int(len(self._flights) * (1 - RESERVE))
        at, due, last = 0, 0.0, time.monotonic()
        while at < len(self._flights) and not self._ended.is_set() and self._failure is None:
            now = time.monotonic()
            pace = self._pace if at < reserve_from else self._pace * SLOW
            at_once = self._free.is_set() or (self._hurried.is_set() and at < self.silence_at)
            due = AT_ONCE if at_once else min(AT_ONCE, due + (now - last) * pace)
            last = now
            while due >= 1 and at < self._up_to:
                self._produce(self._flights[at])
                at, due = at + 1, due - 1
            self._producer.poll(0)
            self._ended.wait(0.001 if at_once else TICK_S)
        while not self.finished and not self._ended.is_set() and self._failure is None:
            self._producer.poll(TICK_S)

    def _produce(self, flight: Flight) -> None:
        partition = flight.partition
        while not self._ended.is_set():
            try:
                self._producer.produce(
                    self._topic,
                    flight.source_value(),
                    key=flight.key,
                    partition=partition,
                    timestamp=flight.timestamp_ms,
                    on_delivery=self._delivered,
                )
            except BufferError:
                self._producer.poll(TICK_S)
            else:
                self.date = flight.departed[:10]
                return

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failure = error.str()
        else:
            self.sent[message.partition() or 0] += 1
