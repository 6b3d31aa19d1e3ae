"""References to secrets: `${env:NAME}` and `${file:/path}`, alone or inside a longer text, and `$${` for a plain `${`.

What a reference stands for is put in as it is and is not looked at again, so a secret may hold any character. A file
must lie in one of the folders that the administrator allows, also after following its links, is read as UTF-8, and
loses one line feed at its end, which editors and `echo` add. Messages name the reference, never what it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

MAX_SECRET_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 16

_REFERENCE: Final = re.compile(r"\$\$\{|\$\{(?P<inner>[^{}]*)(?P<end>\}?)")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Unresolved(Exception):
    """A reference that cannot be resolved; the message is one clause without any secret."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Resolves references against an environment and the allowed folders. `repr` shows neither."""

    environment: Mapping[str, str] = field(repr=False)
    folders: Sequence[Path]

    def resolve(self, value: Any, depth: int = 0) -> Any:
        """Return a value of plain JSON types with every reference in its texts resolved. Raises Unresolved."""
        if depth > MAX_DEPTH:
            raise Unresolved(f"it is nested deeper than {MAX_DEPTH}")
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return {key: self.resolve(inner, depth + 1) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.resolve(inner, depth + 1) for inner in value]
        return value

    def _text(self, text: str) -> str:
        return _REFERENCE.sub(self._one, text)

    def _one(self, found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        sort, colon, name = found["inner"].partition(":")
        if found["end"] and colon and sort == "env":
            return self._variable(name)
        if found["end"] and colon and sort == "file":
            return self._file(name)
        raise Unresolved("it holds a ${ without a reference; write ${env:NAME}, ${file:/path}, or $${ for a plain ${")

    def _variable(self, name: str) -> str:
        if _VARIABLE.fullmatch(name) is None:
            raise Unresolved("it refers to an environment variable by something that is no variable's name")
        value = self.environment.get(name, "")
        if not value:
            state = "is empty" if name in self.environment else "is not set"
            raise Unresolved(f"it refers to ${{env:{name}}}, which {state}")
        return value

    def _file(self, name: str) -> str:
        reference = f"${{file:{name}}}"
        path = Path(name)
        if not path.is_absolute():
            raise Unresolved(f"it refers to {reference}, which is no absolute path")
        try:
            real = path.resolve(strict=True)
            allowed = any(real.is_relative_to(folder.resolve()) for folder in self.folders)
        except (OSError, RuntimeError, ValueError):
            raise Unresolved(f"it refers to {reference}, which is not there or cannot be reached") from None
        if not allowed:
            folders = ", ".join(str(folder) for folder in self.folders) or "no folder at all"
            raise Unresolved(f"it refers to {reference}, and secrets are read from {folders} only")
        try:
            with real.open("rb") as opened:
                content = opened.read(MAX_SECRET_BYTES + 1)
        except OSError as error:
            raise Unresolved(f"it refers to {reference}, which cannot be read ({error.strerror})") from None
        if len(content) > MAX_SECRET_BYTES:
            raise Unresolved(f"it refers to {reference}, which is larger than {MAX_SECRET_BYTES:,} bytes")
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise Unresolved(f"it refers to {reference}, which is no text in UTF-8") from None
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            raise Unresolved(f"it refers to {reference}, which is empty")
        return text
