"""Findings: what a validation found wrong, where, and what was probably meant.

One place turns pydantic's errors into sentences, so that the command line, the HTTP API, the client and the projector's
refusals say the same about the same mistake.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

Location = tuple[int | str, ...]
_STRANGE = frozenset({"missing", "extra_forbidden"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: `path` leads to it through the value (keys and indexes), `nearest` is a key meant."""

    path: Location
    message: str
    nearest: str | None = None

    def __str__(self) -> str:
        where = ".".join(str(part) for part in self.path) or "the value"
        meant = f" (did you mean {self.nearest}?)" if self.nearest else ""
        return f"{where}: {self.message}{meant}"


def find(error: ValidationError, annotation: Any) -> list[Finding]:
    """List what `error` found in a value that was validated as `annotation` (a model, or a tagged union of models)."""
    return [_finding(item["type"], item["loc"], item["msg"], annotation) for item in errors(error, annotation)]


def errors(error: ValidationError, annotation: Any) -> list[Any]:
    """List pydantic's errors without those that speak of a form of the value that nobody meant.

    Of a value that is a word or a mapping (`until: end`, or `{offsets: …}`) pydantic tells what keeps it from being
    each of them. A mapping is no word, and is held against the mapping that it resembles; for anything else one
    sentence names all forms.
    """
    items: list[Any] = list(error.errors(include_url=False))
    for word in [each for each in items if each["loc"] and str(each["loc"][-1]).startswith("literal[")]:
        place = word["loc"][:-1]
        forms: dict[Any, list[Any]] = {}
        for each in items:
            if each is not word and each["loc"][: len(place)] == place and len(each["loc"]) > len(place):
                forms.setdefault(each["loc"][len(place)], []).append(each)
        if not forms:
            continue
        if isinstance(word["input"], dict):
            strange = {form: sum(each["type"] in _STRANGE for each in told) for form, told in forms.items()}
            meant = [form for form in forms if strange[form] == min(strange.values())]
            unmeant = [word, *(each for form in forms if form not in meant for each in forms[form])]
        else:
            mappings = [f"{{{', '.join(model.model_fields)}: …}}" for model in _walk(place, annotation)[0]]
            word["msg"] = ", or ".join([word["msg"], *mappings])
            unmeant = [each for told in forms.values() for each in told if each["type"] == "model_type"]
        items = [each for each in items if not any(each is one for one in unmeant)]
    return items


def explain(error: ValidationError, annotation: Any, limit: int = 3) -> str:
    """Say the first few findings in one sentence, and how many more there are."""
    found = find(error, annotation)
    said = "; ".join(str(finding) for finding in found[:limit])
    more = len(found) - limit
    return said + (f"; and {more} more" if more > 0 else "")


def nearest(word: str, known: list[str]) -> str | None:
    """Return the known word that was probably meant, or None when none is near."""
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return found[0] if found else None


def _finding(kind: str, location: Location, message: str, annotation: Any) -> Finding:
    models, path = _walk(location if kind != "extra_forbidden" else location[:-1], annotation)
    if kind != "extra_forbidden":
        return Finding(path, "is missing" if kind == "missing" else _lower(message))
    known = sorted({name for model in models for name in model.model_fields if name != "kind" or _is_open(model)})
    key = location[-1]
    return Finding((*path, key), "is not a known key", nearest(str(key), known))


def _walk(location: Location, annotation: Any) -> tuple[list[type[BaseModel]], Location]:
    """Follow a location; return the models at its end, and the location without pydantic's names of union members."""
    models = list(_models(annotation))
    path: list[int | str] = []
    for part in location:
        holding = [model for model in models if part in model.model_fields]
        if holding:
            path.append(part)
            models = [inner for model in holding for inner in _models(model.model_fields[str(part)].annotation)]
            continue
        chosen = [model for model in models if part in (model.__name__, _tag(model))]
        if chosen:
            models = chosen
        elif not (isinstance(part, str) and part.startswith(("function-", "literal["))):
            path.append(part)
    return models, tuple(path)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    origin = get_origin(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif origin is Annotated:
        yield from _models(get_args(annotation)[0])
    elif origin in (Union, types.UnionType, list, tuple, dict):
        for inner in get_args(annotation):
            yield from _models(inner)


def _tag(model: type[BaseModel]) -> Any:
    for name in ("kind", "policy"):
        if name in model.model_fields:
            return model.model_fields[name].default
    return None


def _is_open(model: type[BaseModel]) -> bool:
    return model.model_config.get("extra") == "allow"


def _lower(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
