"""The columns of a stream's Parquet files: from the settings or from the first records, and then for good.

A schema is written as JSON: `{"id": "int64", "tags": ["string"], "at": "timestamp", "place": {"lat": "float64"}}`. It
is frozen in a file beside the journal, created exclusively, so that all tasks of a stream and all of its restarts write
files that one reader reads as one table. What is inferred is kept plain: text that looks like a time stays text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson
import pyarrow as pa

from headgate.ports.connectors import ConnectorRefused

Columns = Mapping[str, Any]

PLAIN: Final[Mapping[str, pa.DataType]] = {
    "string": pa.string(),
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
ENVELOPE: Final[Columns] = {
    "_topic": "string",
    "_partition": "int32",
    "_offset": "int64",
    "_timestamp_ms": "int64",
    "_key": "string",
}
"""The columns that `record: envelope` puts before those of the value."""
CONFLICT_HINT: Final = "Keep the schema, or create another stream for the new one."
_DECIMAL: Final = re.compile(r"decimal\((\d{1,2}), ?(\d{1,2})\)")
_MOST_DIGITS: Final = 38


class WrongType(ConnectorRefused):
    """A schema names a type that there is none of."""

    code = "config.invalid"


def type_of(written: Any, name: str) -> pa.DataType:
    """Return the column type that a schema's entry means. Raises WrongType."""
    if isinstance(written, dict) and written:
        return pa.struct([(inner, type_of(each, f"{name}.{inner}")) for inner, each in written.items()])
    if isinstance(written, list) and len(written) == 1:
        return pa.list_(type_of(written[0], f"{name}[]"))
    if isinstance(written, str):
        if (plain := PLAIN.get(written)) is not None:
            return plain
        if (found := _DECIMAL.fullmatch(written)) is not None:
            precision, scale = int(found[1]), int(found[2])
            if 0 < precision <= _MOST_DIGITS and scale <= precision:
                return pa.decimal128(precision, scale)
    known = ", ".join([*PLAIN, "decimal(p,s)", '["type"] for a list', '{"field": "type"} for a structure'])
    raise WrongType(f"The column {name} has the type {written!r}, which there is not.", hint=f"There are {known}.")


def arrow_schema(columns: Columns) -> pa.Schema:
    """Return a schema for pyarrow. Raises WrongType."""
    return pa.schema([(name, type_of(written, name)) for name, written in columns.items()])


def written(kind: pa.DataType, name: str) -> Any:
    """Return an inferred type as a schema writes it. Raises ConnectorRefused where a column cannot have it."""
    if pa.types.is_struct(kind) and kind.num_fields:
        return {each.name: written(each.type, f"{name}.{each.name}") for each in kind}
    if pa.types.is_list(kind):
        return [written(kind.value_type, f"{name}[]")]
    if pa.types.is_null(kind) or pa.types.is_timestamp(kind) or pa.types.is_string(kind):
        return "string"
    for word, plain in PLAIN.items():
        if plain.equals(kind):
            return word
    raise ConnectorRefused(
        f"No column type can be inferred for {name} from the first records ({kind}).",
        hint="Name the columns in the destination's schema.",
    )


def inferred(schema: pa.Schema) -> dict[str, Any]:
    """Return a schema that pyarrow inferred as a schema writes it."""
    return {each.name: written(each.type, each.name) for each in schema}


def to_bytes(columns: Columns) -> bytes:
    """Return a schema as the bytes of its file."""
    return orjson.dumps({"columns": columns}, option=orjson.OPT_INDENT_2)


def from_bytes(content: bytes, where: str) -> dict[str, Any]:
    """Read a schema's file. Raises ConnectorRefused for what is none."""
    try:
        columns: dict[str, Any] = orjson.loads(content)["columns"]
        arrow_schema(columns)
    except (ValueError, KeyError, TypeError, AttributeError, WrongType) as error:
        raise ConnectorRefused(f"The schema in {where} cannot be read: {error}.", hint="Restore the file.") from error
    return columns


def conflict(wanted: Columns, frozen: Columns) -> str | None:
    """Return in a sentence how a schema conflicts with the frozen one; None where it does not."""
    for name in [*frozen, *(each for each in wanted if each not in frozen)]:
        if wanted.get(name) != frozen.get(name):
            now, before = (f"{each[name]!r}" if name in each else "not there" for each in (wanted, frozen))
            return (
                f"The schema conflicts with the one that this stream's files have: the column {name} is {now} in the"
                f" settings and {before} in the files."
            )
    return None
