"""Label selectors, as kubectl writes them: `team=ops`, `tier!=test`, `owner`, `!legacy`, joined by commas."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from headgate_events.errors import InvalidRequest

Labels = Mapping[str, str]
Matches = Callable[[Labels], bool]

MAX_TERMS: Final = 32
_KEY: Final = r"[a-zA-Z0-9](?:[-._/a-zA-Z0-9]{0,61}[a-zA-Z0-9])?"
_VALUE: Final = r"(?:[a-zA-Z0-9](?:[-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)?"
_COMPARED: Final = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})")
_PRESENT: Final = re.compile(rf"(!?)\s*({_KEY})")


def parse_selector(text: str) -> Matches:
    """Return a test of a stream's labels. Raises InvalidRequest, which names the term that cannot be read."""
    terms = [term.strip() for term in text.split(",")]
    if len(terms) > MAX_TERMS:
        raise InvalidRequest(f"--selector has more than {MAX_TERMS} terms.", hint="Use fewer.")
    tests = [_term(term) for term in terms]
    return lambda labels: all(test(labels) for test in tests)


def _term(term: str) -> Matches:
    if compared := _COMPARED.fullmatch(term):
        key, sign, value = compared.groups()
        if sign == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if present := _PRESENT.fullmatch(term):
        absent, key = present.groups()
        return lambda labels: (key not in labels) if absent else (key in labels)
    raise InvalidRequest(
        f"--selector cannot be read at {term[:80]!r}.", hint="Write key=value, key!=value, key or !key, with commas."
    )
