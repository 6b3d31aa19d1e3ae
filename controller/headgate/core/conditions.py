"""Conditions: which of them a stream can have, as it stands. Pure; the table itself is in `lifecycle`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headgate.core.lifecycle import CONDITIONS, FAILED_PERMANENTLY, ONLY_CARRYING


def can_hold(condition: str, state: Mapping[str, Any]) -> bool:
    """Say whether the stream can have the condition in its present status."""
    status = state["status"]
    if status == FAILED_PERMANENTLY and condition in ONLY_CARRYING and not state.get("carries_on"):
        return False
    return status in CONDITIONS[condition]
