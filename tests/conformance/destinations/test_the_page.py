"""The destination of docs/writing-a-destination.md works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from headgate.destinations import installed_destinations
from headgate.ports.connectors import UnknownKind

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "writing-a-destination.md").read_text(encoding="utf-8")
CODE, SUITE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(POINTS,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def install(folder: Path) -> None:
    """Put the page's module into a folder as a package's installation would."""
    (folder / "acme_sqlite.py").write_text(CODE, encoding="utf-8")
    information = folder / "acme_sqlite-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-sqlite\nVersion: 1.0\n", encoding="utf-8")
    points = POINTS.replace('[project.entry-points."headgate.destinations"]', "[headgate.destinations]")
    (information / "entry_points.txt").write_text(points.replace('"', ""), encoding="utf-8")


def test_the_suite_of_the_page_passes_in_a_folder_of_its_own(tmp_path: Path) -> None:
    install(tmp_path)
    (tmp_path / "test_acme_sqlite.py").write_text(SUITE, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        "-W",
        "error",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    ran = re.search(r"(\d+) passed", done.stdout)
    assert ran is not None
    assert int(ran[1]) > 80, done.stdout
    assert "skipped" not in done.stdout


def test_a_destination_is_found_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownKind):
        installed_destinations().find("sqlite")
    install(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    kinds = installed_destinations()
    assert "sqlite" in kinds.names()
    assert "acme_sqlite" not in sys.modules, "nothing of a kind is imported before a stream names it"
    try:
        assert kinds.find("sqlite").promises == ("exactly_once", "at_least_once")
    finally:
        sys.modules.pop("acme_sqlite", None)


def test_a_package_that_cannot_be_imported_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path)
    (tmp_path / "acme_sqlite.py").write_text("import nothing_of_this_name", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UnknownKind, match=r"installed but cannot be loaded: ModuleNotFoundError"):
        installed_destinations().find("sqlite")
