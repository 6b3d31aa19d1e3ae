"""A stream's definition from a YAML file: checked as far as that goes without a cluster, mistakes with their lines.

Unknown keys are the mistake that matters most (a setting that is silently ignored is worse than one that is refused),
so each is answered with the nearest key that stands there. All mistakes of a text are told at once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Final, Literal

from pydantic import BaseModel, ValidationError

from headgate.cli.connectors import settings_model
from headgate.cli.wording import safe
from headgate.documents import MAX_BYTES, Document, Path, Place, read_documents
from headgate_events.errors import InvalidRequest
from headgate_events.findings import Finding, errors, find
from headgate_events.schema.config import DestinationConfig, SourceConfig, StreamConfig
from headgate_events.schema.definition import StreamDefinition

SUFFIXES: Final = (".yaml", ".yml", ".json")
MAX_FILES: Final = 1_000
MAX_TOLD: Final = 20
"""How many mistakes are told at once."""


class InvalidDefinition(InvalidRequest):
    """A definition cannot be one. `mistakes` has one line for each, in the order of the text. The writer's fault."""

    code = "request.invalid_definition"

    def __init__(self, mistakes: Sequence[str]) -> None:
        told = list(mistakes[:MAX_TOLD])
        if len(mistakes) > MAX_TOLD:
            told.append(f"… and {len(mistakes) - MAX_TOLD} more.")
        super().__init__("\n".join(told))
        self.mistakes = tuple(mistakes)


@dataclass(frozen=True, slots=True)
class Definition:
    """One stream as its file defines it, with where that stands."""

    name: str
    config: StreamConfig
    place: Place

    def complete(self) -> dict[str, Any]:
        """Return the configuration as the state holds it, defaults included."""
        return self.config.model_dump(mode="json")


def read_definitions(sources: Iterable[str]) -> list[Definition]:
    """Read the definitions of files, folders (their YAML and JSON files, by name) and standard input (`-`).

    Raises InvalidRequest when a file cannot be read, holds none, or when a definition is not valid; nothing is partly
    returned, so a command with one mistake in ten files does nothing.
    """
    mistakes: list[str] = []
    found: list[Definition] = []
    for source, text in _texts(sources):
        documents = read_documents(text, source)
        if not documents:
            raise InvalidRequest(f"{source} defines no stream.", hint="Write at least stream, source and destination.")
        for document in documents:
            definition = _checked(document, mistakes)
            if definition is not None:
                found.append(definition)
    first: dict[str, Place] = {}
    for definition in found:
        if definition.name in first:
            mistakes.append(f"{definition.place}: {definition.name} is defined already at {first[definition.name]}.")
        first.setdefault(definition.name, definition.place)
    if mistakes:
        raise InvalidDefinition(mistakes)
    return found


def _texts(sources: Iterable[str]) -> Iterable[tuple[str, str]]:
    read_stdin = False
    for source in sources:
        if source == "-":
            if read_stdin:
                raise InvalidRequest("-f - stands twice.", hint="Standard input can be read once.")
            read_stdin = True
            yield "standard input", _decoded(sys.stdin.buffer.read(MAX_BYTES + 1), "standard input")
            continue
        for file in _files(source):
            try:
                with file.open("rb") as opened:
                    raw = opened.read(MAX_BYTES + 1)
            except OSError as error:
                raise InvalidRequest(
                    f"{source} cannot be read: {error.strerror or error}.", hint="Check the path and its rights."
                ) from error
            yield str(file), _decoded(raw, str(file))


def _files(source: str) -> list[FilePath]:
    given = FilePath(source)
    if not given.is_dir():
        return [given]
    found = sorted(file for file in given.iterdir() if file.suffix in SUFFIXES and file.is_file())
    if not found:
        raise InvalidRequest(f"{source} has no definitions.", hint=f"Their files end in {', '.join(SUFFIXES)}.")
    if len(found) > MAX_FILES:
        raise InvalidRequest(f"{source} has more than {MAX_FILES:,} files.", hint="Name some of them.")
    return found


def _decoded(raw: bytes, source: str) -> str:
    if len(raw) > MAX_BYTES:
        raise InvalidRequest(f"{source} is larger than {MAX_BYTES:,} bytes.", hint="Split it into smaller files.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InvalidRequest(f"{source}:{line}: the text is not UTF-8.", hint="Save the file as UTF-8.") from error


def _checked(document: Document, mistakes: list[str]) -> Definition | None:
    if not isinstance(document.value, dict):
        mistakes.append(f"{document.place(())}: a definition is a mapping of keys, not {_named(document.value)}.")
        return None
    try:
        model = StreamDefinition.model_validate(document.value)
    except ValidationError as error:
        mistakes += _mistakes(document, error)
        return None
    connectors = [
        *_connector_mistakes(document, "source", model.source),
        *_connector_mistakes(document, "destination", model.destination),
    ]
    if connectors:
        mistakes += connectors
        return None
    return Definition(model.stream, model.config, document.place(()))


def _connector_mistakes(
    document: Document, section: Literal["source", "destination"], given: SourceConfig | DestinationConfig
) -> list[str]:
    """Check a section's own keys with the settings model of its kind, where that kind is known on this machine.

    A kind that is not known here may be known to the workers, which have the last word when the stream is validated.
    """
    model = settings_model(section, given.kind)
    if model is None:
        return []
    settings = dict(given.model_extra or {})
    try:
        model.model_validate(settings)
    except ValidationError as error:
        return _mistakes(document, error, model, (section,))
    return []


def _mistakes(
    document: Document, error: ValidationError, model: type[BaseModel] = StreamDefinition, prefix: Path = ()
) -> list[str]:
    """Say what pydantic found, each with the line where it stands, in the order of the lines."""
    items = errors(error, model)
    told = [
        (document.place((*prefix, *finding.path)), _sentence((*prefix, *finding.path), finding, item, model))
        for finding, item in zip(find(error, model), items, strict=True)
    ]
    return [f"{place}: {said}" for place, said in sorted(told, key=lambda each: each[0].line)]


def _sentence(path: Path, finding: Finding, item: Any, model: type[BaseModel]) -> str:
    section = ".".join(str(part) for part in path[:-1])
    match item["type"]:
        case "extra_forbidden":
            said = f"unknown key {safe(path[-1], 80)!r}" + (f" in {section}" if section else "")
            if finding.nearest:
                return f"{said}; did you mean {finding.nearest!r}?"
            known = ", ".join(model.model_fields) if len(finding.path) == 1 else ""
            return f"{said}; known here: {known}." if known else f"{said}."
        case "missing":
            return f"{str(path[-1])!r} is missing" + (f" in {section}." if section else ".")
        case "string_pattern_mismatch" if path == ("stream",):
            return (
                f"stream: {safe(item['input'], 80)!r} is not a stream name; use lower-case letters, digits and inner "
                "hyphens, at most 63 characters."
            )
        case _:
            said = safe(finding.message).removeprefix("input ")
            given = "" if isinstance(item["input"], (dict, list)) else f", not {safe(repr(item['input']), 80)}"
            return f"{'.'.join(str(part) for part in path) or 'the definition'}: {said}{given}."


def _named(value: Any) -> str:
    names: Mapping[type, str] = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "yes or no"}
    return names.get(type(value), "this")
