"""What the verbs need of Headgate: send a command and await its answer, see states, follow them, read the history.

It stands on the three clients that users import, so whatever the command line can do, a program can, too. States,
outcomes and transitions are plain JSON objects here, since all that the command line does with them is to show them.
`open_connection` is the one place that makes it, so a test replaces that with one on the in-memory twins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from headgate.cli.target import Target

if TYPE_CHECKING:
    from headgate_events.client.handle import CommandHandle
    from headgate_events.client.interfaces import Activity, Commands, History, State
    from headgate_events.client.request import CommandOptions
    from headgate_events.client.sequence import HistoryItem
    from headgate_events.client.table import Change
    from headgate_events.client.workers import WorkersClient

StateJson = Mapping[str, Any]

OPEN_TIMEOUT_S = 15.0
"""How long a cluster may take to answer at first. Long enough for a slow network, short enough for a person."""


@dataclass(frozen=True, slots=True)
class Order:
    """One command as it is to be sent: its kind, its stream, its own fields, and what may go with any command."""

    kind: str
    stream: str
    options: CommandOptions
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def waits(self) -> bool:
        """Whether it is decided later, so that its outcome may be far away."""
        later = ("not_before", "when_idle", "idle_for_s")
        return any(self.options.get(name) for name in later)


@dataclass(frozen=True, slots=True)
class LiveTask:
    """What a worker last said of one of its tasks, as a JSON object, and when that was heard."""

    worker: str
    said: Mapping[str, Any]
    heard_ms: int | None = None


class Connection:
    """One cluster and namespace, connected to as far as it is used. One thread owns it; leaving the block closes it."""

    def __init__(
        self,
        commands: Callable[[], Commands],
        state: Callable[[], State],
        history: Callable[[], History],
        workers: Callable[[], WorkersClient] | None = None,
        activity: Callable[[], Activity] | None = None,
        ends: Callable[[str, Iterable[int], float], Mapping[int, int]] | None = None,
    ) -> None:
        self._ends = ends
        self._make_workers = workers
        self._make_activity = activity
        self._make_commands = commands
        self._make_state = state
        self._make_history = history
        self._opened = ExitStack()

    @cached_property
    def _commands(self) -> Commands:
        return self._opened.enter_context(self._make_commands())

    @cached_property
    def _state(self) -> State:
        return self._opened.enter_context(self._make_state())

    @cached_property
    def _history(self) -> History:
        return self._opened.enter_context(self._make_history())

    @cached_property
    def _workers(self) -> WorkersClient | None:
        return None if self._make_workers is None else self._opened.enter_context(closing(self._make_workers()))

    @cached_property
    def activity(self) -> Activity | None:
        """The reader of what was said about channels; None where there is none."""
        return None if self._make_activity is None else self._opened.enter_context(self._make_activity())

    def send(self, order: Order) -> CommandHandle:
        """Send a command without waiting for its answer; many may be under way. Raises what the client raises."""
        return self._commands.send(order.kind, order.stream, order.fields, **order.options)

    def states(self, timeout_s: float = OPEN_TIMEOUT_S) -> dict[str, StateJson]:
        """Return every stream's state as of this call or later, by name."""
        return {name: shown(state) for name, state in self._state.snapshot(timeout_s).items()}

    def follow(self, timeout_s: float | None) -> Iterator[Change]:
        """Yield every change after the last `states()`, for a time; None is for ever."""
        return self._state.follow(timeout_s)

    def ends(self, topics: Mapping[str, int], timeout_s: float) -> dict[tuple[str, int], int]:
        """Return where each partition of these topics ends now, by topic and number. Raises ClusterUnreachable."""
        if self._ends is None:
            return {}
        return {
            (topic, number): end
            for topic, count in topics.items()
            for number, end in self._ends(topic, range(count), timeout_s).items()
        }

    def live(self, timeout_s: float = OPEN_TIMEOUT_S, since_ms: int | None = None) -> dict[str, list[LiveTask]]:
        """Return what workers that are heard last said of their tasks, by stream; with `since_ms` since that time."""
        found: dict[str, list[LiveTask]] = {}
        if self._workers is None:
            return found
        sights = self._workers.snapshot(timeout_s, since_ms)
        now_ms = time.time_ns() // 1_000_000
        for name, sight in sights.items():
            if sight.beat is not None and sight.standing(now_ms) in {"live", "cordoned", "stopping"}:
                for task in sight.beat.get("tasks") or ():
                    found.setdefault(task["stream"], []).append(LiveTask(name, task, sight.heard_ms))
        return found

    def history(
        self,
        stream: str | None,
        *,
        from_version: int | None = None,
        since_ms: int | None = None,
        follow: bool = False,
        timeout_s: float | None = None,
    ) -> Iterator[HistoryItem]:
        """Yield the history, oldest first, of one stream or of all."""
        return self._history.read(
            stream, from_version=from_version, since_ms=since_ms, follow=follow, timeout_s=timeout_s
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()


def shown(state: Any) -> StateJson:
    """Return a state, an outcome or another model as the JSON object that is printed."""
    payload: StateJson = state.model_dump(mode="json")
    return payload


def open_connection(target: Target) -> Connection:
    """Connect to a cluster. Raises ClusterUnreachable when nobody answers there."""
    from headgate.cli.clients import connect

    return connect(target)
