"""Flapping: a stream whose status changes by itself again and again. Pure: judged from the times of its changes.

What people ask for is never counted, however often; only what the stream does by itself (it fails, it runs again) is. A
flapping stream looks healthy every time somebody looks, so that it flaps is a condition of its own. It ends at a moment
that is known when it begins, when so few changes are left within the window that the bound holds again: a deadline,
which the observer reports like any other, so that a replay gives the same history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headgate_events.schema.config import FlappingConfig

BY_ITSELF: Final = frozenset({"stream-failed", "error-cleared", "stream-failed-permanently"})
"""The transitions that change a status although nobody asked for it."""
DEFAULTS: Final = FlappingConfig().model_dump(mode="json")


def with_change(state: Mapping[str, Any], at_ms: int) -> list[int]:
    """Return the times of the last changes with one more, as many as judging takes."""
    changes_max, window_ms = _bounds(state)
    kept = [each for each in state.get("changes_ms", ()) if each > at_ms - window_ms]
    return [*kept, at_ms][-(changes_max + 1) :]


def ends_at_ms(state: Mapping[str, Any], at_ms: int) -> int | None:
    """Return when the stream will have been calm enough, if it flaps at `at_ms`; None when it does not."""
    changes_max, window_ms = _bounds(state)
    times: Sequence[int] = state.get("changes_ms", ())
    if len(times) <= changes_max or times[-(changes_max + 1)] + window_ms <= at_ms:
        return None
    return times[-(changes_max + 1)] + window_ms


def words(state: Mapping[str, Any]) -> str:
    """Say what flapping means for this stream."""
    config = _config(state)
    minutes = f"{config['minutes']:g} minute" + ("" if config["minutes"] == 1 else "s")
    return f"The status changed more than {config['changes']} times within {minutes}, by itself."


def _bounds(state: Mapping[str, Any]) -> tuple[int, int]:
    config = _config(state)
    return config["changes"], round(config["minutes"] * 60_000)


def _config(state: Mapping[str, Any]) -> Mapping[str, Any]:
    # A definition that was written before there was this setting has its defaults.
    found: Mapping[str, Any] = state["config"].get("flapping") or DEFAULTS
    return found
