"""A stream's schema, kept for good in a file beside its journal.

It is created exclusively: of two tasks one freezes it, and the other takes what it finds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from headgate.destinations.files import schema as schemas
from headgate.destinations.files.durable import create, sync_folder

NAME: Final = "schema.json"


class FrozenSchema:
    """The schema of a stream's incarnation in one folder."""

    def __init__(self, folder: Path, nonce: str) -> None:
        self._path = folder / NAME
        self._nonce = nonce

    def read(self) -> schemas.Columns | None:
        """Return the frozen schema, if there is one."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        return schemas.from_bytes(content, str(self._path))

    def freeze(self, columns: schemas.Columns) -> schemas.Columns:
        """Keep a schema, unless one is kept already; return the one that is kept."""
        if create(self._path, schemas.to_bytes(columns), self._nonce):
            sync_folder(self._path.parent)
            return columns
        kept = self.read()
        assert kept is not None, "a schema is never removed"
        return kept
