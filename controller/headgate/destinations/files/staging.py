"""One file being written in the folder beside, from its first byte until it is durable or dropped."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from headgate.destinations.files.durable import begin_writing_out
from headgate.destinations.files.formats import Format, Values
from headgate.ports.connectors import ConnectorUnavailable
from headgate_events.records import Record

BUFFER_BYTES: Final = 256 * 1024
WRITTEN_OUT_BYTES: Final = 4 * 1024 * 1024
"""How much is written before the disk begins with it: a commit waits for what is left."""


class Staged:
    """A staged file. Its lock is held until it is closed: what nobody holds, nobody writes (`journal.py`)."""

    def __init__(self, path: Path, first: int, form: Format) -> None:
        self.path = path
        self.first = first
        self.in_doubt = False
        self._written_out = 0
        self._sink = path.open("xb", buffering=BUFFER_BYTES)
        try:
            _lock(self._sink.fileno(), path)
            self._writing = form.writing(self._sink)
        except BaseException:
            self._sink.close()
            raise

    @property
    def records(self) -> int:
        """How many records it holds."""
        return self._writing.records

    @property
    def size_bytes(self) -> int:
        """About how large it is."""
        return self._writing.size_bytes

    def add(self, values: Values, origins: Sequence[Record]) -> None:
        """Take values on."""
        self._writing.add(values, origins)
        end = self._sink.tell()
        if end - self._written_out >= WRITTEN_OUT_BYTES:
            begin_writing_out(self._sink.fileno(), self._written_out, end)
            self._written_out = end

    def finish(self, facts: Mapping[str, str]) -> None:
        """Write its end and make it durable; it stays open, and so locked."""
        self._writing.finish(facts)
        self._sink.flush()
        os.fsync(self._sink.fileno())

    def close(self) -> None:
        """Let go of it. What could not be flushed is no loss: it is committed already, or dropped."""
        with contextlib.suppress(OSError, ValueError):
            self._sink.close()

    def drop(self) -> None:
        """Close it and remove it, unless an entry may name it: then whoever claims next decides. Never raises."""
        self._writing.abandon()
        if not self.in_doubt:
            with contextlib.suppress(OSError):
                self.path.unlink()
        self.close()


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        path.unlink(missing_ok=True)
        raise ConnectorUnavailable("An heir is clearing this file away; it is begun anew.") from error
    except OSError:
        return  # a file system without locks: then nobody can take one, and nothing is cleared away by it
