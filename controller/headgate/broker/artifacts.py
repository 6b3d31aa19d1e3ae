"""The jars of Kafka, whole and exactly those that were pinned, in the cache folder.

`jars.lock` names each jar with its size and SHA-256. It is the manifest: it comes with this package, so no copy in the
cache can be torn or stale, and a mirror that serves something else is found out. All jars are hashed on every use
(46 files, 45 MB, 0.04 s), so damage of any kind is found: a download cut short, a bad disk, a half-copied folder.
A jar appears under its name only after its checksum held, by a rename; what is missing or damaged is fetched alone.
One process at a time repairs, under a lock with a bound; those who find everything whole never take it.

Pinning instead of resolving at the user's has a second reason: resolved with other roots beside it, Kafka has been
seen to get an older kafka-clients through a foreign dependencyManagement section. `locking.py` makes the lock file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from headgate.broker import exclusive
from headgate.broker.download import Fetcher, fetchers
from headgate.broker.errors import ArtifactsMissing, CacheUnusable
from headgate.broker.folders import CACHE_VARIABLE, cache_folder
from headgate.broker.progress import Progress

KAFKA_VERSION = "4.3.1"
LOCK_TIMEOUT_S = 900.0
"""How long a starter waits for another one that is downloading: longer than a download may last."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One pinned jar: `coordinate` is group:artifact:version, `size` in bytes, `sha256` in lower-case hex."""

    coordinate: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The file's name, artifact-version.jar; unique within the lock file."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"

    @property
    def repository_path(self) -> Path:
        """Where a Maven repository keeps the file, relative to its root."""
        group, artifact, version = self.coordinate.split(":")
        return Path(*group.split("."), artifact, version, self.name)

    def is_whole(self, path: Path) -> bool:
        """Whether the file at `path` is exactly this jar. False when it is missing or cannot be read."""
        try:
            if path.stat().st_size != self.size:
                return False
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except OSError:
            return False


def pinned_jars() -> tuple[Jar, ...]:
    """Return the jars of `jars.lock`, in its order, which is the order of the class path."""
    text = files("headgate.broker").joinpath("jars.lock").read_text(encoding="utf-8")
    rows = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return tuple(Jar(coordinate, int(size), sha256) for sha256, size, coordinate in rows)


def jars_folder(cache: Path | None = None) -> Path:
    """Return the folder of the jars in the cache. Copied to another machine's cache, it saves the download there."""
    return (cache or cache_folder()) / f"kafka-{KAFKA_VERSION}"


def damaged(jars: Iterable[Jar], folder: Path) -> list[Jar]:
    """Return those of `jars` that are missing in `folder` or are not what was pinned."""
    return [jar for jar in jars if not jar.is_whole(folder / jar.name)]


def ensure_jars(
    progress: Progress | None = None,
    *,
    cache: Path | None = None,
    jars: Sequence[Jar] | None = None,
    sources: Sequence[Fetcher] | None = None,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
) -> list[Path]:
    """Return the paths of all jars, whole; what is missing or damaged is fetched first.

    `jars` and `sources` are for tests; unset they are the pinned jars and what this machine can download with.
    Raises `ArtifactsMissing` when something is missing and no source has it, `CacheUnusable` when the folder cannot
    be written or another process has been repairing it for longer than `lock_timeout_s`.
    """
    jars = pinned_jars() if jars is None else jars
    folder = jars_folder(cache)
    progress = progress or Progress()
    if damaged(jars, folder):
        lock = folder.with_name(folder.name + ".lock")
        waiting = "Another process is downloading Kafka; waiting for it."
        with exclusive.held(lock, timeout_s=lock_timeout_s, on_wait=lambda: progress.say(waiting)):
            # Whoever held the lock before us may have brought everything.
            if missing := damaged(jars, folder):
                _repair(missing, folder, progress, fetchers() if sources is None else sources)
    return [folder / jar.name for jar in jars]


def _repair(missing: list[Jar], folder: Path, progress: Progress, sources: Sequence[Fetcher]) -> None:
    staging = folder.with_name(folder.name + ".partial")
    reasons: list[str] = []
    try:
        # Left by a process that was killed in the middle. Nothing in it is trusted.
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        folder.mkdir(parents=True, exist_ok=True)
        with progress.downloading(len(missing), sum(jar.size for jar in missing)):
            for source in sources:
                if missing and (reason := source.fetch(missing, staging, progress)):
                    reasons.append(f"{source.name}: {reason}")
                missing = _take(missing, staging, folder)
    except OSError as problem:
        raise CacheUnusable(
            f"Cannot write the cache folder {folder}: {problem.strerror or problem}.",
            hint=f"Make room or give access, or set {CACHE_VARIABLE} to another folder.",
        ) from problem
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    if missing:
        raise ArtifactsMissing(missing_sentence(missing, folder, reasons), hint=OTHER_WAYS.format(folder=folder))


def _take(missing: list[Jar], staging: Path, folder: Path) -> list[Jar]:
    """Move what was fetched whole into place and return what is still missing."""
    left = []
    for jar in missing:
        fetched = staging / jar.name
        if jar.is_whole(fetched):
            with fetched.open("rb") as file:
                os.fsync(file.fileno())
            fetched.replace(folder / jar.name)
        else:
            left.append(jar)
    return left


OTHER_WAYS = (
    "Instead, set HEADGATE_BOOTSTRAP_SERVERS to a Kafka that runs already, or let a Docker engine with the image "
    f"apache/kafka:{KAFKA_VERSION} run, or run `headgate broker fetch` on a machine with a network and copy its folder "
    "to {folder}."
)


def missing_sentence(missing: Sequence[Jar], folder: Path, reasons: Sequence[str]) -> str:
    """Say in one sentence what is missing and why it could not be had."""
    names = ", ".join(jar.coordinate for jar in missing[:2]) + (" and others" if len(missing) > 2 else "")
    why = "; ".join(reasons) or "neither jgo, which headgate[dev] brings, nor mvn is installed"
    count = "1 jar" if len(missing) == 1 else f"{len(missing)} jars"
    return f"{count} of Kafka {KAFKA_VERSION} ({names}) are not in {folder} and could not be downloaded ({why})."
