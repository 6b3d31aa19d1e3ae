"""The view: what of a stream's state steers a worker, and nothing else.

States are large (history of commands, checks, receipts) and there may be a million; a worker keeps the views of those
streams that ask something of somebody, and forgets the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from headgate.core.auto_pause import silence_of
from headgate.core.revisions import in_effect
from headgate.ports.log import TopicPartition
from headgate_events.schema.common import Status

RUNS: Final = frozenset({Status.RUNNING.value, Status.FAILED.value})
WITH_TASK: Final = RUNS | {Status.DRAINING.value}
STANDING_STILL: Final = frozenset({Status.PAUSED.value, Status.FAILED.value, Status.FAILED_PERMANENTLY.value})


@dataclass(frozen=True, slots=True)
class View:
    """What a worker looks at. The nested values are the state's own and are never changed.

    `revision` and `config` are the definition in effect: the desired one, or the one before where that was rejected.
    """

    stream: str
    incarnation: int
    version: int
    status: str
    epoch: int
    started_epoch: int
    revision: int
    restart_version: int
    retry_version: int
    unclean: bool
    fence_pending: bool
    listed: bool
    config: Mapping[str, Any]
    positions: Mapping[str, Mapping[str, int]]
    partitions: Mapping[str, int] | None
    receipts: Mapping[str, Mapping[str, Any]]
    checking: Mapping[str, Any] | None
    tasks: frozenset[str] = frozenset()
    errors: Mapping[str, str | None] = field(default_factory=dict)
    """The worker of each standing error, by the error's id; None for the observer's."""
    unrecoverable: frozenset[str] = frozenset()
    """The ids of those standing errors that only a person ends."""
    failed: frozenset[TopicPartition] = frozenset()
    """The partitions with such an error: nobody reads them before the stream is recovered."""
    conditions: Mapping[str, str] = field(default_factory=dict)
    """What each condition that holds says."""
    awaiting_idle: Mapping[str, float] = field(default_factory=dict)
    """The ids of commands that wait for nothing but the stream to be idle, with for how many seconds."""
    kept_for_idle: bool = False
    """Whether some command waits for the stream to be idle, be it now or after a time."""
    silence: Mapping[str, Mapping[str, int]] | None = None
    """Of a stream that auto-pause paused: where its source ended, by topic and partition."""
    ends: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Where a bounded stream stops, as its first start found it."""
    carries_on: bool = False
    """Whether the stream failed permanently in some partitions alone, so that tasks move the others."""

    @property
    def key(self) -> tuple[str, int]:
        """The stream's name and incarnation: what a task is of."""
        return self.stream, self.incarnation

    @property
    def wants_tasks(self) -> bool:
        """Whether workers run tasks of this stream now."""
        return self.status in WITH_TASK or self.carries_on

    @property
    def runs(self) -> bool:
        """Whether tasks read: RUNNING, FAILED and retrying, or carrying on with the partitions that have not failed."""
        return self.status in RUNS or self.carries_on

    @property
    def drains(self) -> bool:
        """Whether tasks finish what is in flight and hand in receipts."""
        return self.status == Status.DRAINING.value

    @property
    def may_lose(self) -> bool:
        """Whether the source may drop what was not read, because nobody reads it (at least somewhere) for now."""
        return self.status in STANDING_STILL

    @property
    def asks_something(self) -> bool:
        """Whether any worker has something to do for this stream."""
        return (
            self.wants_tasks or self.fence_pending or self.checking is not None or self.status == Status.STARTING.value
        )


def view_of(state: Mapping[str, Any]) -> View:
    """Take the view out of a state, as it stands on the state topic."""
    drain = state.get("drain") or {}
    conditions = state.get("conditions") or {}
    errors: Mapping[str, Mapping[str, Any]] = state.get("errors") or {}
    standing = {name: error for name, error in errors.items() if not error.get("recoverable")}
    definition = in_effect(state)
    return View(
        stream=state["stream"],
        incarnation=state["incarnation"],
        version=state["version"],
        status=state["status"],
        epoch=state["epoch"],
        started_epoch=state["started_epoch"],
        revision=definition["revision"],
        restart_version=state.get("restart_version", 0),
        retry_version=state.get("retry_version", 0),
        conditions={name: held.get("message") or "" for name, held in conditions.items()},
        unclean="unclean" in conditions,
        fence_pending="fence_pending" in conditions,
        listed=bool(drain.get("listed")),
        config=definition["config"],
        positions=state.get("positions") or {},
        partitions=state.get("partitions"),
        receipts=drain.get("receipts") or {},
        checking=state.get("checking"),
        tasks=frozenset(name for name, task in (state.get("tasks") or {}).items() if task["epoch"] == state["epoch"]),
        errors={name: error.get("worker") for name, error in errors.items()},
        unrecoverable=frozenset(standing),
        failed=frozenset(
            TopicPartition(error["topic"], error["partition"])
            for error in standing.values()
            if error.get("topic") is not None and error.get("partition") is not None
        ),
        awaiting_idle={
            name: float(pending.get("idle_for_ms") or 0) / 1_000
            for name, pending in (state.get("scheduled") or {}).items()
            if pending.get("when_idle") and pending.get("not_before_ms") is None
        },
        kept_for_idle=any(pending.get("when_idle") for pending in (state.get("scheduled") or {}).values()),
        silence=silence_of(state) if state["status"] == Status.PAUSED.value else None,
        ends=state.get("ends") or {},
        carries_on=bool(state.get("carries_on")) and state["status"] == Status.FAILED_PERMANENTLY.value,
    )
