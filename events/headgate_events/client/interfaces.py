"""What the clients promise, as Protocols: the real ones and the in-memory twins are both held to them.

A program that takes a `Commands`, a `State`, a `History` or an `Activity` runs against a cluster and, in its tests,
against `headgate_events.testing.MemoryHeadgate`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol, Self, Unpack

from headgate_events.client.channels import ActivityEdge, ActivityTable
from headgate_events.client.handle import CommandHandle
from headgate_events.client.request import CommandOptions
from headgate_events.client.sequence import HistoryItem
from headgate_events.client.table import Change
from headgate_events.schema.commands import PositionPolicy
from headgate_events.schema.config import StreamConfig
from headgate_events.schema.state import StreamState
from headgate_events.schema.workers import Marker

Config = StreamConfig | Mapping[str, Any]


class Closing(Protocol):
    """Something that is closed, by hand or by leaving a `with` block."""

    def close(self, timeout_s: float = 5.0) -> None:
        """Let go of threads and connections within the bound. Does nothing a second time."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class Commands(Closing, Protocol):
    """Sends commands. Each call returns at once with a handle on which the outcome can be awaited.

    Raises InvalidRequest before anything is sent; ClusterUnreachable or TopicsMissing when the cluster cannot be asked;
    SendFailed when the command could not be queued. A refusal is an outcome, not an error.
    """

    def send(
        self, kind: str, stream: str, payload: Mapping[str, Any] | None = None, **options: Unpack[CommandOptions]
    ) -> CommandHandle:
        """Send any command: `kind` as in its record type (`cancel-drain`), `payload` its own fields."""
        ...

    def create(self, stream: str, config: Config, **options: Unpack[CommandOptions]) -> CommandHandle:
        """Define a stream; it is created NOT_STARTED."""
        return self.send("create", stream, {"config": config}, **options)

    def start(self, stream: str, **options: Unpack[CommandOptions]) -> CommandHandle:
        """Validate a stream that never ran, and run it."""
        return self.send("start", stream, None, **options)

    def pause(self, stream: str, *, force: bool = False, **options: Unpack[CommandOptions]) -> CommandHandle:
        """Drain a stream and pause it; `force` gives up on an unfinished drain. The outcome comes before the drain."""
        return self.send("pause", stream, {"force": True} if force else None, **options)

    def resume(
        self,
        stream: str,
        positions: PositionPolicy | Mapping[str, Any] | None = None,
        **options: Unpack[CommandOptions],
    ) -> CommandHandle:
        """Run a paused stream again from where its drain ended; `positions` is another policy, None for that."""
        return self.send("resume", stream, None if positions is None else {"positions": positions}, **options)

    def recover(
        self,
        stream: str,
        positions: PositionPolicy | Mapping[str, Any] | None = None,
        **options: Unpack[CommandOptions],
    ) -> CommandHandle:
        """Run a permanently failed stream again; `positions` is a policy, None for the committed ones."""
        return self.send("recover", stream, None if positions is None else {"positions": positions}, **options)

    def modify(self, stream: str, config: Config, **options: Unpack[CommandOptions]) -> CommandHandle:
        """Replace a stream's definition."""
        return self.send("modify", stream, {"config": config}, **options)

    def delete(self, stream: str, *, drain: bool = False, **options: Unpack[CommandOptions]) -> CommandHandle:
        """Stop a stream at once and forget it; `drain` finishes what is in flight first."""
        return self.send("delete", stream, {"drain": True} if drain else None, **options)

    def cancel_drain(self, stream: str, **options: Unpack[CommandOptions]) -> CommandHandle:
        """Go back to running from an unfinished drain."""
        return self.send("cancel-drain", stream, None, **options)

    def retry(self, stream: str, **options: Unpack[CommandOptions]) -> CommandHandle:
        """Retry a failed stream at once instead of at its next backoff step."""
        return self.send("retry", stream, None, **options)

    def cancel(self, stream: str, waiting_id: str, **options: Unpack[CommandOptions]) -> CommandHandle:
        """Withdraw the command `waiting_id`, which is scheduled or waits for a fact."""
        return self.send("cancel", stream, {"command_id": waiting_id}, **options)


class State(Closing, Protocol):
    """Knows where each stream is. Belongs to one thread; deleted streams are not shown."""

    def refresh(self, timeout_s: float = 60.0) -> None:
        """Read up to what was written when this was called. Changes met on the way are given by `follow` later on."""
        ...

    def snapshot(self, timeout_s: float = 60.0) -> dict[str, StreamState]:
        """Return every stream as of this call or later."""
        ...

    def get(self, stream: str) -> StreamState | None:
        """Return one stream as last read (the first call reads a snapshot); None when there is none."""
        ...

    def follow(self, timeout_s: float | None = None) -> Iterator[Change]:
        """Yield every change after the last snapshot for `timeout_s` seconds; None is for ever."""
        ...


class History(Closing, Protocol):
    """Reads the audit log: transitions and outcomes, in order within each stream. Belongs to one thread."""

    def read(
        self,
        stream: str | None = None,
        *,
        from_version: int | None = None,
        since_ms: int | None = None,
        follow: bool = False,
        timeout_s: float | None = None,
    ) -> Iterator[HistoryItem]:
        """Yield one stream's history, or everybody's, up to now; with `follow` also what comes after.

        `from_version` counts within an incarnation and keeps what belongs to that version or a later one; `since_ms` is
        the time of the decision. `timeout_s` bounds the whole reading; None is 60 s up to now, then for ever.
        """
        ...


class Activity(Closing, Protocol):
    """Knows what was said about each channel: who is idle, since when, on what proof. Belongs to one thread."""

    @property
    def table(self) -> ActivityTable:
        """What was said, as last read."""
        ...

    def refresh(
        self, timeout_s: float = 60.0, *, streams: Collection[str] | None = None, since_ms: int | None = None
    ) -> list[ActivityEdge]:
        """Read up to what was said when this was called, and return the edges since the last call (none at first).

        `streams` and `since_ms` make the first reading shorter, for whoever needs no more.
        """
        ...

    def follow(self, timeout_s: float | None = None) -> Iterator[ActivityEdge]:
        """Yield every edge after the last reading, for `timeout_s` seconds; None is for ever."""
        ...

    def past(self, stream: str, *, since_ms: int | None = None, timeout_s: float = 60.0) -> Iterator[Marker]:
        """Yield the edges of a stream that are still kept, oldest first: each is a marker with its proof."""
        ...
