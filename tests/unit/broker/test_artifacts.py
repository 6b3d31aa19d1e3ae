"""The jars are whole or they are repaired, whatever happened to the cache in between."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Sequence
from pathlib import Path

import pytest

from headgate.broker import exclusive
from headgate.broker.artifacts import Jar, damaged, ensure_jars, jars_folder, pinned_jars
from headgate.broker.errors import ArtifactsMissing, CacheUnusable
from headgate.broker.progress import Progress


def content_of(name: str) -> bytes:
    return name.encode() * 500


def jar_of(name: str) -> Jar:
    return Jar(f"org.example:{name}:1", len(content_of(name)), hashlib.sha256(content_of(name)).hexdigest())


JARS = [jar_of("one"), jar_of("two"), jar_of("three")]


class Repository:
    """A source that keeps count of what it was asked for, and may serve torn files or none."""

    name = "repository"

    def __init__(self, *, torn: bool = False, reason: str | None = None, asked_path: Path | None = None) -> None:
        self.torn = torn
        self.reason = reason
        self.asked: list[str] = []
        self.asked_path = asked_path

    def fetch(self, jars: Sequence[Jar], staging: Path, progress: Progress) -> str | None:
        for jar in jars:
            self.asked.append(jar.name)
            if self.asked_path:
                with self.asked_path.open("a") as asked:
                    asked.write(f"{jar.name}\n")
            if not self.reason:
                content = content_of(jar.name.removesuffix("-1.jar"))
                (staging / jar.name).write_bytes(content[: len(content) // 2] if self.torn else content)
        return self.reason


def ensure(cache: Path, *sources: Repository) -> list[Path]:
    return ensure_jars(cache=cache, jars=JARS, sources=sources, lock_timeout_s=20)


def test_an_empty_cache_is_filled_and_then_used_without_a_source(tmp_path: Path) -> None:
    repository = Repository()
    paths = ensure(tmp_path, repository)
    assert [path.read_bytes() for path in paths] == [content_of(name) for name in ("one", "two", "three")]
    assert ensure(tmp_path) == paths
    assert len(repository.asked) == 3


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.unlink(), id="missing"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-1]), id="cut short"),
        pytest.param(lambda path: path.write_bytes(b"\0" * path.stat().st_size), id="same size, other bytes"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
    ],
)
def test_a_damaged_jar_is_found_and_fetched_alone(tmp_path: Path, damage: object) -> None:
    paths = ensure(tmp_path, Repository())
    assert callable(damage)
    damage(paths[1])
    repository = Repository()
    assert ensure(tmp_path, repository) == paths
    assert repository.asked == ["two-1.jar"]
    assert paths[1].read_bytes() == content_of("two")


def test_what_an_interrupted_download_left_is_not_trusted(tmp_path: Path) -> None:
    staging = jars_folder(tmp_path).with_name(jars_folder(tmp_path).name + ".partial")
    staging.mkdir(parents=True)
    (staging / "one-1.jar").write_bytes(b"half")
    assert not damaged(JARS, ensure(tmp_path, Repository())[0].parent)
    assert not staging.exists()


def test_torn_downloads_never_get_their_final_name_and_the_next_source_is_asked(tmp_path: Path) -> None:
    torn, whole = Repository(torn=True), Repository()
    assert not damaged(JARS, ensure(tmp_path, torn, whole)[0].parent)
    assert torn.asked == whole.asked


def test_only_torn_downloads_are_an_error_and_leave_no_jar(tmp_path: Path) -> None:
    with pytest.raises(ArtifactsMissing):
        ensure(tmp_path, Repository(torn=True))
    assert not list(jars_folder(tmp_path).iterdir())


def test_without_a_network_one_sentence_names_what_is_missing_and_three_other_ways(tmp_path: Path) -> None:
    with pytest.raises(ArtifactsMissing) as caught:
        ensure(tmp_path, Repository(reason="Name or service not known"))
    said = caught.value.message
    assert said.startswith("3 jars of Kafka 4.3.1 (org.example:one:1, org.example:two:1 and others) are not in")
    assert "Name or service not known" in said
    assert said.count(". ") == 0, "it is one sentence"
    assert "\n" not in str(caught.value)
    hint = caught.value.hint or ""
    for way in (
        "HEADGATE_BOOTSTRAP_SERVERS",
        "apache/kafka:4.3.1",
        "headgate broker fetch",
        str(jars_folder(tmp_path)),
    ):
        assert way in hint
    assert caught.value.code == "environment.broker_artifacts_missing"


def test_with_nothing_to_download_with_the_sentence_says_so(tmp_path: Path) -> None:
    with pytest.raises(ArtifactsMissing, match=r"headgate\[dev\] brings, nor mvn is installed"):
        ensure(tmp_path)


def test_a_cache_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheUnusable, match="HEADGATE_CACHE_DIR"):
        ensure(tmp_path / "file", Repository())


def test_a_lock_that_somebody_keeps_is_waited_for_with_a_bound(tmp_path: Path) -> None:
    lock = jars_folder(tmp_path).with_name(jars_folder(tmp_path).name + ".lock")
    with exclusive.held(lock, timeout_s=1), pytest.raises(CacheUnusable, match="Another process"):
        ensure_jars(cache=tmp_path, jars=JARS, sources=[Repository()], lock_timeout_s=0.1)


def _start_together(cache: Path, asked: Path, together: object) -> None:
    together.wait()  # type: ignore[attr-defined]
    paths = ensure(cache, Repository(asked_path=asked))
    assert not damaged(JARS, paths[0].parent)


def test_starters_at_once_download_once_and_all_get_whole_jars(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(4)
    asked = tmp_path / "asked"
    starters = [context.Process(target=_start_together, args=(tmp_path, asked, together)) for _ in range(4)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join(60)
    assert [starter.exitcode for starter in starters] == [0] * 4
    assert sorted(asked.read_text().split()) == ["one-1.jar", "three-1.jar", "two-1.jar"]


def test_the_pinned_jars_are_one_kafka_with_a_log_binding_and_no_name_twice() -> None:
    jars = pinned_jars()
    names = [jar.name for jar in jars]
    assert len(set(names)) == len(names) > 40
    assert {"kafka_2.13-4.3.1.jar", "kafka-clients-4.3.1.jar", "kafka-server-4.3.1.jar"} <= set(names)
    versions = {jar.coordinate.split(":")[2] for jar in jars if jar.coordinate.startswith("org.apache.kafka:")}
    assert versions == {"4.3.1"}
    assert any(name.startswith("log4j-slf4j-impl-") for name in names)
    assert all(len(jar.sha256) == 64 and jar.size > 1000 for jar in jars)
