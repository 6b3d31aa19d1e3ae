"""Where a bounded stream stops, as far as the fold decides on it: an end that was found at the start stays where it is.

`until: end` and a time are resolved once, by the worker that validates the start, and stand in the state from then on.
Nobody resolves them again. So a modify of a stream that has started may name explicit offsets, or no end at all, but
not an end that would have to be found anew: what "the end" meant would then depend on when the command was folded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from headgate.core.lifecycle import NOT_STARTED, STARTING

_MAY_CHANGE: Final = frozenset({"start", "client"})
"""Keys of the source that have no say in where an end lies."""


class EndStays(NamedTuple):
    """Why a modify is refused."""

    code: str
    message: str
    hint: str


def end_stays(state: Mapping[str, Any], config: Mapping[str, Any]) -> EndStays | None:
    """Return why a stream cannot be modified to this definition; None when its end is no obstacle."""
    if state["status"] in (NOT_STARTED, STARTING) or not found_at_start(config["source"].get("until")):
        return None
    if _place(config["source"]) == _place(state["config"]["source"]):
        return None
    return EndStays(
        "source.until_stays",
        "An `until` that is found when the stream starts cannot be changed afterwards, nor its source.",
        "Give `until` as offsets, leave it as it is, or create another stream.",
    )


def found_at_start(until: Any) -> bool:
    """Say whether an `until`, as a definition has it, is looked up when the stream starts."""
    return until == "end" or (isinstance(until, Mapping) and "timestamp_ms" in until)


def _place(source: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in source.items() if name not in _MAY_CHANGE and value is not None}
