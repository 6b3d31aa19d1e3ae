"""YAML with line numbers and without surprises: text to plain JSON values, and where each of them stands.

PyYAML's loaders lose the lines and know YAML 1.1, where `no` is false, `12:30` is 750 and a date is no string. So the
text is composed (safe, nothing is constructed from tags) with the scalars of YAML 1.2's core schema, and turned into
values here, where every key keeps its place. A text may be hostile: its size, its depth and the number of its values
are bounded, and an alias counts for all that it stands for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from headgate_events.errors import InvalidRequest

MAX_BYTES: Final = 1024 * 1024
MAX_DOCUMENTS: Final = 1_000
MAX_DEPTH: Final = 64
MAX_NODES: Final = 100_000
MAX_INTEGER: Final = 2**63 - 1

Path = tuple[str | int, ...]

_TAG: Final = "tag:yaml.org,2002:"
_HINT_BOUND: Final = "Write it out in smaller pieces."


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands, for people: a file's name as it was given, and a line counted from 1."""

    source: str
    line: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}"


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its value, and the place of each key or item by its path (the empty path is its beginning)."""

    value: Any
    places: Mapping[Path, Place]

    def place(self, path: Path) -> Place:
        """Return the place of the innermost part of `path` that stands in the text."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places[path]


class UnreadableDocument(InvalidRequest):
    """The text is not YAML, or not YAML that can be a definition. The writer's fault; `place` says where."""

    code = "request.unreadable_document"

    def __init__(self, place: Place, message: str, *, hint: str | None = None) -> None:
        super().__init__(f"{place}: {message}", hint=hint)
        self.place = place


class _Loader(yaml.SafeLoader):
    """Composes nodes whose plain scalars follow YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own shape


for _name, _pattern, _first in (
    ("null", r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)", list("tTfF")),
    ("int", r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)", list("-+0123456789")),
    (
        "float",
        r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))",
        list("-+0123456789."),
    ),
    ("merge", r"(?:<<)", ["<"]),
):
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"^{_pattern}$"), _first)


def read_documents(text: str, source: str) -> list[Document]:
    """Return the documents of a YAML text in order; empty ones are left out. Raises UnreadableDocument."""
    start = Place(source, 1)
    if len(text) > MAX_BYTES:
        raise UnreadableDocument(start, f"it is larger than {MAX_BYTES:,} characters.", hint="Split it into files.")
    try:
        _bound_depth(text, source)
        return list(_compose(text, source))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = error.problem or error.context or "it is not YAML"
        raise UnreadableDocument(
            Place(source, mark.line + 1 if mark else 1), f"{said}.", hint="Check the indentation and the quotes there."
        ) from error
    except yaml.YAMLError as error:
        raise UnreadableDocument(start, f"it is not YAML: {str(error).splitlines()[0]}.") from error


def _bound_depth(text: str, source: str) -> None:
    """Refuse a text that is nested too deeply before anything recursive looks at it."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                mark = event.start_mark
                raise UnreadableDocument(
                    Place(source, mark.line + 1 if mark is not None else 1),
                    f"it is nested deeper than {MAX_DEPTH}.",
                    hint=_HINT_BOUND,
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _compose(text: str, source: str) -> Iterator[Document]:
    nodes: Iterator[yaml.Node] = yaml.compose_all(text, _Loader)
    for number, node in enumerate(nodes):
        if number >= MAX_DOCUMENTS:
            raise UnreadableDocument(
                Place(source, node.start_mark.line + 1), f"it has more than {MAX_DOCUMENTS:,} documents."
            )
        reader = _Reader(source)
        value = reader.read(node, (), 0)
        if value is not None:
            yield Document(value, reader.places)


class _Reader:
    """Turns the nodes of one document into values."""

    def __init__(self, source: str) -> None:
        self.places: dict[Path, Place] = {}
        self._source = source
        self._nodes = 0

    def read(self, node: yaml.Node, path: Path, depth: int) -> Any:
        self._nodes += 1
        self.places.setdefault(path, self._place(node))
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise UnreadableDocument(
                self._place(node), f"with its aliases it holds more than {MAX_NODES:,} values.", hint=_HINT_BOUND
            )
        if isinstance(node, yaml.MappingNode):
            self._expect(node, "map")
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            self._expect(node, "seq")
            return [self.read(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise UnreadableDocument(self._place(key_node), "a key has to be a plain word.")
            key = str(key_node.value)
            if key in lines:
                raise UnreadableDocument(
                    self._place(key_node),
                    f"the key {key!r} stands twice (first in line {lines[key]}).",
                    hint="Remove one of the two.",
                )
            lines[key] = key_node.start_mark.line + 1
            self.places[(*path, key)] = self._place(key_node)
            found[key] = self.read(value_node, (*path, key), depth + 1)
        for other in merged:
            if not isinstance(other, yaml.MappingNode):
                raise UnreadableDocument(self._place(other), "<< takes a mapping, or a list of them.")
            for key, value in self._mapping(other, path, depth + 1).items():
                found.setdefault(key, value)
        return found

    def _scalar(self, node: yaml.Node) -> Any:
        text = str(node.value)
        kind = node.tag.removeprefix(_TAG)
        try:
            match kind:
                case "str" | "merge":
                    return text
                case "null":
                    return None
                case "bool":
                    return {"true": True, "false": False}[text.lower()]
                case "int":
                    return self._integer(text, node)
                case "float":
                    number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
                    if math.isfinite(number):
                        return number
                    raise UnreadableDocument(self._place(node), f"{text} is not a number that can be kept.")
                case _:
                    raise UnreadableDocument(
                        self._place(node),
                        f"the tag {node.tag!r} is not known here.",
                        hint="Write the value without it.",
                    )
        except (ValueError, KeyError):
            raise UnreadableDocument(self._place(node), f"{text[:80]!r} is not a value of !!{kind}.") from None

    def _integer(self, text: str, node: yaml.Node) -> int:
        digits = text.lstrip("+")
        number = int(digits, 0) if digits.startswith(("0x", "0o")) else (int(digits) if len(digits) < 30 else None)
        if number is None or abs(number) > MAX_INTEGER:
            raise UnreadableDocument(self._place(node), "the number has more than 64 bits.", hint="Quote it as text.")
        return number

    def _expect(self, node: yaml.Node, kind: str) -> None:
        if node.tag != f"{_TAG}{kind}":
            raise UnreadableDocument(
                self._place(node), f"the tag {node.tag!r} is not known here.", hint="Write the value without it."
            )

    def _place(self, node: yaml.Node) -> Place:
        return Place(self._source, node.start_mark.line + 1)
