"""What is true of the files themselves: no host of a package index, no path of one machine, imports that stay light."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

GENERATED = {".git", ".venv", ".venv.lock", ".hypothesis", "__pycache__", "build", "dist"}
"""What stands in a checkout and is not kept in git; beside it the folders of tools, such as .mypy_cache."""

INDEX_HOST = re.compile(
    r"https?://[a-z0-9.-]*(?:pypi|pythonhosted|maven|npmjs|debian|docker)[a-z0-9.-]*\.(?:org|com|net|io)(?!/(?:POM|xsd)/)"
    r"|\b(?:pypi|pythonhosted)\.org\b"
    r"|\brepo\d*\.maven\."
)
HOME_OF_SOMEONE = re.compile(r"(?<![\w.$}{~-])/(?:home|Users)/\w|(?<![\w.$}{~-])/root/\.")


def kept_texts() -> list[tuple[str, str]]:
    """Return (path, text) of every text file of the project; git itself is not asked, it may not be there."""
    texts = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in GENERATED and not name.endswith(("_cache", ".egg-info"))]
        for path in (Path(folder, name) for name in files if name not in GENERATED):
            content = path.read_bytes()
            if b"\0" not in content:
                texts.append((str(path.relative_to(ROOT)), content.decode(errors="replace")))
    assert any(name == "pyproject.toml" for name, _ in texts)
    return texts


def places(pattern: re.Pattern[str]) -> list[str]:
    """Return `path:line` wherever the pattern stands in a text of the project."""
    return [
        f"{name}:{number}"
        for name, text in kept_texts()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_committed_file_names_the_host_of_a_package_index() -> None:
    assert places(INDEX_HOST) == []


def test_no_committed_file_names_a_path_of_the_machine_it_was_written_on() -> None:
    checkout = re.compile(re.escape(f"{ROOT}/"))
    inside_an_image = "deploy/"  # whose folders may be called as somebody's checkout is
    found = [place for place in places(checkout) if not place.startswith(inside_an_image)]
    assert found + places(HOME_OF_SOMEONE) == []


@pytest.mark.parametrize("module", ["headgate_events", "headgate_events.schema"])
def test_importing_the_event_contract_does_not_load_the_kafka_client(module: str) -> None:
    program = f"import sys, {module}; print([name for name in sys.modules if name.startswith('confluent_kafka')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_every_lock_file_pins_and_hashes_all_it_names() -> None:
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    assert locks
    for lock in locks:
        lines = [line for line in lock.read_text().splitlines() if line and not line.startswith("#")]
        requirements = "\n".join(lines).replace("\\\n", " ").splitlines()
        loose = [
            line for line in requirements if not re.match(r"[A-Za-z0-9._-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)
        ]
        assert loose == [], f"{lock.name} has lines that are not a pinned and hashed requirement"
