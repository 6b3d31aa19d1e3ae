"""Where a missing jar comes from: the local Maven repository, jgo, or an installed Maven, in this order.

No repository is named here. Each tool brings its own default and its own settings (jgo.conf, settings.xml), so a
company's mirror is used without Headgate knowing of it. A fetcher puts what it got into a staging folder under the
jar's name; it need not check it, because the caller compares every file with its pinned checksum.
"""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol
from xml.sax.saxutils import escape

from headgate.broker.progress import Progress

DOWNLOAD_TIMEOUT_S = 600.0
"""Bound of one tool's whole download; at 45 MB that is 75 kB/s, below which nobody would wait."""
_STALL_TIMEOUT_S = 15
_CONNECTIONS = 4
_ATTEMPTS = 3
_BACKOFF_S = 0.25


class Wanted(Protocol):
    """What a fetcher knows of a jar."""

    @property
    def coordinate(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def repository_path(self) -> Path: ...
    def is_whole(self, path: Path) -> bool: ...


class Fetcher(Protocol):
    """A source of jars."""

    @property
    def name(self) -> str: ...

    def fetch(self, jars: Sequence[Any], staging: Path, progress: Progress) -> str | None:
        """Put what can be had of `jars` into `staging`. Return why something is missing, None when nothing is known."""
        ...


def fetchers() -> list[Fetcher]:
    """Return the sources that this machine has, cheapest first."""
    found: list[Fetcher] = [LocalRepository()]
    if find_spec("jgo") is not None:
        found.append(Jgo())
    if mvn := shutil.which("mvn"):
        found.append(Maven(Path(mvn)))
    return found


class LocalRepository:
    """Copies from the Maven repository of this user's home, which a Java developer may have filled already."""

    name = "the local Maven repository"

    def __init__(self, root: Path | None = None) -> None:
        set_by_user = os.environ.get("M2_REPO")
        self._root = root or (Path(set_by_user) if set_by_user else Path.home() / ".m2" / "repository")

    def fetch(self, jars: Sequence[Wanted], staging: Path, progress: Progress) -> str | None:
        for jar in jars:
            there = self._root / jar.repository_path
            if jar.is_whole(there):
                progress.advance(shutil.copyfile(there, staging / jar.name).stat().st_size)
        # Having none is no news: it is the normal case and names no remedy.
        return None


class Jgo:
    """Downloads with jgo's resolver, in pure Python, over a few connections at once."""

    name = "jgo"

    def fetch(self, jars: Sequence[Wanted], staging: Path, progress: Progress) -> str | None:
        deadline = time.monotonic() + DOWNLOAD_TIMEOUT_S
        failures: list[str] = []
        guard = threading.Lock()

        def fetch_one(jar: Wanted) -> None:
            # A machine without a network would otherwise run into one timeout after the other.
            if failures:
                return
            if failure := self._fetch_one(jar, staging, progress, deadline):
                with guard:
                    failures.append(failure)

        with ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="headgate-download") as pool:
            for outcome in [pool.submit(fetch_one, jar) for jar in jars]:
                outcome.result()
        return failures[0] if failures else None

    def _fetch_one(self, jar: Wanted, staging: Path, progress: Progress, deadline: float) -> str | None:
        failure = "the file that came has a wrong checksum"
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_BACKOFF_S * 2**attempt)
            if time.monotonic() > deadline:
                return f"not done within {DOWNLOAD_TIMEOUT_S:.0f} s"
            meter = _Meter(progress, deadline)
            repository = staging / f"{jar.name}.{attempt}"
            try:
                fetched = _jgo_artifact(jar.coordinate, repository, meter.watch).resolve()
                if jar.is_whole(fetched):
                    fetched.replace(staging / jar.name)
                    return None
            except (OSError, RuntimeError, ValueError, configparser.Error) as problem:
                # requests' errors are OSErrors; jgo raises RuntimeError when a repository does not have the file.
                failure = _in_short(problem)
            meter.take_back()
        return failure


def _jgo_artifact(coordinate: str, repository: Path, watch: Callable[..., Any]) -> Any:
    from jgo.config import GlobalSettings
    from jgo.maven import MavenContext, PythonResolver

    group, artifact, version = coordinate.split(":")
    context = MavenContext(
        resolver=PythonResolver(progress_callback=watch),
        repo_cache=repository,
        # None lets jgo use its own default.
        remote_repos=dict(GlobalSettings.load().repositories) or None,
        timeout=_STALL_TIMEOUT_S,
    )
    return context.project(group, artifact).at_version(version).artifact()


class _Meter:
    """Counts one file's bytes into the progress, and ends a download that trickles past the deadline."""

    def __init__(self, progress: Progress, deadline: float) -> None:
        self._progress, self._deadline, self._count = progress, deadline, 0

    @contextmanager
    def _watching(self) -> Iterator[Callable[[int], None]]:
        yield self._advance

    def watch(self, _name: str, _size: int) -> AbstractContextManager[Callable[[int], None]]:
        return self._watching()

    def _advance(self, count: int) -> None:
        self._count += count
        self._progress.advance(count)
        if time.monotonic() > self._deadline:
            raise TimeoutError(f"not done within {DOWNLOAD_TIMEOUT_S:.0f} s")

    def take_back(self) -> None:
        self._progress.advance(-self._count)
        self._count = 0


class Maven:
    """Downloads with an installed `mvn`, which honours the user's settings.xml; shows no bytes."""

    name = "mvn"

    def __init__(self, executable: Path) -> None:
        self._executable = executable

    def fetch(self, jars: Sequence[Wanted], staging: Path, progress: Progress) -> str | None:  # noqa: ARG002
        with tempfile.TemporaryDirectory(dir=staging) as scratch:
            pom = Path(scratch) / "pom.xml"
            pom.write_text(_pom([jar.coordinate for jar in jars]), encoding="utf-8")
            command = [
                str(self._executable), "--batch-mode", "--quiet", "-Dstyle.color=never", f"--file={pom}",
                f"-Dmaven.repo.local={Path(scratch) / 'repository'}",
                "dependency:copy-dependencies", "-DexcludeTransitive=true", f"-DoutputDirectory={staging}",
            ]  # fmt: skip
            try:
                run = subprocess.run(
                    command, capture_output=True, text=True, errors="replace", timeout=DOWNLOAD_TIMEOUT_S, check=False
                )
            except subprocess.TimeoutExpired:
                return f"not done within {DOWNLOAD_TIMEOUT_S:.0f} s"
            except OSError as problem:
                return _in_short(problem)
        if run.returncode == 0:
            return None
        errors = [line.partition("[ERROR]")[2].strip() for line in run.stdout.splitlines() if "[ERROR]" in line]
        return _shortened(errors[0]) if errors else f"exit status {run.returncode}"


def _pom(coordinates: Sequence[str]) -> str:
    parts = (coordinate.split(":") for coordinate in coordinates)
    dependencies = "\n".join(
        f"<dependency><groupId>{escape(group)}</groupId><artifactId>{escape(artifact)}</artifactId>"
        f"<version>{escape(version)}</version></dependency>"
        for group, artifact, version in parts
    )
    return (
        "<project><modelVersion>4.0.0</modelVersion><groupId>headgate</groupId><artifactId>broker</artifactId>"
        f"<version>1</version><dependencies>\n{dependencies}\n</dependencies></project>\n"
    )


def _in_short(problem: BaseException) -> str:
    """Name the innermost cause: the outer ones repeat addresses and object names that help nobody."""
    while problem.__cause__ or problem.__context__:
        problem = problem.__cause__ or problem.__context__ or problem
    return _shortened(str(problem) or type(problem).__name__)


def _shortened(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= 160 else line[:159] + "…"
