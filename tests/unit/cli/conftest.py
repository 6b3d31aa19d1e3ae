"""The command line against Headgate in memory: every command runs as typed, and the real decider answers."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headgate.cli import connection, looking, main, past, quiet, watching
from headgate_events.testing import MemoryHeadgate

MOVED = {"start": 0, "end": 10, "read": 10, "written": 10, "worker": "w1"}


@dataclass(frozen=True)
class Ran:
    """What one command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Headgate = Callable[..., Ran]


class Stdin(io.TextIOWrapper):
    """Standard input that holds a text, with the bytes beneath that a reader may want."""

    def __init__(self, text: str) -> None:
        super().__init__(io.BytesIO(text.encode()), encoding="utf-8")


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryHeadgate:
    """Headgate in memory, which every command of this test talks to."""
    memory = MemoryHeadgate()

    def open_connection(_target: object) -> connection.Connection:
        return connection.Connection(
            lambda: contextlib.nullcontext(memory.commands),  # type: ignore[arg-type, return-value]
            lambda: contextlib.nullcontext(memory.state),  # type: ignore[arg-type, return-value]
            lambda: contextlib.nullcontext(memory.history),  # type: ignore[arg-type, return-value]
            activity=lambda: contextlib.nullcontext(memory.activity),  # type: ignore[arg-type, return-value]
        )

    monkeypatch.setattr(connection, "open_connection", open_connection)
    for module in (looking, past, quiet, watching):
        monkeypatch.setattr(module, "now_ms", lambda: memory.now_ms)
    monkeypatch.setenv("HEADGATE_ACTOR", "ana")
    return memory


@pytest.fixture
def headgate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Headgate:
    """Runs a command line: `headgate("get -o json")`; `given` is its standard input."""

    def run(line: str | Sequence[str], given: str = "") -> Ran:
        monkeypatch.setattr(sys, "stdin", Stdin(given))
        capsys.readouterr()
        code = main.run(shlex.split(line) if isinstance(line, str) else line)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


def definition(stream: str = "departures", **more: Any) -> str:
    """A definition as YAML (its JSON subset)."""
    whole: Mapping[str, Any] = {
        "stream": stream,
        "source": {"kind": "kafka", "topic": "flights"},
        "destination": {"kind": "kafka", "topic": stream},
        **more,
    }
    return json.dumps(whole)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Writes a file into the test's folder, where commands run."""
    monkeypatch.chdir(tmp_path)

    def written(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return written


def create(memory: MemoryHeadgate, stream: str = "departures", **more: Any) -> None:
    """Define a stream without the command line."""
    config = {
        "source": {"kind": "kafka", "topic": "flights"},
        "destination": {"kind": "kafka", "topic": stream},
        **more,
    }
    outcome = memory.commands.create(stream, config, actor="ana", reason="first").outcome(0)
    assert outcome.outcome == "accepted"


def run(memory: MemoryHeadgate, stream: str = "departures", **more: Any) -> None:
    """Define a stream and bring it to RUNNING, with one task."""
    create(memory, stream, **more)
    memory.commands.start(stream, actor="ana", reason="go").outcome(0)
    memory.report(
        stream,
        "validation-passed",
        {"partitions": {"flights": 2}, "positions": {"flights": {"0": 0, "1": 0}}},
        worker="w1",
    )
    memory.report(stream, "task-started", worker="w1")


def drain(memory: MemoryHeadgate, stream: str = "departures") -> None:
    """Let the worker of a draining stream hand in all of its receipts."""
    for partition in (0, 1):
        receipt = {
            "topic": "flights",
            "partition": partition,
            "start": 0,
            "end": 10,
            "read": 10,
            "written": 10,
            "worker": "w1",
        }
        if partition == 0:
            memory.report(stream, "source-listed", {"partitions": {"flights": 2}}, worker="w1")
        memory.report(stream, "partition-drained", {"receipt": receipt}, worker="w1")


def assert_golden(name: str, text: str) -> None:
    """Compare what was printed with a file that was read by a person. GOLDEN=write writes it anew."""
    path = Path(__file__).parent / "golden" / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
