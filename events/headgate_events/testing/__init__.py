"""Headgate in memory, for the tests of programs that use it: the same clients, no Kafka, no waiting.

    memory = MemoryHeadgate()
    memory.commands.create("departures", {"source": {"topic": "a"}, "destination": {"kind": "kafka"}})
    memory.commands.start("departures")
    memory.report("departures", "validation-passed", {"revision": 1, "partitions": {"a": 3}})
    assert memory.state.get("departures").status == "RUNNING"
    memory.say("departures", "IDLE")
    memory.activity.refresh()
    assert memory.activity.table.status("departures") == "IDLE"

Commands really fold: the decider is the controller's own, loaded by its name when it is first needed, because what
users import does not import the controller. Commands and reports pass through the real codec, so a record that a
cluster would refuse is refused here. Time stands still until `advance` moves it.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator, Mapping
from threading import Condition
from typing import Any, Final, Unpack

import orjson

from headgate_events.client.handle import CommandHandle
from headgate_events.client.interfaces import Commands, History, State
from headgate_events.client.request import CommandOptions, build_request, check_actor
from headgate_events.client.selection import Selection
from headgate_events.client.sequence import HistoryItem
from headgate_events.client.table import Change, CompactedTable
from headgate_events.codec import decode_input, encode, history_headers, read, report_headers
from headgate_events.envelope import Headers
from headgate_events.errors import InvalidRequest, NotFound, SendFailed
from headgate_events.idleness.signals import Status
from headgate_events.markers import ChannelId
from headgate_events.names import DEFAULT_NAMESPACE
from headgate_events.records import Family, HistoryRecord, Input, Unreadable
from headgate_events.schema.common import InputPosition
from headgate_events.schema.history import Outcome
from headgate_events.schema.reports import REPORT_KINDS
from headgate_events.schema.state import StreamState
from headgate_events.testing.activity import Markers, MemoryActivity
from headgate_events.testing.records import START_MS, StoredRecord
from headgate_events.topics import Topics

__all__ = [
    "START_MS",
    "MemoryActivity",
    "MemoryCommands",
    "MemoryHeadgate",
    "MemoryHistory",
    "MemoryState",
    "StoredRecord",
]

_DECIDER: Final = "headgate.core.decider"
_DEADLINES: Final = "headgate.core.deadlines"

STATUSES: Final = tuple(each.value for each in Status)

Fold = Callable[[dict[str, Any] | None, Input], Any]
"""(state or None, input) → an object with `state` and `records`, like `headgate.core.decider.fold`."""
Refuse = Callable[[Unreadable], HistoryRecord]


class _Core:
    """The topics of one namespace with one partition each, and the projector's work, done at once."""

    def __init__(self, namespace: str, fold: Fold | None, refuse: Refuse | None) -> None:
        self.topics = Topics(namespace)
        self.changed = Condition()
        self.now_ms = START_MS
        self.history: list[StoredRecord] = []
        self.state: list[StoredRecord] = []
        self.states: dict[str, dict[str, Any]] = {}
        self._offsets: dict[str, int] = {"commands": 0, "reports": 0}
        self._fold = fold
        self._refuse = refuse
        self._waiting: dict[str, list[CommandHandle]] = {}

    def append(
        self, family: Family, key: bytes, headers: Headers, value: bytes, handle: CommandHandle | None = None
    ) -> InputPosition:
        """Append one input, decide it, and tell the handles that wait. Returns where the input stands."""
        with self.changed:
            topic = self.topics.commands if family == "commands" else self.topics.reports
            offset = self._offsets[family]
            self._offsets[family] = offset + 1
            position = InputPosition(topic=topic, partition=0, offset=offset)
            if handle is not None:
                self._waiting.setdefault(handle.command_id, []).append(handle)
                handle.tell_position(position)
            item = decode_input(family, StoredRecord(topic, 0, offset, key, value, headers, self.now_ms))
            if isinstance(item, Unreadable):
                self._write_history(item.stream, (self._refuser()(item),))
            else:
                folded = self._folder()(self.states.get(item.stream), item)
                self._write_history(item.stream, folded.records)
                self._write_state(item.stream, folded.state)
            self.changed.notify_all()
        return position

    def _write_history(self, stream: str | None, records: tuple[HistoryRecord, ...] | list[HistoryRecord]) -> None:
        for record in records:
            key = None if stream is None else stream.encode()
            stored = StoredRecord(
                self.topics.history, 0, len(self.history), key, record.value, history_headers(record), self.now_ms
            )
            self.history.append(stored)
            self._tell(record)

    def _write_state(self, stream: str, state: dict[str, Any] | None) -> None:
        before = self.states.get(stream)
        if state is None:
            self.states.pop(stream, None)
        else:
            self.states[stream] = state
        if state != before:
            value = None if state is None else encode(state)
            self.state.append(
                StoredRecord(self.topics.state, 0, len(self.state), stream.encode(), value, (), self.now_ms)
            )

    def _tell(self, record: HistoryRecord) -> None:
        payload = record.payload
        if record.kind not in {"outcome", "scheduled", "checking"}:
            return
        command_id = payload.get("input_id") or (payload.get("cause") or {}).get("id")
        answer = read("history", orjson.loads(record.value))
        waiting = self._waiting.get(str(command_id), [])
        for handle in list(waiting):
            final = isinstance(answer, Outcome)
            if handle.stream == answer.stream and not (final and handle.dry_run != answer.dry_run):
                handle.tell(answer)
                if final:
                    waiting.remove(handle)
        if not waiting:
            self._waiting.pop(str(command_id), None)

    def _folder(self) -> Fold:
        if self._fold is None:
            fold: Fold = _controller(_DECIDER).fold
            self._fold = fold
        return self._fold

    def _refuser(self) -> Refuse:
        if self._refuse is None:
            refuse: Refuse = _controller(_DECIDER).refuse_unreadable
            self._refuse = refuse
        return self._refuse


def _controller(module: str) -> Any:
    return importlib.import_module(module)


class MemoryCommands(Commands):
    """`Commands` in memory: every command is decided before `send` returns."""

    def __init__(self, core: _Core, actor: str) -> None:
        self._core = core
        self._actor = actor
        self._closed = False

    def send(
        self, kind: str, stream: str, payload: Mapping[str, Any] | None = None, **options: Unpack[CommandOptions]
    ) -> CommandHandle:
        """Send any command, as `CommandClient.send` does."""
        if self._closed:
            raise SendFailed("The client is closed.", hint="Open a new one.")
        request = build_request(
            kind, stream, payload, options, actor=self._actor, source="headgate/testing", at_ms=self._core.now_ms
        )
        handle = CommandHandle(request)
        self._core.append("commands", stream.encode(), request.headers, request.value, handle)
        return handle

    def close(self, timeout_s: float = 5.0) -> None:  # noqa: ARG002 - there is nothing to wait for
        """Refuse further commands."""
        self._closed = True


class MemoryState(State):
    """`State` in memory."""

    def __init__(self, core: _Core) -> None:
        self._core = core
        self._table = CompactedTable()
        self._next = 0
        self._restored = False
        self._missed: list[Change] = []

    def refresh(self, timeout_s: float = 60.0) -> None:  # noqa: ARG002 - there is nothing to wait for
        """Read up to what was written when this was called."""
        for record in self._new():
            change = self._table.apply(record)
            if change is not None and self._restored:
                self._missed.append(change)
        self._restored = True

    def snapshot(self, timeout_s: float = 60.0) -> dict[str, StreamState]:
        """Return every stream as of this call."""
        self.refresh(timeout_s)
        self._missed.clear()
        return dict(self._table.items())

    def get(self, stream: str) -> StreamState | None:
        """Return one stream as it is now: in memory nothing is ever behind."""
        self.refresh()
        return self._table.get(stream)

    def follow(self, timeout_s: float | None = None) -> Iterator[Change]:
        """Yield every change after the last snapshot, and wait in real time for those that other threads make."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        if not self._restored:
            self.refresh()
        while True:
            self.refresh()
            while self._missed:
                yield self._missed.pop(0)
            if deadline is not None and time.monotonic() >= deadline:
                return
            _wait(self._core.changed, lambda: self._next < len(self._core.state), deadline)

    def close(self, timeout_s: float = 5.0) -> None:
        """Do nothing: there is nothing to let go of."""

    def _new(self) -> list[StoredRecord]:
        with self._core.changed:
            found = self._core.state[self._next :]
            self._next = len(self._core.state)
            return found


class MemoryHistory(History):
    """`History` in memory."""

    def __init__(self, core: _Core) -> None:
        self._core = core

    def read(
        self,
        stream: str | None = None,
        *,
        from_version: int | None = None,
        since_ms: int | None = None,
        follow: bool = False,
        timeout_s: float | None = None,
    ) -> Iterator[HistoryItem]:
        """Yield the history, as `HistoryReader.read` does."""
        selection = Selection(stream, from_version, since_ms, from_start=True)
        return self._items(selection, follow, timeout_s)

    def _items(self, selection: Selection, follow: bool, timeout_s: float | None) -> Iterator[HistoryItem]:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        following = 0
        while True:
            with self._core.changed:
                found = self._core.history[following:]
            for record in found:
                yield from selection.items(record)
            following += len(found)
            if not follow or (deadline is not None and time.monotonic() >= deadline):
                return
            reached = following
            _wait(self._core.changed, lambda: reached < len(self._core.history), deadline)  # noqa: B023

    def close(self, timeout_s: float = 5.0) -> None:
        """Do nothing: there is nothing to let go of."""


class MemoryHeadgate:
    """One namespace in memory: `commands`, `state`, `history` and `activity` are the clients.

    The rest plays the cluster's part: `report` and `say` are its workers, `advance` is its time.

    `fold` and `refuse` replace the controller's own decider. Safe to use from several threads.
    """

    def __init__(
        self,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        actor: str = "tester",
        fold: Fold | None = None,
        refuse: Refuse | None = None,
    ) -> None:
        self._core = _Core(namespace, fold, refuse)
        self._reports = 0
        self.commands = MemoryCommands(self._core, check_actor(actor))
        self.state = MemoryState(self._core)
        self.history = MemoryHistory(self._core)
        self._markers = Markers(self._core.topics, self._core.changed)
        self.activity = MemoryActivity(self._markers, _wait)

    @property
    def now_ms(self) -> int:
        """The time, in epoch milliseconds, at which the next input will be decided."""
        return self._core.now_ms

    def advance(self, milliseconds: int) -> int:
        """Move the time on, and report every deadline that passes, at its own time. Returns how many there were.

        What waits for a time of idleness, a command or auto-pause, gets it on the way.
        """
        if milliseconds < 0:
            raise InvalidRequest("Time does not go back.", hint="Advance by 0 milliseconds or more.")
        until_ms, passed = self._core.now_ms + milliseconds, 0
        while True:
            due, silence = self._next_deadline(until_ms), self._next_silence(until_ms)
            if silence is not None and (due is None or silence[0] < due[1].due_ms):
                self._core.now_ms = max(self._core.now_ms, silence[0])
                self._idle_reached(silence[1])
                continue
            if due is None:
                break
            stream, deadline = due
            self._core.now_ms = max(self._core.now_ms, deadline.due_ms)
            fields = {"deadline": deadline.kind, "due_ms": deadline.due_ms, "command_id": deadline.command_id}
            before = len(self._core.state)
            self.report(stream, "deadline-passed", fields)
            passed += 1
            assert len(self._core.state) > before, "a deadline that passed changes the state, or it would pass for ever"
        self._core.now_ms = until_ms
        return passed

    def report(
        self, stream: str, kind: str, payload: Mapping[str, Any] | None = None, *, worker: str | None = None
    ) -> InputPosition:
        """Say that a worker (or, without one, the observer) saw something of a stream, and let it be decided.

        Incarnation, epoch and, for what concerns a revision, the desired revision are the stream's present ones unless
        `payload` says otherwise. Raises NotFound when there is no such stream, InvalidRequest for an unknown kind.
        """
        if kind not in REPORT_KINDS:
            raise InvalidRequest(f"{kind!r} is not a report.", hint=f"Known: {', '.join(REPORT_KINDS)}.")
        state = self._core.states.get(stream)
        if state is None:
            raise NotFound(f"There is no stream {stream!r}.", hint="Create it first.")
        self._reports += 1
        fields = {"incarnation": state["incarnation"], "epoch": state["epoch"], "worker": worker, **(payload or {})}
        if kind in {"validation-passed", "validation-failed", "task-started", "revision-rejected"}:
            fields.setdefault("revision", state["revision"]["desired"])
        headers = report_headers(
            kind,
            f"testing-{self._reports}",
            stream,
            source="headgate/testing",
            at_ms=self._core.now_ms,
            actor=worker or "observer",
        )
        return self._core.append("reports", stream.encode(), headers, encode(fields))

    def say(
        self,
        stream: str,
        status: str | None = None,
        *,
        topic: str | None = None,
        partition: int | None = None,
        watermark: int | None = None,
        position: int | None = None,
        reason: str | None = None,
        worker: str = "worker",
    ) -> None:
        """Say, as its worker would, that partitions of a running stream are ACTIVE, IDLE or FINISHED.

        Without `topic` or `partition` it is said of all of them; without `status` only the watermark is told (epoch
        milliseconds). `position` is where the worker stands, and what proves an IDLE. A command that waits for idle is
        decided once every partition is. Raises NotFound when there is no such stream, InvalidRequest when it has no
        tasks that could say so.
        """
        state = self._core.states.get(stream)
        if state is None:
            raise NotFound(f"There is no stream {stream!r}.", hint="Create it first.")
        if status not in {None, *STATUSES}:
            raise InvalidRequest(f"{status!r} is said of no channel.", hint=f"Known: {', '.join(STATUSES)}.")
        said = None if status is None else Status(status)
        channels = [
            ChannelId(stream, name, number)
            for name, count in (state["partitions"] or {}).items()
            for number in range(count)
            if topic in {None, name} and partition in {None, number}
        ]
        if state["status"] not in {"RUNNING", "FAILED"} or not channels:
            raise InvalidRequest(
                f"{stream} is {state['status']}: none of its tasks speaks of such a partition.",
                hint="Start the stream, and name a partition that `validation-passed` listed.",
            )
        for channel in channels:
            self._markers.say(
                state,
                channel,
                said,
                self._core.now_ms,
                watermark=watermark,
                position=position,
                reason=reason,
                worker=worker,
            )
        self._idle_reached(stream)

    def append(self, family: Family, key: bytes, headers: Headers, value: bytes) -> InputPosition:
        """Append a raw record, well-formed or not, as any Kafka client could."""
        return self._core.append(family, key, headers, value)

    def _idle_reached(self, stream: str) -> None:
        """Report the fact that commands wait for, as the stream's first worker would."""
        state = self._core.states[stream]
        for pending in list(state["scheduled"].values()):
            present = self._core.states[stream]
            waits = pending["when_idle"] and pending["not_before_ms"] is None
            idle_ms = self._idle_ms(present, pending["since_ms"])
            if waits and idle_ms is not None and idle_ms >= (pending.get("idle_for_ms") or 0):
                self.report(stream, "idle-reached", {"command_id": pending["command_id"]})
        state = self._core.states[stream]
        after_s, idle_ms = state["config"]["idleness"].get("auto_pause_after_s"), self._idle_ms(state)
        if after_s is not None and idle_ms is not None and idle_ms >= round(after_s * 1_000):
            self.report(stream, "silence-reached", {"ends": self._markers.ends(state)})

    def _idle_ms(self, state: Mapping[str, Any], from_ms: int = 0) -> int | None:
        """Return for how long a running stream has been idle, from a time on; None where it is not."""
        since_ms = self._markers.idle_since_ms(state) if state["status"] == "RUNNING" else None
        return None if since_ms is None else self._core.now_ms - max(since_ms, from_ms)

    def _next_silence(self, until_ms: int) -> tuple[int, str] | None:
        """Return when a stream will have been idle for as long as a command or auto-pause waits, and which."""
        found = []
        for stream, state in self._core.states.items():
            since_ms = self._markers.idle_since_ms(state) if state["status"] == "RUNNING" else None
            if since_ms is None:
                continue
            found += [
                (max(since_ms, pending["since_ms"]) + pending["idle_for_ms"], stream)
                for pending in state["scheduled"].values()
                if pending.get("idle_for_ms") is not None and pending["not_before_ms"] is None
            ]
            after_s = state["config"]["idleness"].get("auto_pause_after_s")
            if after_s is not None and not any(each["when_idle"] for each in state["scheduled"].values()):
                found.append((since_ms + round(after_s * 1_000), stream))
        due = min(found, default=None)
        return due if due is not None and due[0] <= until_ms else None

    def _next_deadline(self, until_ms: int) -> tuple[str, Any] | None:
        module = _controller(_DEADLINES)
        found = [
            (deadline.due_ms, stream, deadline)
            for stream, state in self._core.states.items()
            for deadline in module.deadlines(state)
            if deadline.due_ms <= until_ms
        ]
        if not found:
            return None
        _, stream, deadline = min(found, key=lambda each: each[:2])
        return stream, deadline


def _wait(changed: Condition, ready: Callable[[], bool], deadline: float | None) -> None:
    with changed:
        changed.wait_for(ready, 0.1 if deadline is None else max(0.0, min(0.1, deadline - time.monotonic())))
