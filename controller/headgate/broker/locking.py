"""Make `jars.lock`: resolve Kafka with its dependencies from Maven coordinates, and pin every jar.

Run by a developer who moves to another version: `python -m headgate.broker.locking`. Nothing at run time needs it.
"""

from __future__ import annotations

import hashlib
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

from headgate.broker.artifacts import KAFKA_VERSION

ROOTS = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    # Kafka logs through slf4j 1.7 and brings no binding for it: without this one it is mute. The version is that of
    # the log4j-core which Kafka brings.
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
)
_HEADER = (
    "# Every jar of the embedded broker: SHA-256, size in bytes, Maven coordinate.\n"
    "# Made by `python -m headgate.broker.locking`, from the roots that module names; do not edit by hand.\n"
)


def resolve(repository: Path) -> str:
    """Download `ROOTS` and all that they need into `repository`; return the lock file's text."""
    from jgo.config import GlobalSettings
    from jgo.maven import MavenContext, PythonResolver

    repositories = dict(GlobalSettings.load().repositories) or None
    context = MavenContext(resolver=PythonResolver(), repo_cache=repository, remote_repos=repositories, timeout=30)
    return _HEADER + "".join(sorted((_row(found) for found in _closure(context)), key=lambda row: row.split()[2]))


def _closure(context: Any) -> list[Any]:
    roots = [context.create_dependency(coordinate) for coordinate in ROOTS]
    for root in roots:
        # Otherwise jgo imports each root's dependencyManagement for all: log4j's then downgrades kafka-clients.
        root.raw = True
    resolved, transitive = context.resolver.resolve(roots)
    return [*resolved, *transitive]


def _row(dependency: Any) -> str:
    content = dependency.artifact.resolve().read_bytes()
    coordinate = f"{dependency.groupId}:{dependency.artifactId}:{dependency.version}"
    return f"{hashlib.sha256(content).hexdigest()} {len(content)} {coordinate}\n"


def main() -> None:
    """Write the lock file beside this module."""
    with tempfile.TemporaryDirectory(prefix="headgate-locking-") as scratch:
        text = resolve(Path(scratch))
    Path(str(files("headgate.broker").joinpath("jars.lock"))).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
