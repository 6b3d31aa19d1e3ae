"""Risk: how long until a source drops what a stream that stands still has not read. Pure.

Three things tell of it, and the shortest time counts: the age that the source keeps, with the timestamp of the next
record to read; the pace at which the source's beginning moves on between two looks; and, where the source drops
records by an age that nobody told us, the distance in time between its oldest record and the next to read. All are
estimates, so they are said in steps (`about 3 h`), and a sentence stays the same as long as nothing much has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

HORIZON_MS: Final = 24 * 3_600_000
"""What is further away than a day is no risk yet."""
_STEPS: Final = (
    (24 * 3_600_000, "a day"),
    (12 * 3_600_000, "12 h"),
    (6 * 3_600_000, "6 h"),
    (3 * 3_600_000, "3 h"),
    (2 * 3_600_000, "2 h"),
    (3_600_000, "1 h"),
    (30 * 60_000, "30 min"),
    (15 * 60_000, "15 min"),
    (5 * 60_000, "5 min"),
    (60_000, "1 min"),
)
NAMED: Final = 3


class Sight(NamedTuple):
    """One partition at one look: what the source holds, where the stream stands, and the timestamps at both places.

    `oldest_ms` is the timestamp of the source's oldest record, `next_ms` that of the next to read; None for unknown.
    """

    start: int
    end: int
    position: int
    oldest_ms: int | None = None
    next_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a stream's partitions (`topic[number]`) at one moment."""

    at_ms: int
    sights: Mapping[str, Sight]
    retention_ms: int | None = None


def judge(now: Look, earlier: Look | None) -> str | None:
    """Return what is to be said about the risk, None for none; `earlier` tells the pace of the source's beginning."""
    lost = {name: sight.start - sight.position for name, sight in now.sights.items() if sight.position < sight.start}
    if lost:
        where = _names(sorted(lost, key=lambda name: -lost[name]))
        count = at_least(sum(lost.values()))
        noun = "record that was" if count == 1 else "records that were"
        return f"The source has dropped at least {count:,} {noun} not read: {where}."
    left = {
        name: left_ms
        for name, sight in now.sights.items()
        if (left_ms := time_left_ms(name, now, earlier)) is not None and left_ms < _horizon_ms(now.retention_ms)
    }
    if not left:
        return None
    soonest = sorted(left, key=lambda name: left[name])
    first = soonest[0] if len(soonest) == 1 else f"{soonest[0]} first of {len(soonest)} partitions"
    return f"{_about(left[soonest[0]])} until the source drops records that were not read: {first}."


def time_left_ms(name: str, now: Look, earlier: Look | None) -> int | None:
    """Return the time until the next record to read is dropped; None when nothing is unread, or nothing is known."""
    sight = now.sights[name]
    if sight.position >= sight.end:
        return None
    known: list[int] = []
    if sight.next_ms is not None and now.retention_ms is not None and now.retention_ms >= 0:
        known.append(sight.next_ms + now.retention_ms - now.at_ms)
    elif sight.next_ms is not None and sight.oldest_ms is not None and sight.start > 0 and now.retention_ms is None:
        known.append(sight.next_ms - sight.oldest_ms)
    before = earlier.sights.get(name) if earlier is not None else None
    if earlier is not None and before is not None and sight.start > before.start and now.at_ms > earlier.at_ms:
        pace = (sight.start - before.start) / (now.at_ms - earlier.at_ms)
        known.append(round((sight.position - sight.start) / pace))
    return max(0, min(known)) if known else None


def at_least(count: int) -> int:
    """Return the largest of 1, 2, 5, 10, 20, 50 … that is not above `count`."""
    assert count > 0
    power = int(10 ** (len(str(count)) - 1))
    return max(step * power for step in (1, 2, 5) if step * power <= count)


def _horizon_ms(retention_ms: int | None) -> int:
    # Where the source keeps a few hours only, a stream that has just stopped is not at risk yet.
    return HORIZON_MS if retention_ms is None or retention_ms < 0 else min(HORIZON_MS, retention_ms // 2)


def _about(left_ms: int) -> str:
    words = next((words for step, words in _STEPS if left_ms >= step), None)
    return "Less than a minute" if words is None else f"About {words}"


def _names(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
