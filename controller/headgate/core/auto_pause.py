"""Auto-pause: a stream that was idle for long gives its tasks free, and goes on by itself when its source moves. Pure.

It is off unless the definition names a time. Workers measure the silence, as for a command that waits for idle. The
fold pauses the stream by an ordinary drain with receipts, in the name of `auto-pause`, and keeps where the source ended
by then. A worker looks at the source now and then, and what it reports makes the stream run again. Whoever pauses such
a stream by hand takes the pause over: from then on it is a person's, and is never ended but by a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

ACTOR: Final = "auto-pause"


def after_s(config: Mapping[str, Any]) -> float | None:
    """Return how long a stream with this definition has to be idle before it is paused; None for never."""
    found = (config.get("idleness") or {}).get("auto_pause_after_s")
    return None if found is None else float(found)


def silence_of(state: Mapping[str, Any]) -> Mapping[str, Mapping[str, int]] | None:
    """Return the ends at which auto-pause paused (or drains) a stream; None where it is not auto-pause's."""
    drain = state.get("drain")
    found: Mapping[str, Mapping[str, int]] | None = None if drain is None else drain.get("silence")
    return found


def reason(config: Mapping[str, Any]) -> str:
    """Say why a stream is paused by itself."""
    idle_s = after_s(config)
    assert idle_s is not None, "nothing is paused where auto-pause is off"
    return f"Idle for {idle_s:g} s; it goes on when its source moves."
