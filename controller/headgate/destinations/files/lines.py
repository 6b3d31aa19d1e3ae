"""JSON Lines: one JSON object a line, as it came, with an envelope around it where the settings say so.

A value is looked at (it must be a JSON object) and never written anew, so numbers, spelling and the order of keys stay.
Line breaks between its tokens become spaces; within a string JSON has none. msgspec looks, because it passes over what
nobody asked for and makes no Python objects of it. Who knows that a source holds JSON may leave it at the frame of a
line (`check: framing`).
"""

from __future__ import annotations

import base64
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import msgspec
import orjson

from headgate.destinations.files.formats import Sink, Values, refuse
from headgate.ports.connectors import ConnectorRefused
from headgate.ports.destination import Output
from headgate_events.records import Record

Compression = Literal["none", "gzip", "zstd"]
EXTENSIONS: Final[Mapping[Compression, str]] = {"none": "jsonl", "gzip": "jsonl.gz", "zstd": "jsonl.zst"}
BLOCK_BYTES: Final = 256 * 1024
LEAST_LINES: Final = 16
_HINT: Final = "Write JSON objects, set record: envelope, or on_error: dead_letter."
_BREAKS: Final = bytes.maketrans(b"\r\n", b"  ")


class _Object(msgspec.Struct, gc=False):
    """Any JSON object."""


_look_at: Final = msgspec.json.Decoder(_Object).decode


class JsonLines:
    """The format, as the settings have it."""

    def __init__(
        self, compression: Compression, record: Literal["value", "envelope"], check: Literal["full", "framing"]
    ) -> None:
        self.enveloped = record == "envelope"
        self._lines = parsed_lines if check == "full" and not self.enveloped else framed_lines
        self.extension = EXTENSIONS[compression]
        self._compression = compression

    def prepare(self, folder: Path | None, nonce: str) -> None:
        """Nothing to prepare."""

    def values_of(self, outputs: Sequence[Output]) -> Values:
        """Put envelopes around values: topic, partition, offset, timestamp, key, headers, value."""
        return [enveloped(output) for output in outputs]

    def writing(self, sink: Sink) -> WritingLines:
        """Begin a file."""
        return WritingLines(_COMPRESSORS[self._compression](sink), self._lines)


class WritingLines:
    """One file of lines being written."""

    def __init__(self, sink: Compressor, lines: Callable[[Values, Sequence[Record]], bytes]) -> None:
        self._sink = sink
        self._lines = lines
        self.records = 0
        self.size_bytes = 0

    def add(self, values: Values, origins: Sequence[Record]) -> None:
        """Write values as lines, as many at a time as stay in the processor's cache."""
        count = len(values)
        step = max(LEAST_LINES, BLOCK_BYTES // (1 + len(values[0] or b"")))
        for start in range(0, count, step):
            end = min(start + step, count)
            self._sink.write(self._lines(values[start:end], origins[start:end]))
        self.records += count
        self.size_bytes = self._sink.size_bytes

    def finish(self, facts: Mapping[str, str]) -> None:
        """Write what the compressor holds back."""
        self._sink.finish()
        self.size_bytes = self._sink.size_bytes

    def abandon(self) -> None:
        """Nothing is buffered but by the compressor."""


def parsed_lines(values: Values, origins: Sequence[Record]) -> bytes:
    """Return values as lines. Raises RecordRefused for the first that is no JSON object."""
    try:
        deque(map(_look_at, values), maxlen=0)  # type: ignore[arg-type]
        text = b"\n".join([*values, b""])  # type: ignore[list-item]
        if not text.isascii():
            text.decode()
    except (TypeError, ValueError, RecursionError):
        _refuse_the_first(values, origins)
        raise
    if text.count(b"\n") == len(values):
        return text
    return b"\n".join([*(value.translate(_BREAKS) for value in values if value is not None), b""])


def framed_lines(values: Values, origins: Sequence[Record]) -> bytes:
    """Return values as lines that each begin with { and end with }: what is within is taken on trust."""
    if None not in values:
        text = b"\n".join([*values, b""])  # type: ignore[list-item]
        between = len(values) - 1
        framed = text.startswith(b"{") and text.endswith(b"}\n") and text.count(b"}\n{") == between
        if framed and text.count(b"\n") == between + 1:
            return text
    return parsed_lines(values, origins)


def _refuse_the_first(values: Values, origins: Sequence[Record]) -> None:
    for value, origin in zip(values, origins, strict=True):
        if value is None:
            refuse(origin, "has no value, so there is nothing to write as a line", _HINT)
        try:
            value.decode()  # msgspec takes it on trust that strings are UTF-8
            _look_at(value)
        except msgspec.ValidationError:
            refuse(origin, "is not a JSON object", _HINT)
        except ValueError as error:
            refuse(origin, f"is not JSON ({error})", _HINT)
        except RecursionError:
            refuse(origin, "is nested more deeply than a reader can be asked to follow", _HINT)


def enveloped(output: Output) -> bytes:
    """Return an output with all that belongs to it as one JSON object.

    Text stands as text; bytes that are no UTF-8, and a value that is no JSON, as `{"base64": …}`.
    """
    origin = output.origin
    return orjson.dumps(
        {
            "topic": origin.topic(),
            "partition": origin.partition(),
            "offset": origin.offset(),
            "timestamp": output.timestamp_ms,
            "key": _text(output.key),
            "headers": [[name, _text(value)] for name, value in output.headers or ()],
            "value": _json(output.value),
        }
    )


def _text(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _json(value: bytes | None) -> Any:
    if value is None:
        return None
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return {"base64": base64.b64encode(value).decode()}
    return orjson.Fragment(value)


class Compressor(Protocol):
    """Writes to a sink, compressed or not."""

    size_bytes: int

    def write(self, data: bytes) -> None: ...

    def finish(self) -> None: ...


class _Plain:
    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        self._sink.write(data)
        self.size_bytes += len(data)

    def finish(self) -> None:
        pass


class _Gzip(_Plain):
    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._compress = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)

    def write(self, data: bytes) -> None:
        super().write(self._compress.compress(data))

    def finish(self) -> None:
        super().write(self._compress.flush())


class _Zstandard(_Plain):
    """One frame a file: not every reader goes on after the first."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        try:
            import pyarrow as pa
        except ImportError as error:
            raise ConnectorRefused(
                "compression: zstd needs pyarrow.", hint="Install headgate[files] on the workers."
            ) from error
        self._buffer = _Passing(super().write)
        self._compress = pa.CompressedOutputStream(pa.PythonFile(self._buffer, "w"), "zstd")

    def write(self, data: bytes) -> None:
        self._compress.write(data)

    def finish(self) -> None:
        self._compress.close()


class _Passing:
    """A file that hands on what is written to it, and whose closing closes nothing else."""

    closed = False

    def __init__(self, write: Any) -> None:
        self._write = write

    def write(self, data: Any) -> int:
        self._write(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


_COMPRESSORS: Final[Mapping[Compression, Any]] = {"none": _Plain, "gzip": _Gzip, "zstd": _Zstandard}
