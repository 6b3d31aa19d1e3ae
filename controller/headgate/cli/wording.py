"""Words for people: texts made safe for a terminal, ages, times and durations, both written and read.

Reasons, names of actors and error messages come out of a log that anybody with the right to send a command may write
to. Shown raw they could move the cursor or forge lines of a table, so control characters never reach a terminal.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from headgate_events.errors import InvalidRequest

MAX_DURATION_S: Final = 366 * 86_400.0
_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION: Final = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,3})?(?:ms|s|m|h|d))+")
_PART: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)")
_SECONDS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,3})?")
_EPOCH_MS: Final = re.compile(r"[0-9]{12,14}")
# C0 and C1 controls, line and paragraph separators, and the marks that reverse the direction of what follows.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


def safe(text: object, limit: int | None = None) -> str:
    """Return `text` on one line and without control characters, cut to `limit` characters where one is given."""
    clean = _UNSAFE.sub(" ", str(text)).strip()
    return clean if limit is None or len(clean) <= limit else clean[: limit - 1].rstrip() + "…"


def age(since_ms: int, now_ms: int) -> str:
    """Say how long ago `since_ms` was, in at most two units: `42s`, `5m10s`, `3h`, `12d`. The future is `0s`."""
    seconds = max(0, now_ms - since_ms) // 1_000
    if seconds < 60:
        return f"{seconds}s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 10:
        return f"{minutes}m{seconds}s" if seconds else f"{minutes}m"
    if minutes < 60:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 10:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    return f"{hours // 24}d"


def when(at_ms: int) -> str:
    """Write a time as RFC 3339 in UTC, with milliseconds: the one form that sorts, and that every option takes back."""
    moment = datetime.fromtimestamp(at_ms / 1_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1_000:03d}Z"


def seconds(value: float) -> str:
    """Write a length of time: `0.8 s`, `12 s`, `5 min`."""
    if value < 10:
        return f"{value:.1f} s"
    return f"{value:.0f} s" if value < 180 else f"{value / 60:.0f} min"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun: `1 stream`, `1,200 streams`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def duration_s(text: str, option: str) -> float:
    """Read `30`, `30s`, `500ms`, `5m`, `1h30m` or `2d` as seconds. Raises InvalidRequest, which names the option."""
    given = text.strip()
    if _SECONDS.fullmatch(given):
        found = float(given)
    elif _DURATION.fullmatch(given):
        found = sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(given))
    else:
        raise InvalidRequest(f"{option} is not a duration: {safe(text, 60)!r}.", hint="Write 30s, 5m, 1h30m or 2d.")
    if found > MAX_DURATION_S:
        raise InvalidRequest(f"{option} is longer than a year: {safe(text, 60)}.", hint="Write a shorter duration.")
    return found


def moment_ms(text: str, option: str) -> int:
    """Read an RFC 3339 time with its zone, or epoch milliseconds. Raises InvalidRequest, which names the option."""
    given = text.strip()
    if _EPOCH_MS.fullmatch(given):
        return int(given)
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise InvalidRequest(
            f"{option} is not a time: {safe(text, 60)!r}.", hint="Write it like 2026-11-21T10:00:00Z."
        ) from None
    if found.tzinfo is None:
        raise InvalidRequest(
            f"{option} does not say its time zone: {safe(text, 60)}.", hint=f"Write {given}Z for UTC, or {given}+01:00."
        )
    at_ms = (found - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    if at_ms < 0:
        raise InvalidRequest(f"{option} lies before 1970: {safe(text, 60)}.", hint="Write a later time.")
    return at_ms


def past_ms(text: str, option: str, now_ms: int) -> int:
    """Read a time, or how long ago it was (`15m`). Raises InvalidRequest, which names the option."""
    if _DURATION.fullmatch(text.strip()):
        return max(0, now_ms - int(duration_s(text, option) * 1_000))
    return moment_ms(text, option)


def future_ms(text: str, option: str, now_ms: int) -> int:
    """Read a time, or how long from now it is (`15m`). Raises InvalidRequest, which names the option."""
    if _DURATION.fullmatch(text.strip()):
        return now_ms + int(duration_s(text, option) * 1_000)
    return moment_ms(text, option)
