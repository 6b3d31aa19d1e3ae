"""Settings of `destination: {kind: postgresql}`, and of the connection that it names.

A stream says which table, and how a record becomes a row; where the server is and who we are there is the
administrator's, by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

MAX_NAME_BYTES: Final = 63
_TYPES: Final = (
    "smallint|integer|int|bigint|real|double precision|numeric|decimal|boolean|text|varchar|character varying|char"
    "|character|bytea|json|jsonb|uuid|date|time|timestamp|timestamptz|timestamp with time zone"
    "|timestamp without time zone|interval|inet|cidr|macaddr"
)
_TYPE: Final = re.compile(rf"(?:{_TYPES})(?:\(\d{{1,4}}(?:, ?\d{{1,4}})?\))?(?:\[\])?")
_SOURCE: Final = re.compile(r"\$(?:topic|partition|offset|timestamp|value|key|headers)|(?:\$(?:value|key|headers))?/.*")

RAW: Final[Mapping[str, tuple[str, str]]] = {
    "key": ("$key", "bytea"),
    "value": ("$value", "bytea"),
    "headers": ("$headers", "jsonb"),
    "topic": ("$topic", "text"),
    "partition": ("$partition", "integer"),
    "offset": ("$offset", "bigint"),
    "timestamp": ("$timestamp", "timestamptz"),
}
"""The columns of `fields: raw`: where each comes from, and its type where the table is created."""


def _identifier(name: str) -> str:
    if not 1 <= len(name.encode()) <= MAX_NAME_BYTES or "\0" in name:
        raise ValueError(f"a name in PostgreSQL has 1 to {MAX_NAME_BYTES} bytes")
    return name


def _type(text: str) -> str:
    if _TYPE.fullmatch(text) is None:
        raise ValueError(f"{text!r} is none of the types that a table can be created with, like bigint or text[]")
    return text


def _source(text: str) -> str:
    if _SOURCE.fullmatch(text) is None:
        raise ValueError(
            f"{text!r} says no part of a record: a JSON pointer into the value (/order/total), $key, $key/…, $value, "
            "$headers, $headers/NAME, $topic, $partition, $offset or $timestamp"
        )
    return text


Identifier = Annotated[str, AfterValidator(_identifier)]
ColumnType = Annotated[str, AfterValidator(_type)]
PartOfRecord = Annotated[str, StringConstraints(max_length=1_000), AfterValidator(_source)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]


class PostgresqlConnection(BaseModel):
    """A connection of the kind `postgresql`, defined by the administrator.

    `host` is a name, an address, a folder with the server's socket, or several of the first two with commas between
    (the one that takes writes is used). Certificates are files on the worker.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Text = "localhost"
    port: Annotated[int, Field(ge=1, le=65_535)] = 5432
    database: Text
    user: Text
    password: SecretStr | None = None
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    sslrootcert: Text | None = None
    sslcert: Text | None = None
    sslkey: Text | None = None

    @property
    def place(self) -> str:
        """Name the database for people."""
        return f"{self.database} on {self.host}:{self.port}"


class ColumnSettings(BaseModel):
    """What one column takes. Without `from` it is the value's field of the column's name.

    `type` is what the column is created as, and checked to be where the table is there already.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)

    part: PartOfRecord | None = Field(default=None, alias="from")
    type: ColumnType | None = None
    nullable: bool = True


class PostgresqlDestinationSettings(BaseModel):
    """Settings of `destination: {kind: postgresql}`.

    `mode: upsert` keeps one row for each value of the `keys` columns: the last record's. `fields` says what the columns
    take that `columns` does not name: `by_name` the field of that name of the value, a JSON object; `raw` the columns
    key, value, headers, topic, partition, offset and timestamp the record as it is; `none` nothing. `tombstones` says
    what a record without a value means: `delete` the row of its key, `skip`, or `refuse`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)

    connection: Text
    schema_name: Identifier = Field(default="public", alias="schema")
    table: Identifier
    mode: Literal["append", "upsert"] = "append"
    keys: list[Identifier] = Field(default_factory=list, max_length=32)
    fields_from: Literal["by_name", "raw", "none"] = Field(default="by_name", alias="fields")
    columns: dict[Identifier, PartOfRecord | ColumnSettings] = Field(default_factory=dict, max_length=1_600)
    unknown_fields: Literal["ignore", "refuse"] = "ignore"
    tombstones: Literal["refuse", "skip", "delete"] | None = None
    create: bool = False
    positions_table: Identifier = "headgate_positions"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.mode == "upsert") != bool(self.keys):
            raise ValueError("mode: upsert needs the columns that are the key (keys), and only upsert has them")
        if len(set(self.keys)) != len(self.keys):
            raise ValueError("keys names a column twice")
        if self.fields_from == "none" and not self.columns:
            raise ValueError("with fields: none, columns has to name at least one column")
        if self.table == self.positions_table:
            raise ValueError("positions_table cannot be the table of the rows")
        if self.tombstones == "delete" and not self._keys_from_key():
            raise ValueError("tombstones: delete needs mode: upsert, and each of the keys from $key or $key/…")
        if self.create:
            untyped = [name for name, column in self.declared().items() if column.type is None]
            missing = [name for name in self.keys if name not in self.declared()]
            if not self.declared() or untyped or missing:
                which = ", ".join(untyped or missing) or "columns"
                raise ValueError(f"create: true needs the type of every column; missing for {which}")
        return self

    def declared(self) -> dict[str, ColumnSettings]:
        """Return the columns that the definition names, with the part of a record that each takes."""
        named: dict[str, ColumnSettings] = {}
        if self.fields_from == "raw":
            named = {name: ColumnSettings(part=part, type=kind) for name, (part, kind) in RAW.items()}
        for name, column in self.columns.items():
            given = ColumnSettings(part=column) if isinstance(column, str) else column
            before = named.get(name, ColumnSettings(part="/" + name.replace("~", "~0").replace("/", "~1")))
            named[name] = ColumnSettings(
                part=given.part or before.part, type=given.type or before.type, nullable=given.nullable
            )
        return named

    @property
    def on_tombstone(self) -> Literal["refuse", "skip", "delete"]:
        """What a record without a value means: said, or what the keys allow."""
        return self.tombstones or ("delete" if self._keys_from_key() else "refuse")

    def _keys_from_key(self) -> bool:
        declared = self.declared()
        parts = [declared[name].part or "" if name in declared else "" for name in self.keys]
        return bool(parts) and all(part == "$key" or part.startswith("$key/") for part in parts)
