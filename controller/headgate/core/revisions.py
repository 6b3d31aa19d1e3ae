"""Revisions: which definition is in effect, and which changes need the tasks anew.

The desired definition is in effect, until a worker rejects it: then the one that every task ran before is, for all of
them, whoever runs or begins one, until another is desired. So a definition that cannot be run stops nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headgate_events.schema.config import RESTARTING_SECTIONS


def in_effect(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `revision` and the `config` that tasks run, or are to run."""
    revision = state["revision"]
    last_applied: Mapping[str, Any] | None = state.get("last_applied")
    if last_applied is not None and revision.get("rejected") == revision["desired"]:
        return last_applied
    return {"revision": revision["desired"], "config": state["config"]}


def restarts(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Say whether a change takes other clients, and so tasks that begin anew."""
    return any(_said(before[section]) != _said(after[section]) for section in RESTARTING_SECTIONS)


def _said(section: Any) -> Any:
    """Return a section without what is not set: older definitions do not name settings that came later."""
    if not isinstance(section, dict):
        return section
    return {name: value for name, value in section.items() if value is not None}
