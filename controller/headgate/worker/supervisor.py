"""The supervisor: follows the state and the heartbeats, and starts, steers and ends this worker's tasks.

It decides nothing about a stream: what is to run stands in the state, who runs it follows from the ranking. It owns the
reports' producer, so every report of a worker leaves by one door, and it is the only one that follows the state.

A task asks for a *confirmation* before it reads, each time after it initialised its producers: the supervisor then
looks at the present end of the state topic, reads up to there, and hands over the view that stood there. So a worker
that was stopped, fenced and continued cannot go on by what it knew before: whatever was decided before its producers
were initialised is seen, and whatever is decided later fences them. Before the answer a heartbeat has told everybody
the task's transactional ids, so that there is nobody who could write and not be fenced.
"""

from __future__ import annotations

import queue
import random
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import orjson
import structlog

from headgate.core.placement import ranked
from headgate.ports.errors import LogUnavailable
from headgate.worker.chores import Chores, Executor
from headgate.worker.fleet import Fleet
from headgate.worker.follower import Follower
from headgate.worker.idle_watch import IdleWatch
from headgate.worker.mailbox import MAX_REPORTS, Mailbox, Order, Outbox, Report
from headgate.worker.pipeline import Means
from headgate.worker.reporter import Reporter
from headgate.worker.rounds import Rounds
from headgate.worker.runner import Runner, Running
from headgate.worker.task import Task
from headgate.worker.view import View, view_of
from headgate.worker.watching import CONDITION as STALLED
from headgate.worker.watching import StallWatch
from headgate_events.errors import HeadgateError
from headgate_events.names import is_stream_name
from headgate_events.records import Record
from headgate_events.topics import Topics
from headgate_events.version import __version__

CHORES_EVERY_S: Final = 0.25
TIDY_EVERY_S: Final = 10.0
CORDON_AGAIN_S: Final = 900.0
"""A quarter of the hour that the topic keeps a record."""
SAY_NAMESAKE_S: Final = 60.0
CORDON_SAY_S: Final = 60.0
"""How often cordons are said at most: what was said comes back, and counts as said, a moment later."""
WATCH_EVERY_S: Final = 1.0
SAY_AGAIN_S: Final = 5.0
LOOKS_AT_ONCE: Final = 8
"""How many streams that stand still are looked at in one round of chores at most."""

logger = structlog.get_logger("headgate.worker")


class TaskDied(HeadgateError):
    """A task's thread ended unasked: a fault of ours. The worker ends, so that others take over."""

    code = "internal.task_died"


class NameTaken(HeadgateError):
    """Two workers have one name, and this one came later. Whoever starts workers names them."""

    code = "worker.name_taken"


@dataclass(slots=True)
class Handle:
    """One task of this worker, as its supervisor holds it."""

    task: Task
    mailbox: Mailbox
    running: Running
    confirmed: int = 0
    leaving: bool = False


class Supervisor:
    """One worker's supervisor. `step` is one bounded unit of work; one thread owns it."""

    def __init__(self, means: Means, runner: Runner, executor: Executor, draw: random.Random) -> None:
        options = means.options
        topics = Topics(options.namespace)
        self.means = means
        self.handles: dict[tuple[str, int], Handle] = {}
        self._me = options.name
        self._runner = runner
        self._draw = draw
        self._clock = means.clock
        self._state = Follower(means.log, topics.state)
        self._beats = Follower(means.log, topics.heartbeats)
        self._fleet = Fleet(options.name, options.silent_after_s, options.instance)
        self._chores = Chores(means, executor)
        self._reporter = Reporter(means.log, topics, means.clock, options.name)
        self._queue: queue.Queue[Report] = queue.Queue(MAX_REPORTS)
        self._views: dict[str, View] = {}
        self._resting: dict[str, bytes] = {}
        self._rounds = Rounds(options.position_check_s)
        self._wakes = Rounds(options.wake_check_s)
        self._stalls = StallWatch()
        self._idle = IdleWatch()
        self._said: dict[tuple[str, str], tuple[int, float]] = {}
        self._changed: set[str] = set()
        self._live: frozenset[str] = frozenset()
        self._ranks: dict[tuple[str, int], list[str]] = {}
        self._tidied: dict[tuple[str, str], float] = {}
        self._ready = False
        self._leaving = False
        self._cordoned = False
        self._cordon_said_s = float("-inf")
        self._namesake_said_s = float("-inf")
        self._looking = False
        self._asked: dict[int, int] = {}
        self._next_beat_s = float("-inf")
        self._next_chores_s = float("-inf")
        self._next_watch_s = float("-inf")
        self._beat_number = 0
        self._awaited_beat = 0
        self._started = 0

    # Steps

    def step(self, now_s: float) -> None:
        """Follow, place, do chores, report; waits at most `poll_s` for something to happen."""
        self._follow(now_s)
        self._heed_cordon(now_s)
        if now_s >= self._next_beat_s:
            self._beat(now_s)
        if self._state.caught_up and self._beats.caught_up:
            if not self._ready:
                self._ready = True
                self._changed.update(self._views)
                logger.info("worker follows", action="worker.ready", worker=self._me, streams=len(self._views))
            self._place(now_s)
            self._confirm()
            if now_s >= self._next_chores_s and not self._leaving:
                self._next_chores_s = now_s + CHORES_EVERY_S
                self._begin_chores(now_s)
        self._runner.step(now_s)
        self._collect(now_s)
        self._reap()

    @property
    def idle(self) -> bool:
        """Whether no task is left and every report is acknowledged: after leave(), the worker may end."""
        return not self.handles and self._queue.empty() and self._reporter.open_reports == 0

    @property
    def ready(self) -> bool:
        """Whether the worker has caught up with the state and the heartbeats once."""
        return self._ready

    def leave(self) -> None:
        """Take no more tasks, and end those that run in good order."""
        if self._leaving:
            return
        self._leaving = True
        self._next_beat_s = float("-inf")  # the others take over at once
        for handle in self.handles.values():
            self._dismiss(handle, self._views.get(handle.task.view.stream, handle.task.view), "finish")

    def close(self, timeout_s: float) -> bool:
        """Say goodbye and let the clients go; say whether every report was acknowledged."""
        self._beat(self._clock.monotonic_s())
        acknowledged = self._reporter.close(timeout_s)
        self._chores.close()
        self._state.close()
        self._beats.close()
        return acknowledged

    # Following

    def _follow(self, now_s: float) -> None:
        caught_up = self._beats.caught_up
        beats = self._beats.poll(0.0)
        for record in beats:
            self._fleet.take(record, now_s, self._clock.now_ms(), caught_up=caught_up)
        self._heed_namesake(now_s)
        upstreams = self.means.upstreams
        if beats and (watched := upstreams.watched):
            found = (upstreams.get(name) for name in watched)
            upstreams.spoken_for = self._fleet.spoken_for({each.stream: each.incarnation for each in found if each})
        for record in self._state.poll(self.means.options.poll_s):
            self._take(record)

    def _take(self, record: Record) -> None:
        key, value = record.key(), record.value()
        name = bytes(key or b"").decode(errors="replace")
        if not is_stream_name(name):
            return
        view = None
        if value is None:
            self.means.upstreams.note(name, None)
        else:
            try:
                state = orjson.loads(value)
                view = view_of(state)
                self.means.upstreams.note(name, state)
                self.means.in_band_topics.note(state)
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                logger.warning("a state cannot be read", action="worker.state", stream=name, error=repr(error))
                return
        self._resting.pop(name, None)
        if view is not None and (view.asks_something or any(key[0] == name for key in self.handles)):
            self._views[name] = view
        else:
            before = self._views.pop(name, None)
            self._chores.forget(name)
            if before is not None:
                self._stalls.forget(before.key)
                self._idle.forget(before.key)
        if view is None or view.silence is None:
            self._wakes.remove(name)
        else:
            self._wakes.add(name, self._clock.monotonic_s())
        if view is None or not view.may_lose:
            if self._rounds.remove(name):
                self._chores.forget_looks(name)
        else:
            self._rounds.add(name, self._clock.monotonic_s())
            assert value is not None
            self._resting[name] = value  # as it came: there may be very many that only rest
        self._changed.add(name)
        self._next_chores_s = float("-inf")  # whatever it asks for is begun now

    def _heed_namesake(self, now_s: float) -> None:
        """End when another worker had this name before us and goes on; two of them would fence each other for ever."""
        namesake, self._fleet.namesake = self._fleet.namesake, None
        if namesake == "older":
            raise NameTaken(
                f"Another worker with the name {self._me} runs already, so this one ends.",
                hint="Give each worker a name of its own: HEADGATE_WORKER_NAME, or --name.",
            )
        if namesake == "newer" and now_s - self._namesake_said_s >= SAY_NAMESAKE_S:
            self._namesake_said_s = now_s
            logger.warning("another worker with this name was started", action="worker.namesake", worker=self._me)

    def _heed_cordon(self, now_s: float) -> None:
        """Say at once that we are cordoned, and say cordons again before the topic forgets them.

        Each worker says its own; of workers that are gone, the first of the live ones says them.
        """
        cordon = self._fleet.cordoned(self._me)
        if (cordon is not None) != self._cordoned:
            self._cordoned = cordon is not None
            self._next_beat_s = float("-inf")
            logger.info("cordoned" if self._cordoned else "no longer cordoned", action="worker.cordon")
        if self._beats.caught_up and now_s - self._cordon_said_s >= CORDON_SAY_S:
            self._cordon_said_s = now_s
            first = min(self._live, default=None) == self._me
            for worker, said in self._fleet.fading_cordons(now_s, CORDON_AGAIN_S, first=first):
                self._reporter.say_cordon(worker, {**said, "said_by": self.means.options.instance})

    # Placing

    def _place(self, now_s: float) -> None:
        live = self._fleet.live(now_s, me=not self._leaving)
        if live != self._live:
            logger.info("workers changed", action="worker.fleet", live=sorted(live))
            self._live = live
            self._ranks.clear()
            self._changed.update(self._views)
        changed, self._changed = self._changed, set()
        for name in sorted(changed):
            self._place_one(name, now_s)

    def _place_one(self, name: str, now_s: float) -> None:
        view = self._views.get(name)
        for (stream, incarnation), handle in self.handles.items():
            if stream == name and (view is None or view.incarnation != incarnation):
                self._dismiss(handle, handle.task.view, "drop")
        if view is None or self._leaving:
            return
        if not view.asks_something and view.key not in self.handles:
            del self._views[name]
            self._ranks.pop(view.key, None)
            self._chores.forget(name)
            return
        handle_here = self.handles.get(view.key)
        mine = view.wants_tasks and self._me in self._ranked(view)[: int(view.config.get("parallelism", 1))]
        if handle_here is None:
            if mine:
                self._start(view, now_s)
        elif not mine:
            stays_good = view.wants_tasks or (view.status == "PAUSED" and not view.unclean)
            self._dismiss(handle_here, view, "finish" if stays_good else "drop")
        elif not handle_here.leaving:
            handle_here.mailbox.put(self._order(view, handle_here, now_s))

    def _ranked(self, view: View) -> list[str]:
        """Return the live workers in this stream's order; kept until the workers change."""
        if (found := self._ranks.get(view.key)) is None:
            found = self._ranks[view.key] = ranked(view.stream, view.incarnation, self._live)
        return found

    def _start(self, view: View, now_s: float) -> None:
        self._started += 1
        mailbox = Mailbox()
        tag = f"{self.means.options.instance}.{self._started}"
        draw = random.Random(self._draw.random())  # noqa: S311 - jitter
        task = Task(view, self.means, mailbox, Outbox(self._queue), draw, tag)
        mailbox.put(Order(view, predecessors=self._fleet.left_open(*view.key, now_s)))
        self.handles[view.key] = Handle(task, mailbox, self._runner.start(task, mailbox))

    def _order(self, view: View, handle: Handle, now_s: float) -> Order:
        return Order(view, predecessors=self._fleet.left_open(*view.key, now_s), confirmed=handle.confirmed)

    @staticmethod
    def _dismiss(handle: Handle, view: View, leave: Literal["finish", "drop"]) -> None:
        if not handle.leaving or leave == "drop":
            handle.leaving = True
            handle.mailbox.put(Order(view, leave=leave))

    def _confirm(self) -> None:
        """Answer tasks that want to know whether what they know still stands."""
        waiting = [each for each in self.handles.values() if each.task.wants_confirmation > each.confirmed]
        if not waiting:
            return
        if not self._looking:
            self._asked = {id(each): each.task.wants_confirmation for each in waiting}
            try:
                self._state.look_again()
            except LogUnavailable:
                return
            self._looking = True
            self._beat(self._clock.monotonic_s())
            self._awaited_beat = self._beat_number
        if self._state.caught_up and self._reporter.beaten >= self._awaited_beat:
            self._looking = False
            for handle in waiting:
                if not handle.leaving and (asked := self._asked.get(id(handle))) is not None:
                    handle.confirmed = asked
                    self._changed.add(handle.task.view.stream)
            self._place(self._clock.monotonic_s())

    # Chores, reports, ends

    def _begin_chores(self, now_s: float) -> None:
        for view in self._views.values():
            if view.wants_tasks and (view.errors or self._tidied):
                self._tidy(view, now_s)
            if view.asks_something and self._ranked(view)[:1] == [self._me]:
                self._chores.begin(
                    view, now_s, partial(self._stragglers, view), partial(self._left_open_by_silent, view, now_s)
                )

        self._look_after_stalled(now_s)
        for name in self._rounds.due(now_s, LOOKS_AT_ONCE):
            standing = view_of(orjson.loads(self._resting[name]))
            if self._ranked(standing)[:1] == [self._me]:
                self._chores.look(standing, now_s)
        for name in self._wakes.due(now_s, LOOKS_AT_ONCE):
            asleep = view_of(orjson.loads(self._resting[name]))
            if self._ranked(asleep)[:1] == [self._me]:
                self._chores.wake(asleep, now_s)

    def _look_after_stalled(self, now_s: float) -> None:
        """Say which running streams neither move nor are at the end of their source, and which of those move again."""
        if now_s < self._next_watch_s:
            return
        self._next_watch_s = now_s + WATCH_EVERY_S
        for view in self._views.values():
            if view.status != "RUNNING" or self._ranked(view)[:1] != [self._me]:
                self._stalls.forget(view.key)
                self._idle.forget(view.key)
                self._said.pop((view.stream, "condition-raised"), None)
                continue
            self._report_idle(view, now_s)
            found = self._stalls.judge(view, self._fleet.tasks_of(*view.key, now_s), now_s)
            if found is None:
                continue
            kind, message = found
            version, at_s = self._said.get((view.stream, kind), (-1, 0.0))
            if version == view.version and now_s - at_s < SAY_AGAIN_S:
                continue
            self._said[view.stream, kind] = (view.version, now_s)
            data = {"condition": STALLED} | ({"message": message} if message else {})
            self._reporter.add(Report.of(view, self._me, kind, data, f"{STALLED}-{view.version}"))

    def _report_idle(self, view: View, now_s: float) -> None:
        """Report the facts that commands and auto-pause wait for: the stream is idle, whichever worker sees it."""
        tasks_since = partial(self._fleet.tasks_of, *view.key, now_s)
        for command in self._idle.judge(view, tasks_since, now_s):
            logger.info("idle", action="stream.idle", stream=view.stream, command=command)
            self._reporter.add(Report.of(view, None, "idle-reached", {"command_id": command}, command))
        ends = self._idle.silence(view, tasks_since, now_s)
        if ends is not None:
            logger.info("silent", action="stream.silent", stream=view.stream)
            self._reporter.add(Report.of(view, None, "silence-reached", {"ends": ends}, str(view.version)))

    def _tidy(self, view: View, now_s: float) -> None:
        """Clear errors that nobody has any more: of tasks before the present ones, and of workers that are gone."""
        handle = self.handles.get(view.key)
        standing = {failure.id for failure in handle.task.standing} if handle is not None else set()
        for error_id, worker in view.errors.items():
            if error_id in view.unrecoverable:
                continue
            mine = worker == self._me and error_id not in standing
            orphaned = worker is not None and worker not in self._live and self._ranked(view)[:1] == [self._me]
            if (mine or orphaned) and now_s >= self._tidied.get((view.stream, error_id), float("-inf")):
                self._tidied[view.stream, error_id] = now_s + TIDY_EVERY_S
                self._reporter.add(Report.of(view, self._me, "error-cleared", {"error_id": error_id}, error_id))
        if not view.errors:
            for key in [key for key in self._tidied if key[0] == view.stream]:
                del self._tidied[key]

    def _stragglers(self, view: View) -> list[str]:
        own = self.handles.get(view.key)
        ids = set(self._fleet.transactional_ids(*view.key))
        return sorted(ids | set(own.task.transactional_ids if own is not None else ()))

    def _left_open_by_silent(self, view: View, now_s: float) -> list[str]:
        return [transactional_id for transactional_id, _ in self._fleet.left_open(*view.key, now_s)]

    def _collect(self, now_s: float) -> None:
        for report in self._chores.collect(now_s):
            self._reporter.add(report)
        while not self._reporter.full:
            try:
                self._reporter.add(self._queue.get_nowait())
            except queue.Empty:
                break
        self._reporter.step(now_s)

    def _reap(self) -> None:
        for key, handle in list(self.handles.items()):
            if handle.running.alive():
                continue
            del self.handles[key]
            self._changed.add(key[0])
            if handle.task.phase != "ended":
                raise TaskDied(f"The task of {key[0]} ended by a fault; the log holds it.", hint="Restart the worker.")

    def _beat(self, now_s: float) -> None:
        interval_s = self.means.options.heartbeat_interval_s
        self._next_beat_s = now_s + interval_s
        self._beat_number += 1
        payload: dict[str, Any] = {
            "kind": "heartbeat",
            "worker": self._me,
            "instance": self.means.options.instance,
            "at_ms": self._clock.now_ms(),
            "interval_ms": round(interval_s * 1000),
            "version": __version__,
            "stopping": self._leaving,
            "cordoned": self._cordoned,
            "tasks": [handle.task.beat() for handle in self.handles.values()],
        }
        self._reporter.beat(payload, self._beat_number)
