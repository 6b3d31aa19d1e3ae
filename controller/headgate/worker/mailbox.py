"""Between a supervisor and its tasks: orders go in through a mailbox, reports come out through an outbox.

They are the only things that two threads share. A mailbox holds the newest order alone, since an older one means
nothing any more; an outbox is bounded, and what does not fit waits with the task, in order.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Literal

from headgate.worker.view import View
from headgate_events.ids import MAX_ID_LENGTH

MAX_REPORTS: Final = 10_000
"""Reports that wait for the supervisor, from all tasks of a worker."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a task is to do: follow this view, or leave. `finish` commits what is in flight first, `drop` gives it up.

    `predecessors` are (transactional id, instance) of workers that fell silent while they ran this stream. `confirmed`
    is the number of the task's last question to which this view is the answer.
    """

    view: View
    leave: Literal["finish", "drop"] | None = None
    predecessors: tuple[tuple[str, str], ...] = ()
    confirmed: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """A report on its way: what the reports topic will hold."""

    id: str
    kind: str
    stream: str
    payload: dict[str, Any] = field(hash=False)

    @classmethod
    def of(cls, view: View, worker: str | None, kind: str, data: Mapping[str, Any], about: str) -> Report:
        """Make a report under a view's incarnation and epoch. `about` tells reports of one kind apart.

        The id derives from what is said, so what is said twice has the same id twice. A fact that is the same whoever
        finds it names no worker.
        """
        name = f"{worker or 'any'}-{view.stream}-{view.incarnation}-{view.epoch}-{kind}-{about}"
        if len(name) > MAX_ID_LENGTH:
            name = f"{kind}-{sha256(name.encode()).hexdigest()}"[:MAX_ID_LENGTH]
        payload = {
            "kind": kind,
            "incarnation": view.incarnation,
            "epoch": view.epoch,
            "worker": worker,
            **data,
        }
        return cls(id=name, kind=kind, stream=view.stream, payload=payload)


class Mailbox:
    """One order, the newest. Any thread puts, the task takes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._order: Order | None = None
        self._there = threading.Event()

    def put(self, order: Order) -> None:
        """Replace what is in the box; an order to leave is never replaced by one to go on."""
        with self._lock:
            if self._order is not None and self._order.leave is not None and order.leave is None:
                return
            self._order = order
            self._there.set()

    def take(self) -> Order | None:
        """Return the order and empty the box; None when there is none."""
        if not self._there.is_set():
            return None
        with self._lock:
            order, self._order = self._order, None
            self._there.clear()
            return order

    def wait(self, timeout_s: float) -> None:
        """Return when there is an order, or after `timeout_s`."""
        self._there.wait(timeout_s)


class Outbox:
    """One task's reports, in order, on their way to the supervisor's queue."""

    def __init__(self, to: queue.Queue[Report]) -> None:
        self._to = to
        self._waiting: deque[Report] = deque()

    def add(self, report: Report) -> None:
        """Add a report; as many may wait as a task has partitions and errors."""
        self._waiting.append(report)

    def push(self) -> None:
        """Hand over what fits."""
        while self._waiting:
            try:
                self._to.put_nowait(self._waiting[0])
            except queue.Full:
                return
            self._waiting.popleft()
