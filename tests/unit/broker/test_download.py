"""Jars come whole through the real jgo, from a repository on this machine that also serves badly."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from headgate.broker.artifacts import Jar
from headgate.broker.download import Jgo, LocalRepository, fetchers
from headgate.broker.progress import Progress

pytest.importorskip("jgo", reason="the extra dev is not installed")

CONTENT = b"j" * 100_000
JAR = Jar("org.example:thing:2", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


class Server(ThreadingHTTPServer):
    """Serves one jar; `plan` says how each request for it goes."""

    daemon_threads = True
    plan: list[str]
    requests: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        if not self.path.endswith("/org/example/thing/2/thing-2.jar"):
            self.send_error(404)
            return
        how = self.server.plan.pop(0) if self.server.plan else "whole"
        self.server.requests.append(how)
        if how == "absent":
            self.send_error(404)
            return
        body = CONTENT.replace(b"j", b"k") if how == "other bytes" else CONTENT
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if how == "cut short" else body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.plan, server.requests = [], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    settings = tmp_path / "jgo.conf"
    settings.write_text(f"[repositories]\nhere = http://127.0.0.1:{server.server_port}\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Count(Progress):
    def __init__(self) -> None:
        self.bytes = 0

    def advance(self, count: int) -> None:
        self.bytes += count


@pytest.mark.parametrize("plan", [[], ["cut short"], ["other bytes"], ["cut short", "absent"]])
def test_a_bad_answer_is_asked_again_and_the_progress_counts_each_byte_once(
    repository: Server, tmp_path: Path, plan: list[str]
) -> None:
    repository.plan = list(plan)
    progress = Count()
    assert Jgo().fetch([JAR], tmp_path, progress) is None
    assert JAR.is_whole(tmp_path / JAR.name)
    assert repository.requests == [*plan, "whole"]
    assert progress.bytes == len(CONTENT)


def test_a_repository_that_stays_bad_is_given_up_with_a_reason(repository: Server, tmp_path: Path) -> None:
    repository.plan = ["other bytes"] * 10
    assert Jgo().fetch([JAR], tmp_path, Progress()) == "the file that came has a wrong checksum"
    assert not (tmp_path / JAR.name).exists()
    assert len(repository.requests) == 3


def test_a_repository_that_is_not_there_is_a_short_reason(repository: Server, tmp_path: Path) -> None:
    Path(tmp_path / "jgo.conf").write_text("[repositories]\nhere = http://127.0.0.1:1\n")
    reason = Jgo().fetch([JAR], tmp_path, Progress()) or ""
    assert "refused" in reason
    assert len(reason) <= 160
    assert "\n" not in reason


def test_broken_settings_of_jgo_are_a_reason_and_no_crash(repository: Server, tmp_path: Path) -> None:
    Path(tmp_path / "jgo.conf").write_text("[repositories\n")
    assert "no section headers" in (Jgo().fetch([JAR], tmp_path, Progress()) or "")
    assert repository.requests == []


def test_the_local_repository_gives_what_it_has_whole(tmp_path: Path) -> None:
    there = tmp_path / "repository" / JAR.repository_path
    there.parent.mkdir(parents=True)
    staging = tmp_path / "staging"
    staging.mkdir()
    for content in (CONTENT[:-1], CONTENT):
        there.write_bytes(content)
        assert LocalRepository(tmp_path / "repository").fetch([JAR], staging, Progress()) is None
        assert (staging / JAR.name).exists() == (content == CONTENT)


def test_the_cheapest_source_is_asked_first() -> None:
    assert [source.name for source in fetchers()][:2] == ["the local Maven repository", "jgo"]
