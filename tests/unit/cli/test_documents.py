"""YAML with line numbers: what is read, and every way in which a text can be bad."""

from __future__ import annotations

import time
from typing import Any

import pytest

from headgate.documents import MAX_BYTES, MAX_DOCUMENTS, UnreadableDocument, read_documents


def value(text: str) -> Any:
    (document,) = read_documents(text, "file.yaml")
    return document.value


def refusal(text: str) -> str:
    with pytest.raises(UnreadableDocument) as refused:
        read_documents(text, "file.yaml")
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("no", "no"), ("on", "on"), ("12:30", "12:30"), ("2026-01-01", "2026-01-01"), ("1_000", "1_000"),
        ("true", True), ("False", False), ("~", None), ("null", None), ("", None), ("12", 12), ("-3", -3),
        ("0x1f", 31), ("0o17", 15), ("010", 10), ("1e3", 1000.0), (".5", 0.5), ("'12'", "12"), ('"true"', "true"),
        ("!!str 12", "12"),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str, read: Any) -> None:
    assert value(f"key: {text}") == {"key": read}


def test_each_key_and_item_has_its_place() -> None:
    (document,) = read_documents("a: 1\n\nb:\n  c:\n    - x\n    - y\n", "file.yaml")
    assert str(document.place(("b", "c", 1))) == "file.yaml:6"
    assert str(document.place(("b", "c"))) == "file.yaml:4"
    assert str(document.place(("b", "nothing", "of the kind"))) == "file.yaml:3"


def test_several_documents_are_read_and_empty_ones_left_out() -> None:
    found = read_documents("---\na: 1\n---\n---\n# nothing\n---\nb: 2\n", "file.yaml")
    assert [(document.value, document.place(()).line) for document in found] == [({"a": 1}, 2), ({"b": 2}, 7)]


def test_json_is_yaml() -> None:
    assert value('{"a": [1, 2, {"b": null}]}') == {"a": [1, 2, {"b": None}]}


def test_an_alias_stands_for_its_anchor_and_a_merge_for_what_is_not_given() -> None:
    assert value("base: &base {x: 1, y: 2}\nhere: {<<: *base, y: 3}\n")["here"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "file.yaml:3: the key 'a' stands twice (first in line 1)"),
        ("a: [1, 2\n", "file.yaml:2: "),
        ("a: b: c\n", "file.yaml:1: mapping values are not allowed here"),
        ("a:\n\t- 1\n", "file.yaml:2: "),
        ("a: \x00", "it is not YAML"),
        ("x: 1\na: !!python/object:os.system ls\n", "file.yaml:2: the tag"),
        ("a: !secret b\n", "file.yaml:1: the tag '!secret' is not known here"),
        ("a: !!binary aGk=\n", "file.yaml:1: the tag"),
        ("a: !!int many\n", "file.yaml:1: 'many' is not a value of !!int"),
        ("? [a, b]\n: 1\n", "file.yaml:1: a key has to be a plain word"),
        ("a: 99999999999999999999\n", "file.yaml:1: the number has more than 64 bits"),
        ("a: .inf\n", "file.yaml:1: .inf is not a number that can be kept"),
        ("a: *nobody\n", "file.yaml:1: "),
        ("a: {<<: 1}\n", "file.yaml:1: << takes a mapping"),
        ("x: 1\na: &a [*a]\n", "file.yaml:2: with its aliases it holds more than"),
        ("\n" * 3 + "[" * 100, "file.yaml:4: it is nested deeper than 64"),
    ],
)
def test_a_bad_text_is_refused_with_its_line(text: str, said: str) -> None:
    assert said in refusal(text)


def test_an_alias_bomb_is_refused_quickly() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    began = time.monotonic()
    assert "with its aliases it holds more than 100,000 values" in refusal(bomb)
    assert time.monotonic() - began < 20


def test_size_and_number_of_documents_are_bounded() -> None:
    assert "it is larger than" in refusal("a" * (MAX_BYTES + 1))
    assert "more than 1,000 documents" in refusal("--- a\n" * (MAX_DOCUMENTS + 1))
