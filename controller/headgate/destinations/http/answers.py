"""What an answer means: taken, wait, this record never, this endpoint never.

408, 425, 429 and 5xx pass by themselves, and so do requests that got no answer. 400, 409, 413 and 422 are about what
was sent: the record's fault when it was one record. Whatever else is no success is about the endpoint. A redirect is
not followed: it would take the records, and the secrets in the headers, to somebody whom nobody named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from headgate.ports.connectors import ConnectorRefused, ConnectorUnavailable

Meaning = Literal["taken", "later", "record", "never"]
PASSING: Final = frozenset({408, 425, 429})
ABOUT_THE_RECORD: Final = frozenset({400, 409, 413, 422})
LONGEST_WAIT_S: Final = 86_400.0
HINTS: Final = {
    401: "Correct the credentials in the connection's headers, then recover the stream.",
    403: "Give these credentials the right to write, then recover the stream.",
    404: "Correct the url or the path, then recover the stream.",
    405: "Correct the method, then recover the stream.",
}


class AskedToWait(ConnectorUnavailable):
    """The other side does not take this now; `retry_after_s` is how long it asked to be left alone, if it did."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


def meaning_of(status: int, accepted: frozenset[int], *, waits: bool = False) -> Meaning:
    """Return what a status means. `waits` says that a time to wait came with it, so that a conflict may pass."""
    if status in accepted or 200 <= status < 300:
        return "taken"
    if status in PASSING or status >= 500 or (status == 409 and waits):
        return "later"
    return "record" if status in ABOUT_THE_RECORD else "never"


def later(who: str, status: int, retry_after_s: float | None) -> AskedToWait:
    """Return the error for an answer that passes."""
    asked = "" if retry_after_s is None else f" and asks to wait {retry_after_s:.0f} s"
    return AskedToWait(f"{who} answers {status}{asked}.", retry_after_s=retry_after_s)


def never(who: str, status: int) -> ConnectorRefused:
    """Return the error for an answer that waiting does not change."""
    if 300 <= status < 400:
        return ConnectorRefused(
            f"{who} answers {status}, a redirect, which is not followed.", hint="Name the address that it leads to."
        )
    return ConnectorRefused(f"{who} answers {status}.", hint=HINTS.get(status, "Mend it, then recover the stream."))


def retry_after_s(headers: Mapping[str, str], now_ms: int) -> float | None:
    """Return the seconds that `Retry-After` (a number or a date) asks for, from 0 to a day; None where it says none."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_WAIT_S)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    wait_s = at.timestamp() - now_ms / 1000
    return min(max(0.0, math.ceil(wait_s)), LONGEST_WAIT_S)
