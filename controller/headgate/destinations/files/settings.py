"""The settings of the files destinations, as they stand in a stream's definition."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints


class Closed(BaseModel):
    """Base of these models: frozen, and no other keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Roll(Closed):
    """When the files being written are finished, all of one task's together: whichever comes first.

    A file is finished too when the stream drains, and when its partition moves to another worker.
    """

    bytes: Annotated[int, Field(ge=1, le=16 * 1024**3)] = 64 * 1024 * 1024
    records: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1_000_000
    seconds: Annotated[float, Field(gt=0, le=86_400, strict=False)] = 60.0


def _without_steps_up(folder: str) -> str:
    if ".." in PurePosixPath(folder).parts:
        raise ValueError("a folder's path has no ..")
    return folder


Folder = Annotated[str, StringConstraints(min_length=1, max_length=1_024), AfterValidator(_without_steps_up)]
ConnectionName = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class FilesSettings(Closed):
    """What JSON Lines and Parquet have in common.

    `folder` is an absolute path on the worker's machine; with `connection`, one of the kind `files`, it is a path
    within that store. `record: envelope` adds topic, partition, offset, timestamp and key to what is written.
    """

    folder: Folder
    connection: ConnectionName | None = None
    record: Literal["value", "envelope"] = "value"
    roll: Roll = Field(default_factory=Roll)


class JsonLinesSettings(FilesSettings):
    """Settings of `destination: {kind: jsonl, folder: …}`: one JSON object a line.

    `check: framing` does not parse values: each begins with { and ends with }, on a line of its own, and nothing more
    is known of it. For sources that are known to hold JSON.
    """

    compression: Literal["none", "gzip", "zstd"] = "none"
    check: Literal["full", "framing"] = "full"


class ParquetSettings(FilesSettings):
    """Settings of `destination: {kind: parquet, folder: …}`: a column for each field.

    `columns` names them with their types; without it they are inferred from the first records. Either way they are
    frozen then. A field that the columns do not have makes a record not fit, unless `unknown_fields: ignore`.
    """

    compression: Literal["none", "snappy", "gzip", "zstd"] = "zstd"
    columns: dict[str, Any] | None = Field(default=None, min_length=1, max_length=1_000)
    unknown_fields: Literal["refuse", "ignore"] = "refuse"


class Store(Closed):
    """A connection of the kind `files`: a file system that pyarrow opens by a URI (s3://, gs://, abfs://, file://).

    The URI may carry what pyarrow reads from it: a path, region, endpoint, keys.
    """

    uri: SecretStr
