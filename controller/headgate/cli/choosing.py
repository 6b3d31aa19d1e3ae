"""Which streams a verb is for: the names that were given, or all that a selector finds."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from headgate.cli import connection as connections
from headgate.cli.connection import OPEN_TIMEOUT_S, StateJson
from headgate.cli.selector import parse_selector
from headgate.cli.target import Target
from headgate_events.errors import InvalidRequest
from headgate_events.names import check_stream_name

MAX_NAMES = 10_000


def labels_of(state: StateJson) -> Mapping[str, str]:
    """Return a stream's labels."""
    found: Mapping[str, str] = state["config"].get("labels") or {}
    return found


def check_names(names: Sequence[str] | None) -> list[str]:
    """Return the names, each once and in their order. Raises InvalidRequest for one that cannot name a stream."""
    return list(dict.fromkeys(check_stream_name(name) for name in names or []))


def choose(target: Target, names: Sequence[str] | None, selector: str | None) -> list[str]:
    """Return the streams that a command is to be sent to, at least one. Raises InvalidRequest when there is none."""
    given = check_names(names)
    if given and selector is not None:
        raise InvalidRequest("Names and --selector do not go together.", hint="Give one of the two.")
    if given:
        return given
    if selector is None:
        raise InvalidRequest("No stream is named.", hint="Give names, or --selector.")
    matches = parse_selector(selector)
    with connections.open_connection(target) as connection:
        states = connection.states(OPEN_TIMEOUT_S)
    found = sorted(name for name, state in states.items() if matches(labels_of(state)))
    if not found:
        raise InvalidRequest(
            f"No stream in {target.namespace} matches --selector {selector}.", hint="See `headgate get -o wide`."
        )
    return found


def now_ms() -> int:
    """Return the wall clock in epoch milliseconds."""
    return time.time_ns() // 1_000_000
