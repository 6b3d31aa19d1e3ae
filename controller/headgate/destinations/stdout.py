"""Standard output: each record as one line of JSON, for looking at a stream and for piping it on.

A line says where the record came from and what it carries: text as text, and what is no text in base64 under a name
of its own (`value_base64`), so that nothing has to be guessed on the way back. Lines are written whole, and at each
commit; the positions are committed afterwards, so after a crash lines may come again: at least once.

All streams of a worker with this destination share its standard output; the worker's log is on standard error, so the
two do not mix. A pipe that nobody empties holds the stream up; after a bound that is an error.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict

from headgate.destinations.shown import shown
from headgate.ports.connectors import ConnectorContext, ConnectorRefused, ConnectorUnavailable, Delivery
from headgate.ports.destination import Destination, Output, PositionsIn, Token, outputs_of
from headgate.ports.log import Committed, TopicPartition
from headgate_events.records import Record
from headgate_events.schema.common import Check

WRITE_S: Final = 30.0
"""How long a reader may leave the pipe full before that is an error."""
HELD_BYTES: Final = 1 << 20
"""Lines are held back until the commit; past this much they are written before it."""
ATOMIC_BYTES: Final = select.PIPE_BUF
"""A pipe takes so many bytes in one piece, and without blocking once it says that it takes any."""
STANDARD_OUTPUT: Final = 1

_writing: Final = threading.Lock()
"""There is one standard output, and several tasks of a worker may write to it."""


class StdoutSettings(BaseModel):
    """Settings of `destination: {kind: stdout}`.

    `show: record` prints a JSON object with everything; `value` prints the value alone, as it is, one a line.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    show: Literal["record", "value"] = "record"


class StdoutDestination:
    """Lines on a file descriptor. The positions are the source's."""

    positions_in: PositionsIn = "source"
    transactional_ids: tuple[str, ...] = ()

    def __init__(self, settings: StdoutSettings, descriptor: int) -> None:
        self._line = _line if settings.show == "record" else _bare
        self._descriptor = descriptor
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._torn = False

    def open(self) -> None:
        """Forget the lines that were held back."""
        self._held.clear()
        self._held_bytes = 0

    def forward(self, records: Sequence[Record]) -> None:
        """Take records on as they are."""
        self.write(outputs_of(records))

    def write(self, outputs: Sequence[Output]) -> None:
        """Make lines of outputs; those that became too many are written at once."""
        for output in outputs:
            line = self._line(output)
            self._held.append(line)
            self._held_bytes += len(line)
            if self._held_bytes >= HELD_BYTES:
                self._flush()

    def positions(self, claims: Mapping[TopicPartition, Token]) -> Mapping[TopicPartition, Committed]:
        """Return nothing: the positions are the source's."""
        return {}

    def commit(self, positions: Mapping[TopicPartition, Committed], proof: Any) -> None:
        """Write what is held. Raises ConnectorUnavailable when that cannot be done now, ConnectorRefused when never."""
        self._flush()

    def close(self) -> None:
        """Forget the lines that were held back."""
        self.open()

    def _flush(self) -> None:
        if not self._held:
            return
        deadline_s = time.monotonic() + WRITE_S
        if not _writing.acquire(timeout=WRITE_S):
            raise _stuck()
        try:
            if self._torn:
                self._put(b"\n", deadline_s)
                self._torn = False
            for piece in _pieces(self._held):
                for start in range(0, len(piece), ATOMIC_BYTES):
                    self._put(piece[start : start + ATOMIC_BYTES], deadline_s)
                    self._torn = start + ATOMIC_BYTES < len(piece)
        finally:
            _writing.release()
        self.open()

    def _put(self, data: bytes, deadline_s: float) -> None:
        while data:
            try:
                _, ready, _ = select.select([], [self._descriptor], [], max(0.0, deadline_s - time.monotonic()))
                if not ready:
                    raise _stuck()
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                continue  # somebody else filled the pipe meanwhile
            except BrokenPipeError:
                raise ConnectorRefused(
                    "Whoever read this worker's standard output is gone (broken pipe).",
                    hint="Start the worker again with a reader, then recover the stream.",
                ) from None
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is closed"
                raise ConnectorUnavailable(f"The standard output cannot be written to: {reason}.") from error


class Stdout:
    """The kind `stdout`. `descriptor` is another file descriptor than the standard output's, for tests."""

    name: Final = "stdout"
    settings: Final = StdoutSettings
    promises: Sequence[Delivery] = ("at_least_once",)

    def __init__(self, descriptor: int = STANDARD_OUTPUT) -> None:
        self._descriptor = descriptor

    def check(self, settings: StdoutSettings, context: ConnectorContext) -> Sequence[Check]:
        """Look whether the standard output is open."""
        try:
            os.fstat(self._descriptor)
        except OSError:
            return [
                Check(
                    name="destination",
                    result="failed",
                    code="destination.no_stdout",
                    message="This worker's standard output is closed.",
                    hint="Start the worker with one.",
                )
            ]
        return [Check(name="destination", result="passed", message=f"standard output of {context.worker}")]

    def destination(self, settings: StdoutSettings, context: ConnectorContext) -> Destination:
        """Make the destination."""
        return StdoutDestination(settings, self._descriptor)


def _pieces(lines: Sequence[bytes]) -> list[bytes]:
    """Join whole lines to pieces that a pipe takes in one; a line that is longer is a piece of its own."""
    pieces: list[bytes] = []
    begun: list[bytes] = []
    size = 0
    for line in lines:
        if begun and size + len(line) > ATOMIC_BYTES:
            pieces.append(b"".join(begun))
            begun, size = [], 0
        begun.append(line)
        size += len(line)
    pieces.append(b"".join(begun))
    return pieces


def _line(output: Output) -> bytes:
    return orjson.dumps(shown(output), option=orjson.OPT_APPEND_NEWLINE)


def _bare(output: Output) -> bytes:
    return (output.value or b"") + b"\n"


def _stuck() -> ConnectorUnavailable:
    return ConnectorUnavailable(
        f"Nobody has read this worker's standard output for {WRITE_S:g} s.", hint="Let its reader go on."
    )
