"""The kinds `jsonl` and `parquet`: what they promise, and what a validation looks at."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import BaseModel

from headgate.destinations.files import names
from headgate.destinations.files.durable import explaining
from headgate.destinations.files.formats import Format
from headgate.destinations.files.journal import Journal
from headgate.destinations.files.local import LocalFiles
from headgate.destinations.files.settings import FilesSettings, JsonLinesSettings, ParquetSettings
from headgate.destinations.files.stored import StoredFiles, open_store
from headgate.ports.connectors import ConnectorContext, Delivery
from headgate.ports.destination import Destination, Token
from headgate.ports.log import TopicPartition
from headgate_events.errors import HeadgateError
from headgate_events.schema.common import Check


class _Files:
    """What both kinds have in common. Which promise holds depends on the target, so `check` judges it."""

    promises: Sequence[Delivery] = ("exactly_once", "at_least_once")

    def _form(self, settings: Any) -> Format:
        raise NotImplementedError

    def check(self, settings: FilesSettings, context: ConnectorContext) -> Sequence[Check]:
        """Look whether the folder is there, may be written to, and keeps the promise that the stream wants."""
        try:
            self._form(settings)
            found = _look_at_folder(settings) if settings.connection is None else _look_at_store(settings, context)
            return [found, *self._check_more(settings, context)]
        except HeadgateError as error:
            return [_failed(error.code, error.message, error.hint or "")]

    def _check_more(self, settings: Any, context: ConnectorContext) -> Sequence[Check]:
        return ()

    def fence(self, settings: FilesSettings, context: ConnectorContext, claims: Mapping[TopicPartition, Token]) -> None:
        """End a run for everybody who still works for it; a store keeps no positions, so there is nothing to end."""
        beside = Path(settings.folder) / names.KEPT_BESIDE / names.owner(context.stream, context.incarnation)
        if settings.connection is not None or not beside.is_dir():
            return
        with explaining(f"Fencing in {beside}"):
            Journal(Path(settings.folder), beside, secrets.token_hex(6)).fence(claims)

    def destination(self, settings: FilesSettings, context: ConnectorContext) -> Destination:
        """Make the destination, not open yet."""
        form = self._form(settings)
        if settings.connection is None:
            return LocalFiles(settings, context, form)
        return StoredFiles(settings, context, form)


class JsonLinesFiles(_Files):
    """The kind `jsonl`."""

    name: Final = "jsonl"
    settings: ClassVar[type[BaseModel]] = JsonLinesSettings

    def _form(self, settings: JsonLinesSettings) -> Format:
        from headgate.destinations.files.lines import JsonLines

        return JsonLines(settings.compression, settings.record, settings.check)


class ParquetFiles(_Files):
    """The kind `parquet`."""

    name: Final = "parquet"
    settings: ClassVar[type[BaseModel]] = ParquetSettings

    def _form(self, settings: ParquetSettings) -> Format:
        from headgate.destinations.files.columns import Parquet

        return Parquet(settings.compression, settings.record, settings.columns, settings.unknown_fields)

    def _check_more(self, settings: ParquetSettings, context: ConnectorContext) -> Sequence[Check]:
        from headgate.destinations.files import schema as schemas
        from headgate.destinations.files.columns import NEEDS_COLUMNS, with_envelope
        from headgate.destinations.files.frozen import FrozenSchema

        if settings.connection is not None:
            if settings.columns is None:
                return [_failed("config.invalid", NEEDS_COLUMNS, "Name the columns with their types.")]
            return ()
        beside = Path(settings.folder) / names.KEPT_BESIDE / names.owner(context.stream, context.incarnation)
        given = with_envelope(settings.columns, enveloped=settings.record == "envelope")
        with explaining(f"Reading the schema in {beside}"):
            frozen = FrozenSchema(beside, "check").read()
        if given is None or frozen is None:
            return ()
        if (conflict := schemas.conflict(given, frozen)) is not None:
            return [_failed("destination.schema_conflict", conflict, schemas.CONFLICT_HINT)]
        return ()


def _look_at_folder(settings: FilesSettings) -> Check:
    folder = Path(settings.folder)
    if not folder.is_absolute():
        return _failed("config.invalid", f"The folder {folder} is not an absolute path.", "Write it from / on.")
    if not folder.is_dir():
        return _failed(
            "destination.folder_missing",
            f"There is no folder {folder} on this worker's machine.",
            "Create it, or correct its path; every worker that runs the stream needs it.",
        )
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return _failed(
            "destination.not_writable", f"The worker may not write to the folder {folder}.", "Give it the right to."
        )
    return Check(name="destination", result="passed", message=f"the folder {folder} is there and may be written to")


def _look_at_store(settings: FilesSettings, context: ConnectorContext) -> Check:
    if context.delivery == "exactly_once":
        return _failed(
            "delivery.not_promised",
            "Files in a store are delivered at least once: it has no exclusive creation and no rename.",
            "Set delivery: at_least_once, or take a local folder.",
        )
    system, folder = open_store(settings, context)
    with explaining(f"Looking at the folder {settings.folder}"):
        system.get_file_info(folder)
    return Check(name="destination", result="passed", message=f"the store {settings.connection} answers")


def _failed(code: str, message: str, hint: str) -> Check:
    return Check(name="destination", result="failed", code=code, message=message[:1_000], hint=hint[:1_000])
