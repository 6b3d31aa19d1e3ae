"""Contexts: which cluster and namespace a command is meant for, by name, in one small file of the user's.

The file stands in the platform's folder for settings (HEADGATE_CONFIG names another one). It holds no secrets. It is
replaced as a whole, so a reader never sees half of it.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from headgate_events.errors import InvalidRequest
from headgate_events.names import check_namespace

VARIABLE: Final = "HEADGATE_CONFIG"
MAX_CONTEXTS: Final = 1_000
_NAME: Final = re.compile(r"[a-zA-Z0-9]([-._@/a-zA-Z0-9]{0,62}[a-zA-Z0-9])?")
_SERVER: Final = re.compile(r"(?:[a-zA-Z][a-zA-Z0-9_+]*://)?(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+)(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Context:
    """A cluster and a namespace; None where the next source in line decides."""

    bootstrap_servers: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Contexts:
    """The whole file: the contexts by name, and which one is taken when nothing else is said (None for none)."""

    path: Path
    contexts: Mapping[str, Context] = field(default_factory=dict)
    current: str | None = None

    def get(self, name: str) -> Context:
        """Return a context. Raises InvalidRequest with the names that there are."""
        if name not in self.contexts:
            known = ", ".join(sorted(self.contexts)) or "none yet"
            raise InvalidRequest(
                f"There is no context {name[:80]!r} in {self.path}.",
                hint=f"Known: {known}. `headgate context set` makes one.",
            )
        return self.contexts[name]


def config_path(environ: Mapping[str, str] | None = None, platform: str = sys.platform) -> Path:
    """Return the path of the user's file; it may not exist.

    HEADGATE_CONFIG wins; else `headgate/config.yaml` in XDG_CONFIG_HOME (or ~/.config), ~/Library/Application Support
    or %APPDATA%.
    """
    environ = os.environ if environ is None else environ
    if given := environ.get(VARIABLE):
        return Path(given).expanduser().absolute()
    if platform == "win32":
        roaming = environ.get("APPDATA")
        base = Path(roaming) if roaming else Path.home() / "AppData" / "Roaming"
    elif platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        xdg = environ.get("XDG_CONFIG_HOME", "")
        # The XDG specification: a relative path is invalid and is to be ignored.
        base = Path(xdg) if Path(xdg).is_absolute() else Path.home() / ".config"
    return base / "headgate" / "config.yaml"


def read_contexts(path: Path | None = None) -> Contexts:
    """Read the file, which need not exist. Raises InvalidRequest, with the line, for a damaged one."""
    from headgate.documents import read_documents

    path = config_path() if path is None else path
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if os.environ.get(VARIABLE) and not path.parent.is_dir():
            raise InvalidRequest(
                f"{VARIABLE} names {path}, whose folder does not exist.", hint=f"Correct or unset {VARIABLE}."
            ) from None
        return Contexts(path)
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidRequest(f"{path} cannot be read: {said}.", hint=f"Correct it, or set {VARIABLE}.") from error
    documents = read_documents(text, str(path))
    if not documents:
        return Contexts(path)
    document = documents[0]
    value = document.value

    def wrong(at: tuple[str | int, ...], said: str) -> InvalidRequest:
        return InvalidRequest(
            f"{document.place(at)}: {said}", hint="It looks like: current: NAME, contexts: {NAME: {namespace: …}}."
        )

    if not isinstance(value, dict):
        raise wrong((), "the file is not a mapping.")
    for key in value:
        if key not in {"current", "contexts"}:
            raise wrong((key,), f"unknown key {key!r}.")
    raw = value.get("contexts") or {}
    if not isinstance(raw, dict):
        raise wrong(("contexts",), "contexts is not a mapping.")
    contexts: dict[str, Context] = {}
    for name, entry in raw.items():
        contexts[name] = _context(name, entry, wrong)
    current = value.get("current")
    if current is not None and current not in contexts:
        raise wrong(("current",), f"the current context {current!r} is not among the contexts.")
    return Contexts(path, contexts, current)


def _context(name: str, entry: Any, wrong: Any) -> Context:
    at = ("contexts", name)
    if not isinstance(entry, dict):
        raise wrong(at, f"the context {name!r} is not a mapping.")
    for key, given in entry.items():
        if key not in {"bootstrap_servers", "namespace"}:
            raise wrong((*at, key), f"unknown key {key!r} in the context {name!r}.")
        if not isinstance(given, str):
            raise wrong((*at, key), f"{key} is not a text.")
    try:
        if "namespace" in entry:
            check_namespace(entry["namespace"])
        if "bootstrap_servers" in entry:
            check_servers(entry["bootstrap_servers"])
    except InvalidRequest as error:
        raise wrong(at, error.message) from error
    return Context(entry.get("bootstrap_servers"), entry.get("namespace"))


def check_context_name(name: str) -> str:
    """Return `name`, or raise InvalidRequest when it cannot name a context."""
    if _NAME.fullmatch(name) is None:
        raise InvalidRequest(
            f"{name[:80]!r} cannot name a context.", hint="Use letters, digits and inner . - _ @ /, at most 64."
        )
    return name


def check_servers(text: str) -> str:
    """Return a list of bootstrap servers as it is, or raise InvalidRequest when it is not `host:port,…`."""
    servers = [server.strip() for server in text.split(",")]
    if len(text) > 4_096 or not all(servers):
        raise InvalidRequest("The bootstrap servers are empty or too many.", hint="Write host:port,host:port.")
    for server in servers:
        match = _SERVER.fullmatch(server)
        if match is None or (match[1] and not 0 < int(match[1]) < 65_536):
            raise InvalidRequest(f"{server[:80]!r} is no bootstrap server.", hint="Write host:port, like kafka-1:9092.")
    return text


def write_contexts(contexts: Contexts) -> None:
    """Replace the file as a whole; only the user may read it. Raises InvalidRequest when it cannot be written."""
    import yaml

    value = {
        "current": contexts.current,
        "contexts": {
            name: {
                key: given
                for key, given in (("bootstrap_servers", each.bootstrap_servers), ("namespace", each.namespace))
                if given is not None
            }
            for name, each in sorted(contexts.contexts.items())
        },
    }
    if len(contexts.contexts) > MAX_CONTEXTS:
        raise InvalidRequest(f"There are {MAX_CONTEXTS:,} contexts already.", hint="Delete some first.")
    path = contexts.path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # mkstemp makes a file that only its owner can read.
        number, temporary = tempfile.mkstemp(dir=path.parent, prefix=".config-")
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                yaml.safe_dump(value, file, sort_keys=False, allow_unicode=True)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InvalidRequest(
            f"{path} cannot be written: {error.strerror or error}.", hint=f"Set {VARIABLE} to a file that can."
        ) from error
