"""Exit codes: 0 ok, 1 runtime, 2 refused or invalid, 3 environment; and the one classifier from an error to its code.

Scripts branch on these, so the rule is short: 2 means that sending the same again will not help, 3 that a machine or a
cluster lacks something, 1 that it did not work out this time.
"""

from __future__ import annotations

from typing import Final

from headgate_events.errors import HeadgateError

OK: Final = 0
RUNTIME: Final = 1
REFUSED: Final = 2
ENVIRONMENT: Final = 3
INTERRUPTED: Final = 130

_ENVIRONMENT_CODES: Final = frozenset(
    {"log.unavailable", "log.not_authorized", "log.topic_missing", "connection.unusable"}
)
_RUNTIME_CODES: Final = frozenset({"command.outcome_timeout", "command.send_failed"})


def exit_code_of(error: HeadgateError) -> int:
    """Return the exit code that an error means, from the family that its stable code begins with."""
    code = error.code
    family = code.partition(".")[0]
    if family == "environment" or code in _ENVIRONMENT_CODES:
        return ENVIRONMENT
    if code in _RUNTIME_CODES:
        return RUNTIME
    if family in {"request", "stream", "command", "record"}:
        return REFUSED
    return RUNTIME
