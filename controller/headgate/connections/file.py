"""The file of connections: YAML or JSON, read whole, its shape checked before anything in it is used.

    connections:
      warehouse:
        kind: postgresql
        host: db.internal
        password: "${env:PGPASSWORD}"

Whatever is wrong is told by its place in the file. The text itself is never quoted, since it may be a secret that
somebody wrote down where a reference belongs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from headgate.documents import MAX_BYTES, Place, UnreadableDocument, read_documents
from headgate.ports.connectors import CONNECTION_NAME_PATTERN, ConnectionUnusable

MAX_CONNECTIONS: Final = 1_000
_NAME: Final = re.compile(CONNECTION_NAME_PATTERN)
_KIND: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Definition:
    """One connection as it stands in the file, its references unresolved."""

    kind: str
    section: Mapping[str, Any]
    place: Place

    def __repr__(self) -> str:
        return f"Definition(kind={self.kind!r}, place={str(self.place)!r})"


def read_connections(path: Path) -> Mapping[str, Definition]:
    """Return what a file defines, by name. Raises ConnectionUnusable: one sentence that quotes nothing of the file."""
    beginning = Place(str(path), 1)
    try:
        with path.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConnectionUnusable(
            f"The file of connections {path} cannot be read ({error.strerror}).",
            hint="Correct HEADGATE_CONNECTIONS, or let this worker read the file.",
        ) from None
    documents = None
    place = beginning
    try:
        documents = read_documents(content.decode(), str(path))
    except UnreadableDocument as error:
        place = error.place
    except UnicodeDecodeError:
        pass
    if documents is None:
        raise _wrong(place, "it cannot be read as YAML or JSON", "Check quotes and indentation there; quote secrets.")
    if not documents:
        return {}
    document = documents[0]
    whole = document.value
    if len(documents) > 1 or not isinstance(whole, dict) or set(whole) - {"connections"}:
        raise _wrong(beginning, "it holds something other than one section named connections")
    found: dict[str, Definition] = {}
    sections = whole.get("connections") or {}
    if not isinstance(sections, dict) or len(sections) > MAX_CONNECTIONS:
        place = document.place(("connections",))
        raise _wrong(place, f"connections is no mapping of at most {MAX_CONNECTIONS:,} names")
    for name, section in sections.items():
        place = document.place(("connections", name))
        if _NAME.fullmatch(name) is None:
            raise _wrong(place, "a name is not made of letters, digits and inner dots, hyphens or underscores")
        kind = section.get("kind") if isinstance(section, dict) else None
        if not isinstance(kind, str) or _KIND.fullmatch(kind) is None:
            raise _wrong(place, f"the connection {name} has no kind", "Give it one, like kind: kafka.")
        found[name] = Definition(kind, {key: value for key, value in section.items() if key != "kind"}, place)
    return found


def _wrong(place: Place, what: str, hint: str = "Correct the file of connections.") -> ConnectionUnusable:
    return ConnectionUnusable(f"{place}: {what}.", hint=hint)
