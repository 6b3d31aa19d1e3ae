"""What a file format has to do for a files destination: turn values into a file, and find the one that does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

from headgate.ports.destination import Output, RecordRefused
from headgate_events.records import Record

Values = Sequence[bytes | None]


class Sink(Protocol):
    """Where a file's bytes go: a local file, or an object of a store."""

    def write(self, data: Any, /) -> Any: ...

    def tell(self) -> int: ...


class Writing(Protocol):
    """One file being written."""

    @property
    def records(self) -> int: ...

    @property
    def size_bytes(self) -> int:
        """About how large the file is by now."""
        ...

    def add(self, values: Values, origins: Sequence[Record]) -> None:
        """Take values on, each with the source's record that it came from. Raises RecordRefused, here or in finish."""
        ...

    def finish(self, facts: Mapping[str, str]) -> None:
        """Write what is left, and `facts` about the file where the format has a place for them; the sink stays open."""
        ...

    def abandon(self) -> None:
        """Let go of what is buffered. Never raises."""
        ...


class Format(Protocol):
    """A file format with its settings."""

    enveloped: bool

    @property
    def extension(self) -> str: ...

    def prepare(self, folder: Path | None, nonce: str) -> None:
        """Get ready to write files. `folder` is where something may be kept for good; a store has none."""
        ...

    def values_of(self, outputs: Sequence[Output]) -> Values:
        """Return outputs as values that say where they come from; only asked for with `record: envelope`."""
        ...

    def writing(self, sink: Sink) -> Writing: ...


def refuse(origin: Record, why: str, hint: str) -> NoReturn:
    """Refuse one record."""
    raise RecordRefused(
        f"The record {origin.topic()}[{origin.partition()}] at {origin.offset()} {why}.", origin=origin, hint=hint
    )
