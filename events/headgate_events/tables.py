"""The tables of the documentation that follow from the models: topics, kinds of records, the envelope's headers.

A page that is typed by hand says yesterday's truth; these are generated into it, and a test finds drift.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from headgate_events.contract import HEADERS
from headgate_events.names import DEFAULT_NAMESPACE
from headgate_events.schema.commands import AnyCommand, Command
from headgate_events.schema.history import AnyHistory, Transition
from headgate_events.schema.reports import AnyReport, Report
from headgate_events.topics import Topics
from headgate_events.upcast import type_of


def topics() -> str:
    """Return the table of a namespace's topics, with the settings that must hold."""
    rows = []
    for spec in Topics().specs:
        name = spec.name.replace(DEFAULT_NAMESPACE, "<ns>", 1)
        partitions = str(spec.partitions) if spec.partitions else "as the namespace"
        settings = ", ".join(f"`{key}={value}`" for key, value in spec.config.items())
        rows.append((f"`{name}`", spec.written_by, spec.holds, partitions, settings))
    rows.append(
        (
            "`<ns>.dead-letters.<stream>`",
            "workers",
            "records that could not be processed, with where they came from and why, and which of them were sent again",
            "1",
            "`cleanup.policy=delete`, `retention.ms=-1`, `retention.bytes=-1`",
        )
    )
    return _table(("topic", "written by", "holds", "partitions", "settings"), rows)


def headers() -> str:
    """Return the table of the envelope's headers."""
    return _table(("header", "meaning"), [(f"`{name}`", said) for name, said in HEADERS.items()])


def commands() -> str:
    """Return the table of the kinds of commands with their own fields."""
    return _kinds("command", AnyCommand, Command)


def reports() -> str:
    """Return the table of the kinds of reports with their own fields."""
    return _kinds("report", AnyReport, Report)


def history() -> str:
    """Return the table of the kinds of history records with their own fields."""
    return _kinds("history", AnyHistory, Transition)


def _kinds(family: str, union: Any, base: type[BaseModel]) -> str:
    rows = []
    for model in _members(union):
        own = [name for name in model.model_fields if name != "kind" and name not in base.model_fields]
        fields = ", ".join(f"`{name}`" for name in own) or "–"
        said = (inspect.getdoc(model) or "").partition("\n\n")[0].replace("\n", " ")
        rows.append((f"`{type_of(family, model.model_fields['kind'].default)}`", fields, said))
    return _table(("`ce_type`", "own fields", "meaning"), rows)


def _members(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for inner in get_args(annotation):
        yield from _members(inner)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
