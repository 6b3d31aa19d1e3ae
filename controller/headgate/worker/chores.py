"""Chores: what one worker does for a whole stream: validate it, check positions, list the source, fence stragglers.

The highest-ranking live worker does them, since everyone computes the same ranking. They ask brokers and connectors and
may take seconds, so they run beside the supervisor, a few at a time; each ends in a report, or is tried again later. A
chore that two workers do for a moment gives two reports of which the fold takes one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, Protocol

import structlog
from pydantic import ValidationError

from headgate.core import backoff
from headgate.ports.connectors import UnknownKind
from headgate.ports.destination import Fences, Token
from headgate.ports.errors import TopicMissing
from headgate.ports.log import TopicPartition
from headgate.worker.ends import resolve
from headgate.worker.failures import ConfigRejected, SourceGone, classify
from headgate.worker.fencing import fence
from headgate.worker.mailbox import Report
from headgate.worker.pipeline import Means, any_failed, attempt, build, context_of, judge, passed
from headgate.worker.positions import by_start_policy, check_positions, nested, partitions_of
from headgate.worker.risk import RiskWatch
from headgate.worker.view import View
from headgate.worker.waking import look_for_more
from headgate_events.errors import HeadgateError
from headgate_events.schema.config import StreamConfig

THREADS: Final = 2
MAX_AT_ONCE: Final = 64
RETRY_INITIAL_S: Final = 0.5
RETRY_MAX_S: Final = 10.0
GONE_S: Final = 2.0
"""How long a source must be missing before it counts as gone."""
AGAIN_AND_AGAIN: Final = frozenset({"look", "risk", "wake"})
"""Chores that are never done with."""

Ids = list[str]
Done = Callable[[], Report | None]

logger = structlog.get_logger("headgate.worker")


class Executor(Protocol):
    """Runs a chore, beside the caller or at once (in a simulation)."""

    def submit(self, work: Done) -> Future[Report | None]: ...

    def shutdown(self) -> None: ...


class ThreadExecutor:
    """Runs chores in a few threads."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="headgate-chore")

    def submit(self, work: Done) -> Future[Report | None]:
        """Run it when a thread is free."""
        return self._pool.submit(work)

    def shutdown(self) -> None:
        """Let running chores end by themselves (each is bounded), and begin no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class InlineExecutor:
    """Runs a chore at once, on the caller's thread."""

    def submit(self, work: Done) -> Future[Report | None]:
        """Run it now."""
        future: Future[Report | None] = Future()
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 - handed on through the future, as a thread would
            future.set_exception(error)
        return future

    def shutdown(self) -> None:
        """Nothing runs."""


class Chores:
    """The chores under way. The supervisor's thread owns it; the work itself touches nothing of it."""

    def __init__(self, means: Means, executor: Executor) -> None:
        self._means = means
        self._executor = executor
        self._under_way: dict[tuple[Any, ...], Future[Report | None]] = {}
        self._done: dict[str, set[tuple[Any, ...]]] = {}
        self._tries: dict[tuple[Any, ...], tuple[int, float]] = {}
        self._listed_at_s: dict[str, float] = {}
        self._risk = RiskWatch()

    def forget(self, stream: str) -> None:
        """Forget what was done for a stream that asks for nothing any more."""
        self._done.pop(stream, None)
        self._listed_at_s.pop(stream, None)
        for key in [key for key in self._tries if key[1] == stream]:
            del self._tries[key]

    def begin(self, view: View, now_s: float, stragglers: Callable[[], list[str]], silent: Callable[[], Ids]) -> None:
        """Begin what this stream asks for. Call it only on its highest-ranking worker.

        `stragglers` are the transactional ids of all workers that last ran the stream, `silent` those of silent ones.
        """
        means = self._means
        if view.status == "STARTING":
            self._start(("validate", view.stream, view.epoch, view.revision), now_s, lambda: validate(view, means))
        if view.checking is not None:
            command = view.checking["command_id"]
            left_open = silent()
            self._start(("check", view.stream, command), now_s, lambda: check(view, means, left_open))
        if view.fence_pending:
            ids = stragglers()
            self._start(("fence", view.stream, view.epoch), now_s, lambda: fence_stragglers(view, means, ids))
        if view.drains and not view.listed:
            self._listed_at_s[view.stream] = now_s
            self._start(("list", view.stream, view.epoch), now_s, lambda: list_source(view, means))
        elif view.wants_tasks:
            listed_s = self._listed_at_s.setdefault(view.stream, now_s)
            if now_s - listed_s >= means.options.source_check_s:
                self._listed_at_s[view.stream] = now_s
                self._start(("look", view.stream, now_s), now_s, lambda: list_source(view, means))

    def look(self, view: View, now_s: float) -> None:
        """Look whether a stream that stands still is about to lose records. Call it on its highest-ranking worker."""
        self._start(("risk", view.stream), now_s, lambda: self._risk.look(view, self._means))

    def wake(self, view: View, now_s: float) -> None:
        """Look whether a stream that auto-pause paused has something to read. Call it on its highest-ranking worker."""
        self._start(("wake", view.stream), now_s, lambda: look_for_more(view, self._means))

    def forget_looks(self, stream: str) -> None:
        """Forget what was seen of the positions of a stream that moves again, or is gone."""
        self._risk.forget(stream)

    def collect(self, now_s: float) -> list[Report]:
        """Return the reports of chores that ended; those that failed are tried again after a while."""
        reports = []
        for key in [key for key, future in self._under_way.items() if future.done()]:
            future = self._under_way.pop(key)
            error = future.exception()
            if error is None:
                self._tries.pop(key, None)
                if key[0] not in AGAIN_AND_AGAIN:
                    self._done.setdefault(key[1], set()).add(key)
                if (report := future.result()) is not None:
                    reports.append(report)
                continue
            count = self._tries.get(key, (0, 0.0))[0]
            self._tries[key] = (count + 1, now_s + backoff.ceiling_s(count, RETRY_INITIAL_S, RETRY_MAX_S))
            if not isinstance(error, HeadgateError):
                logger.error("chore failed", action=f"chore.{key[0]}", stream=key[1], exc_info=error)
            else:
                logger.warning("chore failed", action=f"chore.{key[0]}", stream=key[1], error=str(error))
        return reports

    def close(self) -> None:
        """Begin no more."""
        self._executor.shutdown()

    def _start(self, key: tuple[Any, ...], now_s: float, work: Done) -> None:
        if key in self._under_way or key in self._done.get(key[1], ()) or len(self._under_way) >= MAX_AT_ONCE:
            return
        if now_s >= self._tries.get(key, (0, 0.0))[1]:
            self._under_way[key] = self._executor.submit(work)


def validate(view: View, means: Means) -> Report:
    """Look at everything that a stream needs, item by item, and resolve where each partition begins."""
    checks, pipeline = judge(view, means)
    partitions: Mapping[str, int] = {}
    positions: dict[str, dict[str, int]] = {}
    ends: dict[str, dict[str, int]] = {}
    if pipeline is None:
        checks += [_not_executed(name) for name in ("source", "destination", "positions")]
    else:
        found = pipeline.inspect()
        checks += found
        if any_failed(found):
            checks.append(_not_executed("positions"))
        else:
            catalogue = pipeline.make_catalogue()
            try:
                resolved = attempt(
                    checks,
                    "positions",
                    lambda: by_start_policy(catalogue, pipeline.config.source.start, partitions_of(catalogue)),
                )
                counted = attempt(checks, "positions", catalogue.partitions)
                attempt(checks, "group", lambda: catalogue.committed(list(resolved or {})))
                if (until := pipeline.config.source.until) is not None and resolved is not None:
                    now_ms = means.clock.now_ms()
                    found_ends = attempt(checks, "until", lambda: resolve(catalogue, until, list(resolved), now_ms))
                    if found_ends is not None:
                        ends = nested(found_ends)
                        passed(checks, "until", _told_ends(ends))
            finally:
                catalogue.close()
            if resolved is not None and counted is not None:
                partitions, positions = counted, nested(resolved)
                passed(checks, "positions", f"resolved for {len(resolved)} partition(s)")
    name = means.options.name
    if any_failed(checks):
        data: dict[str, Any] = {"revision": view.revision, "checks": checks}
        return Report.of(view, name, "validation-failed", data, str(view.revision))
    data = {"revision": view.revision, "checks": checks, "partitions": dict(partitions), "positions": positions}
    if ends:
        data["ends"] = ends
    return Report.of(view, name, "validation-passed", data, str(view.revision))


def check(view: View, means: Means, left_open: Ids) -> Report:
    """Resolve the positions of a waiting resume or recover, and compare them with what the source holds.

    The committed positions can be told only once the transactions are over that would move them.
    """
    assert view.checking is not None
    command_id = view.checking["command_id"]
    fence(means.log, left_open)
    try:
        found = check_positions(build(view, means), view)
        data = {
            "passed": found.passed,
            "positions": found.positions,
            "gap": found.gap,
            "reread": found.reread,
            "skipped": found.skipped,
            "code": found.code,
            "message": found.message,
        }
    except HeadgateError as error:
        if error.retriable:
            raise
        code = error.checks[0]["code"] if isinstance(error, ConfigRejected) and error.checks else error.code
        data = {"passed": False, "positions": {}, "gap": 0, "code": code or error.code, "message": str(error)}
    return Report.of(view, means.options.name, "positions-checked", {"command_id": command_id, **data}, command_id)


def list_source(view: View, means: Means) -> Report | None:
    """Say how many partitions the source has, for a drain or because that changed; None when it did not.

    A source that is gone fails the stream for good: the clients of the tasks would not notice for minutes.
    """
    pipeline = build(view, means)
    catalogue = pipeline.make_catalogue()
    try:
        try:
            counts = dict(catalogue.partitions())
        except TopicMissing:
            means.clock.sleep(GONE_S)  # a cluster that just elected a leader may not know its topics for a moment
            counts = dict(catalogue.partitions())
    except TopicMissing as error:
        place = pipeline.source.place(pipeline.source_settings)
        gone = SourceGone(f"The source is gone: {place} does not exist any more.", hint=error.hint)
        failure = classify(
            gone, worker=means.options.name, now_ms=means.clock.now_ms(), about=f"{view.stream}|{view.incarnation}"
        )
        return Report.of(view, means.options.name, "error-raised", {"error": failure.payload()}, failure.code)
    finally:
        catalogue.close()
    if counts == view.partitions and not (view.drains and not view.listed):
        return None
    about = "-".join(f"{topic}-{count}" for topic, count in sorted(counts.items()))
    return Report.of(view, means.options.name, "source-listed", {"partitions": counts}, about)


def fence_stragglers(view: View, means: Means, transactional_ids: Ids) -> Report:
    """Make sure that nobody can commit any more what a forced stop left open, here or at the destination."""
    fence(means.log, transactional_ids)
    _fence_at_destination(view, means)
    return Report.of(view, means.options.name, "fenced", {}, "")


def _fence_at_destination(view: View, means: Means) -> None:
    """Let the destination end the run, where it can. What no worker could have opened has nothing to be fenced."""
    try:
        config = StreamConfig.model_validate(dict(view.config))
        kind = means.destinations.find(config.destination.kind)
        settings = kind.settings.model_validate(config.destination.model_extra or {})
    except (ValidationError, UnknownKind) as error:
        logger.warning("no destination to fence", action="chore.fence", stream=view.stream, error=type(error).__name__)
        return
    if isinstance(kind, Fences):
        token = Token(view.incarnation, view.epoch, 0)
        places = [TopicPartition(topic, n) for topic, count in (view.partitions or {}).items() for n in range(count)]
        kind.fence(settings, context_of(view, config, means), dict.fromkeys(places, token))


def _told_ends(ends: Mapping[str, Mapping[str, int]]) -> str:
    count = sum(len(numbers) for numbers in ends.values())
    return f"found for {count} partition(s)" if count else "as the definition gives them"


def _not_executed(name: str) -> dict[str, Any]:
    return {"name": name, "result": "not_executed", "code": None, "message": "", "hint": ""}
