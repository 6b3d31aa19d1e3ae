"""Ids of records: fresh ones for commands, derived ones for everything that follows from an input.

A derived id is a function of its cause, so a decision or an observation that is made twice has the same id twice, and
readers can drop the repeat.
"""

from __future__ import annotations

import uuid
from typing import Final

MAX_ID_LENGTH: Final = 128


def new_command_id() -> str:
    """Return a fresh, unique command id (a random UUID). Not for the pure core, which gets its ids handed in."""
    return str(uuid.uuid4())


def history_id(family: str, partition: int, offset: int, ordinal: int) -> str:
    """Name the history record number `ordinal` (from 0) that followed from one input.

    `family` is `commands` or `reports`; `partition` and `offset` are the input's.
    """
    return f"{family}-{partition}-{offset}-{ordinal}"


def observer_report_id(stream: str, incarnation: int, version: int, kind: str, about: str = "") -> str:
    """Name an observer's report, so that two observers that see the same thing say one thing."""
    return f"observer-{stream}-{incarnation}-{version}-{kind}" + (f"-{about}" if about else "")
