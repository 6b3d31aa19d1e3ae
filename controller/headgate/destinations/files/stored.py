"""Files in a store that pyarrow opens, at least once: a store has no exclusive creation and no rename.

An object is written under a name of its own, in progress, and moved (copied and deleted) when it is whole, so a
reader of finished names meets no part of a file. The source keeps the positions, which are committed afterwards; what
a crash leaves between the two is delivered again, in an object of another name: `nonce` keeps a late delivery from
replacing a longer one.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from headgate.destinations.files import names
from headgate.destinations.files.durable import explaining
from headgate.destinations.files.formats import Format, Values, Writing
from headgate.destinations.files.settings import FilesSettings, Store
from headgate.destinations.files.taking import Taking
from headgate.ports.connectors import ConnectorContext, ConnectorRefused
from headgate.ports.destination import PositionsIn, Token
from headgate.ports.log import Committed, TopicPartition
from headgate_events.records import Record


class StoredFiles(Taking):
    """An open destination of one task. The task's thread owns it."""

    positions_in: PositionsIn = "source"
    transactional_ids: tuple[str, ...] = ()

    def __init__(self, settings: FilesSettings, context: ConnectorContext, form: Format) -> None:
        super().__init__(form, settings.roll)
        self._settings = settings
        self._context = context
        self._owner = names.owner(context.stream, context.incarnation)
        self._nonce = secrets.token_hex(6)
        self._begun = 0
        self._system: Any = None
        self._folder = ""
        self._objects: dict[TopicPartition, Object] = {}

    def open(self) -> None:
        """Drop what was being written, and open the store."""
        self._drop_all()
        self._system, self._folder = open_store(self._settings, self._context)
        self._form.prepare(None, self._nonce)
        with explaining(f"Opening the folder {self._settings.folder}"):
            self._system.create_dir(self._in_progress(""), recursive=True)

    def _take(self, partition: TopicPartition, values: Values, origins: Sequence[Record]) -> None:
        with explaining(f"Writing to {self._settings.folder}"):
            found = self._objects.get(partition)
            if found is None:
                self._begun += 1
                path = self._in_progress(f"{self._nonce}-{self._begun}.staged")
                found = self._objects[partition] = Object(self._system, path, origins[0].offset() or 0, self._form)
            found.writing.add(values, origins)
        self._rolling.note(partition, found.writing.records, found.writing.size_bytes)

    def _in_progress(self, name: str) -> str:
        return str(PurePosixPath(self._folder) / names.KEPT_BESIDE / self._owner / name)

    def positions(self, claims: Mapping[TopicPartition, Token]) -> Mapping[TopicPartition, Committed]:
        """Return nothing: the positions are the source's."""
        return {}

    def commit(self, positions: Mapping[TopicPartition, Committed], proof: Any) -> None:
        """Finish all objects and give them their names; the task commits the positions afterwards."""
        with explaining(f"Finishing files in {self._settings.folder}"):
            for partition, each in self._objects.items():
                each.finish({"headgate.stream": self._owner, "headgate.first": str(each.first)})
                nonce = PurePosixPath(each.path).stem
                name = names.delivered(self._owner, partition, each.first, nonce, self._form.extension)
                self._system.move(each.path, str(PurePosixPath(self._folder) / name))
        self._objects.clear()
        self._rolling.begin_anew()

    def close(self) -> None:
        """Drop what is being written."""
        self._drop_all()

    def _drop_all(self) -> None:
        for each in self._objects.values():
            each.drop()
        self._objects.clear()
        self._rolling.begin_anew()


class Object:
    """One object being written."""

    def __init__(self, system: Any, path: str, first: int, form: Format) -> None:
        self.path = path
        self.first = first
        self._system = system
        self._stream: Any = system.open_output_stream(path, compression=None)
        self.writing: Writing = form.writing(self._stream)

    def finish(self, facts: Mapping[str, str]) -> None:
        """Write its end; it is whole in the store when this returns."""
        self.writing.finish(facts)
        self._stream.close()

    def drop(self) -> None:
        """Remove it. Never raises; what cannot be removed stays among what is in progress."""
        self.writing.abandon()
        with contextlib.suppress(Exception):
            self._stream.close()
        with contextlib.suppress(Exception):
            self._system.delete_file(self.path)


def open_store(settings: FilesSettings, context: ConnectorContext) -> tuple[Any, str]:
    """Return the store's file system and the folder's path in it. Raises ConnectorRefused, without the URI in it."""
    assert settings.connection is not None, "only a destination with a store is opened in one"
    store = context.connections.find(settings.connection, "files", Store)
    try:
        from pyarrow.fs import FileSystem
    except ImportError as error:
        raise ConnectorRefused("A store needs pyarrow.", hint="Install headgate[files] on the workers.") from error
    try:
        system, base = FileSystem.from_uri(store.uri.get_secret_value())
    except (ValueError, OSError, NotImplementedError):
        raise ConnectorRefused(
            f"The URI of the connection {settings.connection} is not one that pyarrow opens.",
            hint="See pyarrow.fs.FileSystem.from_uri.",
        ) from None  # the error's text holds the URI, and the URI may hold a key
    return system, str(PurePosixPath(base) / settings.folder.lstrip("/"))
