"""Starts the two programs as a user does, from the top of the repository."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

VECTORS = Path(__file__).parent / "valve_cases.json"
TOP = Path(__file__).resolve().parents[3]


def started(program: str, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program of tests/conformance to its end, within half a minute."""
    command = [sys.executable, f"tests/conformance/{program}", *arguments]
    return subprocess.run(command, cwd=TOP, input=text, capture_output=True, text=True, timeout=30, check=False)
