"""Write the lock files from pyproject.toml, or check that they follow from it.

    python requirements/lock.py             adds what pyproject.toml asks for newly; what is locked stays where it is
    python requirements/lock.py --upgrade   takes the newest versions
    python requirements/lock.py --check     changes nothing; exits 1 when lock files do not follow from pyproject.toml

Lock files are requirement files with hashes, so that plain pip can install from them and nothing in them names a host.
One resolution serves every Python from 3.11 on. The largest set, lint.txt, is resolved first and constrains the
others, so that one environment can hold them all. A check starts from the locked versions as well: a newer release of
some dependency never makes it fail.
"""

from __future__ import annotations

import argparse
import difflib
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"
RESOLVE_S = 300

HEADER = "# Written by `make lock` from pyproject.toml: {what}.\n"
EVERYTHING = "lint.txt"
EXTRAS = ["--extra", "files", "--extra", "postgresql", "--extra", "http"]
SETS: dict[str, tuple[str, list[str]]] = {
    EVERYTHING: ("everything", ["--extra", "dev", *EXTRAS, "--group", "test", "--group", "lint"]),
    "test.txt": (
        "the product with every destination, the development broker and the test suite",
        ["--extra", "dev", *EXTRAS, "--group", "test"],
    ),
    "dev.txt": ("the product and the development broker", ["--extra", "dev"]),
    "run.txt": ("the product alone", []),
}
TOOLS: dict[str, tuple[str, list[str]]] = {
    "lock.txt": ("what writes the lock files", ["uv>=0.9"]),
}


def resolve(arguments: list[str], output: Path, header: str, given: str | None = None) -> None:
    """Let uv resolve into `output`, whose pins (when it is there) are preferred."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        sys.exit("There is no uv beside this Python or on the PATH; `make lock` installs one.")
    command = [uv, "pip", "compile", "--quiet", "--generate-hashes", "--universal", "--python-version", "3.11"]
    command += [
        "--no-header",
        "--no-annotate",
        "--no-emit-index-url",
        "--no-emit-find-links",
        "--output-file",
        str(output),
    ]
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, input=given, capture_output=True, text=True, timeout=RESOLVE_S, check=False
    )
    if done.returncode != 0:
        sys.exit(f"uv could not resolve {output.name}:\n{done.stderr.strip()}")
    output.write_text(header + output.read_text())


def compile_all(folder: Path, *, upgrade: bool) -> None:
    """Bring every lock file in `folder` in line with pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extra = ["--upgrade"] if upgrade else []
    for name, (what, selection) in SETS.items():
        bound = [] if name == EVERYTHING else ["--constraints", str(folder / EVERYTHING)]
        resolve([*extra, "pyproject.toml", *selection, *bound], folder / name, HEADER.format(what=what))
    build = ("what builds and installs the project itself", project["build-system"]["requires"])
    for name, (what, wanted) in {"build.txt": build, **TOOLS}.items():
        bound = ["--constraints", str(folder / EVERYTHING)]
        resolve([*extra, "-", *bound], folder / name, HEADER.format(what=what), given="\n".join(wanted))


def differences() -> list[str]:
    """What `make lock` would change, as a unified diff; empty when the lock files are right."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for path in FOLDER.glob("*.txt"):
            shutil.copy(path, folder)
        compile_all(folder, upgrade=False)
        found: list[str] = []
        for name in sorted({path.name for path in [*folder.glob("*.txt"), *FOLDER.glob("*.txt")]}):
            old, new = FOLDER / name, folder / name
            before = old.read_text().splitlines() if old.exists() else []
            after = new.read_text().splitlines() if new.exists() else []
            found += difflib.unified_diff(
                before, after, f"requirements/{name}", "as pyproject.toml says", "", "", 1, ""
            )
        return found


def main() -> int:
    """Run what the command line asks for; the exit code."""
    parser = argparse.ArgumentParser(description="Write or check the lock files.")
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 when a lock file is out of date")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    asked = parser.parse_args()
    if not asked.check:
        compile_all(FOLDER, upgrade=asked.upgrade)
        return 0
    if found := differences():
        print("\n".join(found))
        print("The lock files do not follow from pyproject.toml: run `make lock` and commit requirements/.")
        return 1
    print("The lock files follow from pyproject.toml.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
