"""Definitions in files: what is read, and each mistake with its file, its line and the nearest right word."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from headgate.cli.definition import InvalidDefinition, read_definitions
from headgate_events.errors import InvalidRequest
from tests.unit.cli.conftest import Stdin, definition

Write = Callable[[str, str], Path]
GOOD = """\
# Departures of the three airports.
stream: departures
source:
  kind: kafka
  topic: flights
destination:
  kind: kafka
  topic: departures
commit_interval_ms: 250
retry:
  initial_s: 1
labels:
  team: ops
"""


def refusal(*sources: str) -> str:
    with pytest.raises(InvalidRequest) as refused:
        read_definitions(sources)
    return str(refused.value)


def test_a_definition_is_read_with_its_defaults(write: Write) -> None:
    write("departures.yaml", GOOD)
    (found,) = read_definitions(["departures.yaml"])
    assert found.name == "departures"
    assert found.complete()["commit_interval_ms"] == 250
    assert found.complete()["on_error"] == "stop"
    assert str(found.place) == "departures.yaml:2"


def test_what_was_not_written_is_left_to_the_projector(write: Write) -> None:
    write("departures.yaml", GOOD)
    (found,) = read_definitions(["departures.yaml"])
    assert "on_error" not in found.config.model_dump(exclude_unset=True)


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        (
            "commit_interval_ms: 250",
            "comit_interval_ms: 250",
            ":9: unknown key 'comit_interval_ms'; did you mean 'commit_interval_ms'?",
        ),
        ("  initial_s: 1", "  inital_s: 1", ":11: unknown key 'inital_s' in retry; did you mean 'initial_s'?"),
        ("commit_interval_ms: 250", "zzz: 250", ":9: unknown key 'zzz'; known here: "),
        (
            "commit_interval_ms: 250",
            "commit_interval_ms: fast",
            ":9: commit_interval_ms: should be a valid integer, not 'fast'.",
        ),
        (
            "commit_interval_ms: 250",
            "commit_interval_ms: 0",
            ":9: commit_interval_ms: should be greater than or equal to 1, not 0.",
        ),
        (
            "commit_interval_ms: 250",
            "delivery: twice",
            ":9: delivery: should be 'exactly_once' or 'at_least_once', not 'twice'.",
        ),
        (
            "commit_interval_ms: 250",
            "commit_interval_ms: '250'",
            ":9: commit_interval_ms: should be a valid integer, not '250'.",
        ),
        ("  initial_s: 1", "  initial_s: 100", ":10: retry: max_s must not be below initial_s."),
        ("stream: departures", "stream: Departures!", ":2: stream: 'Departures!' is not a stream name"),
        ("stream: departures", "", ":3: 'stream' is missing."),
        ("  team: ops", "  team: 1", ":13: labels.team: "),
        ("  topic: flights", "  topicc: flights", ":5: unknown key 'topicc' in source; did you mean 'topic'?"),
        ("  topic: flights", "  topic: fl ights", ":5: source.topic: "),
        ("  topic: flights", "", ":3: 'topic' is missing in source."),
        (
            "  topic: departures",
            "  topic: departures\n  partition: random",
            "destination.partition: should be 'key' or 'source', not 'random'.",
        ),
        (
            "  kind: kafka\n  topic: departures",
            "  kind: discard\n  topic: departures",
            ":8: unknown key 'topic' in destination.",
        ),
        (
            "stream: departures",
            "stream: departures\nstream: twice",
            ":3: the key 'stream' stands twice (first in line 2).",
        ),
        ("retry:\n  initial_s: 1", "retry: 5", ":10: retry: "),
    ],
)
def test_a_mistake_names_its_file_and_line(write: Write, line: str, instead: str, said: str) -> None:
    assert GOOD.count(line) >= 1
    write("departures.yaml", GOOD.replace(line, instead, 1))
    assert said in refusal("departures.yaml")
    assert refusal("departures.yaml").startswith("departures.yaml:")


def test_all_mistakes_of_all_files_are_told_at_once(write: Write) -> None:
    write("a.yaml", GOOD.replace("labels", "lables"))
    write("b.yaml", GOOD.replace("retry", "retyr"))
    with pytest.raises(InvalidDefinition) as refused:
        read_definitions(["a.yaml", "b.yaml"])
    assert [mistake.partition(" ")[0] for mistake in refused.value.mistakes] == ["a.yaml:12:", "b.yaml:10:"]


def test_a_kind_that_is_not_installed_here_is_left_to_the_workers(write: Write) -> None:
    write("s3.yaml", definition(destination={"kind": "object-store", "bucket": "flights"}))
    assert read_definitions(["s3.yaml"])[0].name == "departures"


def test_several_documents_folders_and_standard_input(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(definition("from-stdin")))
    folder = write("two.yaml", f"{definition('a')}\n---\n{definition('b')}\n").parent / "folder"
    folder.mkdir()
    (folder / "z.yml").write_text(definition("z"))
    (folder / "y.json").write_text(definition("y"))
    (folder / "notes.txt").write_text("not a definition")
    found = read_definitions(["two.yaml", "folder", "-"])
    assert [each.name for each in found] == ["a", "b", "y", "z", "from-stdin"]


def test_a_stream_that_is_defined_twice_is_refused_with_both_places(write: Write) -> None:
    write("a.yaml", definition("a"))
    write("b.yaml", f"---\n{definition('a')}")
    assert refusal("a.yaml", "b.yaml") == "b.yaml:2: a is defined already at a.yaml:1."


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "f.yaml defines no stream."),
        (b"# only a comment\n---\n", "f.yaml defines no stream."),
        (b"- a\n- b\n", "f.yaml:1: a definition is a mapping of keys, not a list."),
        (b"just a text", "f.yaml:1: a definition is a mapping of keys, not a text."),
        (b"stream: a\nreason: caf\xe9\n", "f.yaml:2: the text is not UTF-8."),
        (b"a" * (1024 * 1024 + 1), "f.yaml is larger than 1,048,576 bytes."),
    ],
)
def test_a_file_that_is_no_definition_is_refused(write: Write, raw: bytes, said: str) -> None:
    write("f.yaml", "").write_bytes(raw)
    assert said in refusal("f.yaml")


def test_a_byte_order_mark_is_no_mistake(write: Write) -> None:
    write("f.yaml", "").write_bytes(b"\xef\xbb\xbf" + definition("a").encode())
    assert read_definitions(["f.yaml"])[0].name == "a"


def test_files_that_cannot_be_read_are_named(write: Write, tmp_path: Path) -> None:
    write("a.yaml", definition("a"))
    (tmp_path / "empty").mkdir()
    assert "missing.yaml cannot be read: No such file or directory." in refusal("a.yaml", "missing.yaml")
    assert "empty has no definitions." in refusal("empty")


def test_standard_input_is_read_once(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(definition("a")))
    assert "-f - stands twice." in refusal("-", "-")
