"""Standard output: lines that a program reads back, and the ways in which their reader can fail."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from headgate.destinations.stdout import HELD_BYTES, Stdout, StdoutSettings
from headgate.ports.connectors import ConnectorRefused, ConnectorUnavailable
from headgate.testing import DestinationConformance, MadeRecord, Seen, context_for
from tests.support.endpoint import unshown


class TestStdout(DestinationConformance):
    """Into a file, as with `headgate worker > lines`."""

    @pytest.fixture(autouse=True)
    def file(self, tmp_path: Path) -> Iterator[None]:
        self.path = tmp_path / "lines"
        with self.path.open("wb") as file:
            self.kind = Stdout(os.dup(file.fileno()))
        yield
        os.close(self.kind._descriptor)

    kind = Stdout()

    def settings(self) -> Mapping[str, Any]:
        return {"show": "record"}

    def read(self) -> Sequence[Seen]:
        lines = [orjson.loads(line) for line in self.path.read_bytes().splitlines()]
        return [
            Seen(
                unshown(line, "key"),
                unshown(line, "value"),
                [(each["name"], unshown(each, "value")) for each in line.get("headers", [])],
            )
            for line in lines
        ]


class Pipe:
    """Standard output that somebody reads, or does not."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        context = context_for("at_least_once")
        self.kind = Stdout(self.writing)
        self.destination = self.kind.destination(StdoutSettings(), context)
        self.bare = self.kind.destination(StdoutSettings(show="value"), context)

    def close(self) -> None:
        for descriptor in (self.reading, self.writing):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def test_a_reader_that_is_gone_is_said_in_one_clear_sentence(pipe: Pipe) -> None:
    os.close(pipe.reading)
    pipe.destination.open()
    pipe.destination.forward([MadeRecord("made", 0, 0, b"lost")])
    with pytest.raises(ConnectorRefused, match=r"^Whoever read this worker's standard output is gone"):
        pipe.destination.commit({}, None)


def test_a_reader_that_does_not_read_holds_the_stream_up_for_a_bounded_time(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [MadeRecord("made", 0, offset, b"x" * 10_000) for offset in range(20)]
    pipe.destination.open()
    pipe.destination.forward(records)
    with monkeypatch.context() as hurried:
        hurried.setattr("headgate.destinations.stdout.WRITE_S", 0.2)
        with pytest.raises(ConnectorUnavailable, match="read this worker's standard output"):
            pipe.destination.commit({}, None)

    # The reader goes on: what the task hands over again begins on a line of its own.
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.extend(iter(lambda: os.read(pipe.reading, 65_536), b"")))
    reader.start()
    pipe.destination.open()
    pipe.destination.forward(records)
    pipe.destination.commit({}, None)
    os.close(pipe.writing)
    reader.join(30)
    assert not reader.is_alive()
    whole = [line for line in b"".join(taken).splitlines() if line.endswith(b"}")]
    offsets = [orjson.loads(line)["offset"] for line in whole]
    assert offsets[-20:] == list(range(20))


def test_two_tasks_that_share_the_standard_output_do_not_mix_their_lines(pipe: Pipe) -> None:
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.extend(iter(lambda: os.read(pipe.reading, 65_536), b"")))
    reader.start()

    def write(partition: int) -> None:
        destination = pipe.kind.destination(StdoutSettings(), context_for("at_least_once"))
        destination.open()
        for offset in range(50):
            destination.forward([MadeRecord("made", partition, offset, b"x" * 20_000)])
            destination.commit({}, None)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    os.close(pipe.writing)
    reader.join(30)
    lines = [orjson.loads(line) for line in b"".join(taken).splitlines()]
    assert Counter(line["partition"] for line in lines) == {0: 50, 1: 50, 2: 50}


def test_values_alone_are_printed_as_they_are(pipe: Pipe) -> None:
    pipe.bare.open()
    pipe.bare.forward([MadeRecord("made", 0, 0, b'{"a": 1}'), MadeRecord("made", 0, 1, None)])
    pipe.bare.commit({}, None)
    assert os.read(pipe.reading, 100) == b'{"a": 1}\n\n'


def test_many_lines_are_not_held_back_until_the_commit(pipe: Pipe) -> None:
    taken: list[bytes] = []
    reader = threading.Thread(target=lambda: taken.extend(iter(lambda: os.read(pipe.reading, 65_536), b"")))
    reader.start()
    pipe.destination.open()
    for offset in range(1_200):
        pipe.destination.forward([MadeRecord("made", 0, offset, b"x" * 1_000)])
    os.close(pipe.writing)
    reader.join(30)
    assert len(b"".join(taken)) >= HELD_BYTES, "memory does not grow with a transaction's size"


def test_a_closed_standard_output_fails_the_check(pipe: Pipe) -> None:
    context = context_for("at_least_once")
    assert pipe.kind.check(StdoutSettings(), context)[0].result == "passed"
    os.close(pipe.writing)
    assert pipe.kind.check(StdoutSettings(), context)[0].code == "destination.no_stdout"
