"""A task: one worker's share of one stream, as a sequence of small steps between which it obeys.

The supervisor hands it the newest view of the stream; the task compares that with what it does and acts between two
batches, so a change always falls on a record boundary. `step` is one bounded unit of work (a poll of at most 100 ms,
one batch, one commit). Whatever goes wrong in it becomes the stream's error, and never ends the task silently.

A failure of one partition (`isolate: partition`) is the task's to remember and to retry, while the engine moves the
others on; a failure of anything else stops the task as a whole. Both are standing errors of the stream.

Before it reads, a task that has just initialised its producers asks its supervisor whether what it knows still stands
(phase `confirming`; the supervisor's docstring says why). One thread owns a task; others only look at plain attributes.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final, Literal

import structlog

from headgate.core.idleness.derived import task_activity
from headgate.core.revisions import restarts
from headgate.ports.destination import RecordRefused, StaleOwner, WriteInDoubt
from headgate.ports.errors import LogError, LogFatal, StaleMember, TransactionInDoubt
from headgate.ports.log import TopicPartition
from headgate.worker.complaints import Complaints, delay_s
from headgate.worker.engine import POLL_S, Engine
from headgate.worker.failures import ConfigRejected, Failure
from headgate.worker.faults import Faults
from headgate.worker.fencing import fence
from headgate.worker.mailbox import Mailbox, Order, Outbox, Report
from headgate.worker.pipeline import Means, Pipeline, any_failed, build
from headgate.worker.view import View
from headgate_events.schema.config import RetryConfig

Phase = Literal["starting", "confirming", "running", "retrying", "draining", "drained", "failed", "ended"]

SETTLED: Final = frozenset({"running", "draining", "drained"})
SHORT_POLL_S: Final = 0.02
HEALTHY_S: Final = 5.0
"""How long a task with nothing to write must run without an error before its last one counts as gone."""
IDLE_WAIT_S: Final = 0.5
"""How long a task that failed for good looks away; an order wakes it at once."""
INSIST_S: Final = 5.0
UNTIL_BUILT: Final = RetryConfig()
"""How a task retries whose definition it could not read."""
IN_DOUBT: Final = (TransactionInDoubt, WriteInDoubt, StaleMember, StaleOwner)
"""What is settled by beginning anew at what is committed; it counts as a failure when it comes twice in a row."""

logger = structlog.get_logger("headgate.worker")


class Task:
    """One worker's share of one stream. `tag` tells this task from others of the worker, for the ids of its reports."""

    def __init__(
        self, view: View, means: Means, mailbox: Mailbox, outbox: Outbox, draw: random.Random, tag: str
    ) -> None:
        self.view = view
        self.phase: Phase = "starting"
        self.failure: Failure | None = None
        self.wants_confirmation = 0
        self.revision = 0
        self.engine = Engine(means.clock, lambda: self.view)
        self._means = means
        self._clock = means.clock
        self._mailbox = mailbox
        self._outbox = outbox
        self._draw = draw
        self._tag = tag
        self._log = logger.bind(stream=view.stream, incarnation=view.incarnation)
        self._complaints = Complaints(lambda: self.view, means.clock, means.options.name, self._say)
        self._faults = Faults(self.engine, means.clock, draw, self._complaints, lambda: self._retry)
        self._pipeline: Pipeline | None = None
        self._restart_version = view.restart_version
        self._retry_version = view.retry_version
        self._refused_revision: int | None = None
        self._receipts: set[TopicPartition] = set()
        self._receipts_epoch = -1
        self._predecessors: tuple[tuple[str, str], ...] = ()
        self._fenced: set[tuple[str, str]] = set()
        self._confirmed = 0
        self._said = 0
        self._said_s = 0.0
        self._attempt = 0
        self._doubts = 0
        self._retry_at_s = 0.0
        self._healthy_since_s = 0.0
        self._clears_by_moving = False

    @property
    def transactional_ids(self) -> tuple[str, ...]:
        """The ids by which another worker can end what this task left open."""
        return self.engine.transactional_ids

    def beat(self) -> dict[str, Any]:
        """Return the task's part of a heartbeat. Any thread may ask."""
        view, engine, phase = self.view, self.engine, self.phase
        failure = next(iter(self.standing), None)
        channels = engine.channels()
        activity, reason = None, None
        if phase == "running" and engine.says:
            activity, reason = task_activity(each["status"] for each in channels)
        shown = {"confirming": "starting", "ended": "drained"}.get(phase, phase)
        return {
            "stream": view.stream,
            "incarnation": view.incarnation,
            "epoch": view.epoch,
            "revision": self.revision,
            "phase": shown,
            "partitions": [list(partition) for partition in engine.accounts.partitions],
            "records_read": engine.records_read,
            "records_written": engine.records_written,
            "in_flight": engine.uncommitted,
            "partitions_drained": len(self._receipts) if view.drains else 0,
            "transactional_ids": engine.transactional_ids,
            "last_progress_ms": engine.moved_ms,
            "at_end": phase == "running" and engine.at_end,
            "waits_for": self._waits_for(),
            "activity": activity,
            "activity_reason": reason,
            "channels": channels,
            "error": None if failure is None else failure.message,
            "next_retry_ms": None if failure is None else failure.next_retry_ms,
        }

    def _waits_for(self) -> str | None:
        """Say in a few words what keeps the task from going on; None when nothing does. Any thread may ask."""
        if self.phase == "retrying":
            return "the next attempt after an error"
        if self.phase in {"starting", "confirming"}:
            return "its clients, and its share of the partitions"
        if self.phase == "draining":
            if not self.engine.accounts.of:
                return "its share of the partitions"
            return "the commit of what is in flight" if self.engine.uncommitted else "the receipts to be taken"
        return None

    @property
    def standing(self) -> list[Failure]:
        """The errors that stand, the whole task's first. Any thread may ask."""
        own = [self.failure] if self.failure is not None else []
        return own + self._faults.failures

    # Steps

    def step(self, now_s: float) -> float:
        """Do one bounded unit of work; return for how many seconds nothing has to be done unless an order comes."""
        self._outbox.push()
        try:
            if (order := self._mailbox.take()) is not None:
                self._obey(order, now_s)
            self._insist(now_s)
            return self._work(now_s)
        except Exception as error:  # noqa: BLE001 - whatever happens becomes the stream's error, never a silent end
            self._failed(error)
            return 0.0
        finally:
            self._outbox.push()

    def _work(self, now_s: float) -> float:
        if self.phase in {"ended", "failed"}:
            return IDLE_WAIT_S
        if self.phase == "starting":
            self._open()
        elif self.phase == "retrying":
            if now_s >= self._retry_at_s:
                self._reopen()
            else:
                wait_s = min(POLL_S, self._retry_at_s - now_s)
                if not self.engine.is_open:
                    return wait_s
                self.engine.stand(wait_s)
        elif self.phase == "confirming":
            if self._confirmed == self.wants_confirmation:
                self._begin()
            else:
                self.engine.stand(SHORT_POLL_S)
        elif self.view.drains:
            self._drain()
        else:
            if self._faults:
                self._faults.step(now_s)
            moved = self.engine.pump()
            for place, error in self.engine.take_stopped():
                self._faults.add(place, error)
            if moved and not self.engine.uncommitted:
                self._doubts = 0  # only a commit that went well forgives the one before
            if self.failure is not None and not self.engine.uncommitted:
                healthy = self._clock.monotonic_s() - self._healthy_since_s >= HEALTHY_S
                self._clear(when=moved or healthy)
        return 0.0

    def _drain(self) -> None:
        """Commit what is in flight, hand in a receipt for every partition owned, and stay in the group."""
        if self._receipts_epoch != self.view.epoch:
            self._receipts_epoch = self.view.epoch
            self._receipts.clear()
            self.phase = "draining"
        self.engine.hold()
        self.engine.settle()
        self._hand_in()
        self.engine.stand(POLL_S if self.phase == "drained" else SHORT_POLL_S)
        self.engine.settle()
        self._hand_in()

    def _hand_in(self) -> None:
        owned = self.engine.accounts.of
        self._receipts.intersection_update(owned)
        for partition, account in owned.items():
            if partition not in self._receipts and not account.dirty:
                receipt = account.receipt(partition.topic, partition.partition, self._means.options.name)
                about = f"{partition.topic}-{partition.partition}-{account.position}"
                self._say("partition-drained", {"receipt": receipt}, about)
                self._receipts.add(partition)
        self.phase = "drained" if owned and len(self._receipts) == len(owned) else "draining"

    def _open(self) -> None:
        """Build the parts if need be, end what predecessors left open, join, and ask whether it all still stands."""
        if self._pipeline is None:
            self._pipeline = build(self.view, self._means)
        self._fence_predecessors()
        self.engine.open(self._pipeline)
        self._ask()

    def _reopen(self) -> None:
        if not self.engine.is_open:
            self.engine.let_go()
            self._open()
            return
        self._fence_predecessors()
        self.engine.reopen()
        self._ask()

    def _ask(self) -> None:
        self.wants_confirmation += 1
        self.phase = "confirming"

    def _begin(self) -> None:
        """Go on, at the committed positions."""
        assert self._pipeline is not None
        self.engine.rewind()
        self.revision = self._pipeline.revision
        self._healthy_since_s = self._clock.monotonic_s()
        self.phase = "draining" if self.view.drains else "running"
        self._receipts_epoch = -1
        self._say_started()
        if not self._clears_by_moving:
            self._clear(when=True)
        self._log.info("task runs", action="task.started", epoch=self.view.epoch, revision=self.revision)

    # Orders

    def _obey(self, order: Order, now_s: float) -> None:
        """Take the newest view, or the order to leave."""
        if order.leave is not None:
            return self._leave(order)
        before, self.view = self.view, order.view
        self._predecessors = order.predecessors
        self._confirmed = order.confirmed
        view = order.view
        if view.restart_version != self._restart_version or view.started_epoch != before.started_epoch:
            self._restart_version = view.restart_version
            self._replace(before)
        else:
            if view.epoch != before.epoch:
                self._new_epoch()
            if self._pipeline is not None and view.revision not in {self._pipeline.revision, self._refused_revision}:
                if restarts(self._pipeline.given, view.config):
                    self._replace(before)
                else:
                    self._modify()
            if before.partitions is not None and view.partitions != before.partitions:
                self._rejoin()
        if view.retry_version != self._retry_version:
            self._retry_version = view.retry_version
            self._retry_at_s = now_s
            self._faults.retry_at_once(now_s)
        if self.phase in SETTLED:
            self._fence_predecessors()
        return None

    def _leave(self, order: Order) -> None:
        """End. `finish` commits what is in flight first; where that fails the heir reads it again."""
        if order.leave == "finish" and self.phase in SETTLED:
            try:
                self.engine.settle()
            except Exception as error:  # noqa: BLE001 - leaving goes on; nothing is lost
                self._log.warning("left without the last commit", action="task.leave", error=str(error))
        self.engine.let_go()
        self.view = order.view
        if order.leave == "finish" and order.view.wants_tasks:
            self._clear(when=True)
            self._say("task-stopped", {}, self._tag)
        self.phase = "ended"

    def _new_epoch(self) -> None:
        """Say again under the new epoch what still stands."""
        for failure in self.standing:
            self._complaints.repeat(failure)
        if self.failure is None and self.phase in SETTLED:
            if self.view.runs:
                self.phase = "running"
            self._say_started()

    def _modify(self) -> None:
        """Take a new revision on between two batches; where it cannot be built, the old one goes on."""
        if (pipeline := self._built(inspect=False)) is None:
            return
        self._pipeline = pipeline
        if self.engine.is_open:
            self.engine.take_on_settings(pipeline)
        if self.phase in SETTLED:
            self.revision = pipeline.revision
            self._say_started()

    def _replace(self, before: View) -> None:
        """Restart, with another source or destination, or for another run; the positions follow from the run."""
        pipeline = self._built(inspect=True)
        if pipeline is None:
            self._new_epoch()
            return
        if self.phase in SETTLED:
            desired, self.view = self.view, before  # what is in flight belongs to the run before
            try:
                self.engine.settle()
            finally:
                self.view = desired
        self.engine.let_go()
        self.phase = "starting"
        self._pipeline = pipeline
        self._forget_failure()
        self._faults.forget()

    def _rejoin(self) -> None:
        """Join anew when the source has other partitions: a client of its own accord would learn of them in minutes."""
        if self.phase in SETTLED:
            self.engine.settle()
        if self.engine.is_open:
            self.engine.let_go()
            if self.phase != "retrying":
                self.phase = "starting"

    def _built(self, *, inspect: bool) -> Pipeline | None:
        try:
            pipeline = build(self.view, self._means)
            if inspect and any_failed(checks := pipeline.inspect()):
                raise ConfigRejected(checks)
        except ConfigRejected as rejected:
            if self._pipeline is None:
                raise
            revision = self.view.revision
            self._refused_revision = revision
            self._say("revision-rejected", {"revision": revision, "checks": rejected.checks}, str(revision))
            return None
        return pipeline

    def _fence_predecessors(self) -> None:
        """End what workers that fell silent left open, or their transactions hold every reader until they time out."""
        left_open = [each for each in self._predecessors if each not in self._fenced]
        if left_open:
            fence(self._means.log, [transactional_id for transactional_id, _ in left_open])
            self._fenced.update(left_open)

    # Failures

    def _failed(self, error: Exception) -> None:
        """Decide what an error means: begin anew at once, retry with backoff, or stop until somebody decides."""
        now_s = self._clock.monotonic_s()
        if isinstance(error, RecordRefused) and self.engine.is_open and self.engine.bad.refuse(error):
            self._log.info("goes back for a record that was refused", action="task.refused", error=error.message)
            self.phase, self._retry_at_s = "retrying", now_s
            return self._stop_moving(error)
        if isinstance(error, IN_DOUBT) and self._doubts == 0 and self.engine.is_open:
            # An unknown outcome is not a failure: what is committed is read back, and the task goes on from there.
            self._doubts += 1
            self._log.warning("begins anew after a doubtful commit", action="task.doubt", error=str(error))
            self.phase, self._retry_at_s = "retrying", now_s
            return self._stop_moving(error)
        failure = self._complaints.about(error, self.failure, self._attempt, self._retry)
        if failure.recoverable:
            failure = failure.retried_at(self._clock.now_ms() + round(1000 * self._back_off(now_s, error)))
            self._stop_moving(error)
        else:
            self.engine.let_go()
            self.phase = "failed"
        self.failure = failure
        self._complaints.tell(failure)
        return None

    @property
    def _retry(self) -> RetryConfig:
        return UNTIL_BUILT if self._pipeline is None else self._pipeline.config.retry

    def _back_off(self, now_s: float, error: Exception) -> float:
        """Choose when to try again; return the delay in seconds."""
        if self.phase in SETTLED:
            self._clears_by_moving = self.engine.doing == "writing"
        wait_s = delay_s(self._attempt, error, self._retry, self._draw.random())
        self._attempt += 1
        self._retry_at_s = now_s + wait_s
        self.phase = "retrying"
        return wait_s

    def _stop_moving(self, error: Exception) -> None:
        """Stay in the group without reading, where the clients still can; else let them go."""
        try:
            if isinstance(error, LogFatal):
                self.engine.let_go()
            else:
                self.engine.give_up_in_flight()
                self.engine.hold()
        except LogError:
            self.engine.let_go()

    def _clear(self, *, when: bool) -> None:
        """Say that the cause is gone: the task moved again, or was well for a while with nothing to move."""
        if when and self.failure is not None:
            self._complaints.clear(self.failure)
            self._forget_failure()

    def _forget_failure(self) -> None:
        self.failure = None
        self._attempt = 0
        self._clears_by_moving = False

    # Reports

    def _say_started(self) -> None:
        if self.view.runs:
            self._said += 1
            self._said_s = self._clock.monotonic_s()
            self._say("task-started", {"revision": self.revision}, f"{self._tag}.{self._said}")

    def _insist(self, now_s: float) -> None:
        """Say again what the state does not show: the observer may have taken this worker for silent meanwhile."""
        if now_s - max(self._said_s, self._complaints.said_s) < INSIST_S:
            return
        for failure in self.standing:
            if failure.id not in self.view.errors:
                self._complaints.repeat(failure)
        settled = self.failure is None and self.phase in SETTLED
        if settled and self.view.runs and self._means.options.name not in self.view.tasks:
            self._say_started()

    def _say(self, kind: str, data: Mapping[str, Any], about: str) -> None:
        """Report under the present epoch; the id derives from what is said."""
        self._outbox.add(Report.of(self.view, self._means.options.name, kind, data, about))
