"""The bounds that the projector applies while it decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Policy:
    """Times in milliseconds; `scheduled_max` is how many commands of one stream may wait at once.

    Each deadline is written into the record that it shapes, so a replay under another policy differs only where a new
    decision would.
    """

    validation_timeout_ms: int = 60_000
    check_timeout_ms: int = 30_000
    unassigned_grace_ms: int = 30_000
    forget_after_ms: int = 86_400_000
    scheduled_max: int = 16


DEFAULT_POLICY: Final = Policy()
