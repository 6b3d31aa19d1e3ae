"""Writers of files that are killed at any moment, one after the other, before the eyes of a reader."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT

ROUNDS = 20


@pytest.mark.parametrize(("kind", "seed"), [("jsonl", 1), ("jsonl", 2), ("parquet", 3)])
def test_a_reader_never_meets_a_partial_doubled_or_missing_record(kind: str, seed: int, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.support.killed_writers", kind, str(tmp_path), str(seed), str(ROUNDS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert run.returncode == 0, f"seed {seed}: {run.stderr}"
    seen = json.loads(run.stdout)
    assert seen["records"] > 150
    assert seen["looks"] > 20
