"""Parquet: one row a record, its columns from the fields of the JSON object.

Values are gathered as text and turned into columns many at a time, by pyarrow's JSON reader, against a schema that is
fixed (`schema.py`). Only when that fails is the one record looked for that does not fit, by halves. The memory of all
the files being written together is bounded: the more there are, the smaller their row groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import orjson
import pyarrow as pa
import pyarrow.json as pajson
import pyarrow.parquet as pq

from headgate.destinations.files import schema as schemas
from headgate.destinations.files.formats import Sink, Values, refuse
from headgate.destinations.files.frozen import FrozenSchema
from headgate.ports.connectors import ConnectorRefused
from headgate.ports.destination import Output
from headgate_events.records import Record

Compression = Literal["none", "snappy", "gzip", "zstd"]
BUFFERED_BYTES: Final = 64 * 1024 * 1024
"""How much text and columns all files being written hold in memory together, about."""
TEXT_BYTES: Final = 4 * 1024 * 1024
"""How much text of one file waits before it becomes columns."""
LEAST_BYTES: Final = 256 * 1024
PACKED: Final = 4
"""About how many times smaller a file is than its records as text, for rolling by size before a row group is out."""
NEEDS_COLUMNS: Final = "Parquet in a store needs columns: a store has nothing in which inferred ones could be frozen."
_HINT: Final = "Correct the record or the schema, or set on_error: dead_letter."


class Parquet:
    """The format, as the settings have it; it knows the schema once one is frozen."""

    extension: Final = "parquet"

    def __init__(
        self,
        compression: Compression,
        record: Literal["value", "envelope"],
        given: schemas.Columns | None,
        unknown_fields: Literal["refuse", "ignore"],
    ) -> None:
        self.enveloped = record == "envelope"
        self.compression = compression
        self._frozen: FrozenSchema | None = None
        self.open_files = 0
        self._given = with_envelope(given, enveloped=self.enveloped)
        self._unexpected: Literal["error", "ignore"] = "error" if unknown_fields == "refuse" else "ignore"
        self._schema: pa.Schema | None = None
        if self._given is not None:
            schemas.arrow_schema(self._given)

    def values_of(self, outputs: Sequence[Output]) -> Values:
        """Put the envelope's fields before those of the value."""
        return [spliced(output) for output in outputs]

    def writing(self, sink: Sink) -> WritingRows:
        """Begin a file."""
        return WritingRows(sink, self)

    @property
    def share_bytes(self) -> int:
        """How much one of the open files may hold in memory."""
        return max(LEAST_BYTES, BUFFERED_BYTES // max(1, self.open_files))

    def prepare(self, folder: Path | None, nonce: str) -> None:
        """Take the frozen schema, or freeze the one of the settings. Raises ConnectorRefused where they conflict."""
        if folder is None:
            if self._given is None:
                raise ConnectorRefused(NEEDS_COLUMNS, hint="Name the columns with their types.")
            self._schema = schemas.arrow_schema(self._given)
            return
        self._frozen = FrozenSchema(folder, nonce)
        columns = self._frozen.read()
        if self._given is not None:
            columns = columns or self._frozen.freeze(self._given)
            if (conflict := schemas.conflict(self._given, columns)) is not None:
                raise ConnectorRefused(conflict, hint=schemas.CONFLICT_HINT)
        self._schema = None if columns is None else schemas.arrow_schema(columns)

    def table(self, values: Values, origins: Sequence[Record]) -> pa.Table:
        """Return values as columns. Raises RecordRefused for the first that does not fit."""
        text = _text(values, origins)
        if self._schema is None:
            self._infer(text, values, origins)
        assert self._schema is not None
        table = self._parsed(text, self._schema)
        if table is None or table.num_rows != len(values):
            self._find(values, origins, 0, len(values))
            raise AssertionError("records that fit one by one fit together")
        return table

    def _parsed(self, text: bytes, schema: pa.Schema | None) -> pa.Table | None:
        try:
            return pajson.read_json(
                pa.BufferReader(text),
                read_options=pajson.ReadOptions(use_threads=False, block_size=len(text) + 1),
                parse_options=pajson.ParseOptions(
                    explicit_schema=schema, unexpected_field_behavior="infer" if schema is None else self._unexpected
                ),
            )
        except pa.ArrowInvalid:
            return None

    def _infer(self, text: bytes, values: Values, origins: Sequence[Record]) -> None:
        """Freeze what the first records have, or take what another task has frozen meanwhile."""
        assert self._frozen is not None
        columns = self._frozen.read()
        if columns is None:
            table = self._parsed(text, None)
            if table is None:
                count = _longest_prefix(values, lambda some: self._parsed(some, None) is not None)
                refuse(origins[count], "does not fit the records before it, whose columns would be inferred", _HINT)
            if not table.num_columns:
                refuse(origins[0], "has no field, so no column can be inferred", _HINT)
            columns = self._frozen.freeze(schemas.inferred(table.schema))
        self._schema = schemas.arrow_schema(columns)

    def _find(self, values: Values, origins: Sequence[Record], start: int, end: int) -> None:
        """Refuse the first record that does not fit, looking by halves."""
        table = self._parsed(_joined(values[start:end]), self._schema)
        if table is not None and table.num_rows == end - start:
            return
        if end - start == 1:
            refuse(origins[start], f"does not fit the schema: {self._reason(values[start] or b'')}", _HINT)
        middle = (start + end) // 2
        self._find(values, origins, start, middle)
        self._find(values, origins, middle, end)

    def _reason(self, value: bytes) -> str:
        try:
            pajson.read_json(
                pa.BufferReader(value),
                parse_options=pajson.ParseOptions(
                    explicit_schema=self._schema, unexpected_field_behavior=self._unexpected
                ),
            )
        except pa.ArrowInvalid as error:
            return str(error).removeprefix("JSON parse error: ").removesuffix(" in row 0")
        return "it is not one JSON object"


class WritingRows:
    """One Parquet file being written: text, then columns, then row groups."""

    def __init__(self, sink: Sink, form: Parquet) -> None:
        self.records = 0
        self._sink = sink
        self._form = form
        self._values: list[bytes | None] = []
        self._origins: list[Record] = []
        self._text_bytes = 0
        self._tables: list[pa.Table] = []
        self._table_bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._open = True
        form.open_files += 1

    @property
    def size_bytes(self) -> int:
        """What is written, and a guess at what is buffered."""
        return self._sink.tell() + (self._text_bytes + self._table_bytes) // PACKED

    def add(self, values: Values, origins: Sequence[Record]) -> None:
        """Gather values, and turn them into columns and row groups when they are many."""
        self.records += len(values)
        self._values.extend(values)
        self._origins.extend(origins)
        self._text_bytes += sum(map(len, filter(None, values)))
        share_bytes = self._form.share_bytes
        if self._text_bytes >= min(TEXT_BYTES, share_bytes // 2):
            self._to_columns()
            if self._table_bytes >= share_bytes // 2:
                self._to_row_group()

    def finish(self, facts: Mapping[str, str]) -> None:
        """Write what is gathered and the file's end, with the facts as key-value metadata."""
        if self._values:
            self._to_columns()
        self._to_row_group()
        assert self._writer is not None, "a file is begun with its first record"
        self._writer.add_key_value_metadata(dict(facts))
        self._writer.close()
        self._let_go()

    def abandon(self) -> None:
        """Forget what is gathered."""
        self._let_go()
        self._values, self._origins, self._tables = [], [], []
        if self._writer is not None:
            self._writer.is_open = False  # or it would end the file when it is collected
            self._writer = None

    def _to_columns(self) -> None:
        table = self._form.table(self._values, self._origins)
        self._values, self._origins, self._text_bytes = [], [], 0
        self._tables.append(table)
        self._table_bytes += table.nbytes

    def _to_row_group(self) -> None:
        if not self._tables:
            return
        table = pa.concat_tables(self._tables)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._sink, table.schema, compression=self._form.compression)
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._tables, self._table_bytes = [], 0

    def _let_go(self) -> None:
        if self._open:
            self._open = False
            self._form.open_files -= 1


def with_envelope(given: schemas.Columns | None, *, enveloped: bool) -> schemas.Columns | None:
    """Return the settings' schema with the envelope's columns before it, where there are both."""
    return {**schemas.ENVELOPE, **given} if enveloped and given is not None else given


def spliced(output: Output) -> bytes | None:
    """Return a value with the envelope's fields put in front of its own; what is no object is left for `table`."""
    value = (output.value or b"").strip()
    if not value.startswith(b"{"):
        return output.value
    origin, key = output.origin, output.key
    fields = {
        "_topic": origin.topic(),
        "_partition": origin.partition(),
        "_offset": origin.offset(),
        "_timestamp_ms": output.timestamp_ms,
        "_key": key.decode(errors="replace") if isinstance(key, bytes) else key,
    }
    rest = value[1:].lstrip()
    return orjson.dumps(fields)[:-1] + (rest if rest.startswith(b"}") else b"," + rest)


def _text(values: Values, origins: Sequence[Record]) -> bytes:
    """Return values as lines of text, each an object by its looks. Raises RecordRefused.

    Where every line begins with { and ends with }, no object can go on over a line's end: between two lines it would
    need a comma, and a string has no line breaks. So as many rows as lines means one object a line.
    """
    text = _joined(values) if None not in values else b""
    between = len(values) - 1
    if text.startswith(b"{") and text.endswith(b"}\n") and text.count(b"}\n{") == between == text.count(b"\n") - 1:
        try:
            text.decode()
        except UnicodeDecodeError:
            pass
        else:
            return text
    plain: list[bytes] = []
    for value, origin in zip(values, origins, strict=True):
        if value is None:
            refuse(origin, "has no value, so there is no row to write", _HINT)
        line = value.strip().replace(b"\n", b" ")
        if not (line.startswith(b"{") and line.endswith(b"}")):
            refuse(origin, "is not a JSON object", _HINT)
        try:
            line.decode()
        except UnicodeDecodeError as error:
            refuse(origin, f"is not UTF-8 ({error.reason})", _HINT)
        plain.append(line)
    return _joined(plain)


def _joined(values: Values) -> bytes:
    return b"\n".join(values) + b"\n"  # type: ignore[arg-type]


def _longest_prefix(values: Values, holds: Callable[[bytes], bool]) -> int:
    """Return how many values from the start on hold together; not all of them do."""
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if holds(_joined(values[:middle])):
            low = middle
        else:
            high = middle - 1
    return low
