"""When a partition is empty: six conditions, each of which must be known to hold. Whatever is unknown counts as data.

Silence is no evidence. A consumer that sees nothing may be paused, stalled, cut off from its broker or behind an open
transaction. So emptiness needs an answered fetch that is newer than the last record and shows the position at the end,
and nothing of the partition may still be on its way through the worker. One false IDLE makes the partition's backlog
late for ever; a late IDLE costs only latency.

Only topics without markers of ours are judged so (roots). What reads a stream's destination takes the status from that
stream's markers instead, since an empty partition there may just mean a busy stream that filters everything out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from headgate_events.idleness.channel_set import Epoch


class Unmet(Enum):
    """Why a partition does not count as empty."""

    NOT_ASSIGNED = "not_assigned"
    START_UNRESOLVED = "start_unresolved"
    PAUSED = "paused"
    POLL_STALE = "poll_stale"
    DISCONNECTED = "disconnected"
    NO_EVIDENCE = "no_evidence"
    BEHIND = "behind"
    END_UNKNOWN = "end_unknown"
    BUFFERED = "buffered"
    IN_FLIGHT = "in_flight"
    OPEN_TRANSACTION = "open_transaction"


@dataclass(frozen=True, slots=True)
class FetchEvidence:
    """What an answered fetch (or a partition EOF, or a list-offsets answer for the position) showed.

    `position` is the next offset to read; `last_stable` and `high` are the last stable offset and the high watermark,
    None when the answer did not tell. `at_ms` is when it was answered. For librdkafka under read_committed the offset
    of the EOF event is both position and last stable offset, and the cached high watermark is `high`.
    """

    position: int
    last_stable: int | None
    high: int | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class Situation:
    """One partition as the worker's loop knows it, at one moment. None always means unknown.

    `assigned` is the epoch in which the partition was assigned, `current` the one that holds now; `start` is the
    resolved start offset. `polled_at_ms` is the end of the last poll. `connected`: the client has a working connection,
    as far as it can tell. `buffered` counts records that were fetched and not handed on; `in_flight` those handed on
    whose outputs are not yet acknowledged, or whose transaction is not yet committed. `high` is the newest high
    watermark that the client knows, where an end that grew shows first; None: none newer than the evidence. `blocked`:
    something other than the partition keeps the loop from reading it, such as a full output queue, a slow handler, the
    wait before a retry or for a transaction.
    """

    assigned: Epoch | None
    current: Epoch | None
    start: int | None
    paused: bool | None
    polled_at_ms: int | None
    connected: bool | None
    buffered: int | None
    in_flight: int | None
    high: int | None = None
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class Judging:
    """How to judge: which end counts, and how old the last poll may be."""

    isolation: Literal["read_committed", "read_uncommitted"] = "read_committed"
    poll_bound_ms: int = 2_000

    @property
    def committed_only(self) -> bool:
        """Whether the end that counts is the last stable offset; else it is the high watermark."""
        return self.isolation == "read_committed"


def unmet(situation: Situation, evidence: FetchEvidence | None, now_ms: int, judging: Judging) -> frozenset[Unmet]:
    """Return which conditions of emptiness do not hold; none means that the partition is empty now.

    `evidence` is the newest that no record, resume or seek has overtaken, None when there is none.
    """
    return frozenset(
        (
            *_about_assignment(situation),
            *_about_the_loop(situation, now_ms, judging.poll_bound_ms),
            *_about_the_end(evidence, situation.high, judging),
            *_about_work(situation),
        )
    )


def _about_assignment(situation: Situation) -> list[Unmet]:
    found = []
    if situation.assigned is None or situation.assigned != situation.current:
        found.append(Unmet.NOT_ASSIGNED)
    if situation.start is None:
        found.append(Unmet.START_UNRESOLVED)
    return found


def _about_the_loop(situation: Situation, now_ms: int, poll_bound_ms: int) -> list[Unmet]:
    found = []
    if situation.paused is not False:
        found.append(Unmet.PAUSED)
    if situation.polled_at_ms is None or not 0 <= now_ms - situation.polled_at_ms <= poll_bound_ms:
        found.append(Unmet.POLL_STALE)
    if situation.connected is not True:
        found.append(Unmet.DISCONNECTED)
    return found


def _about_the_end(evidence: FetchEvidence | None, newest_high: int | None, judging: Judging) -> list[Unmet]:
    if evidence is None:
        return [Unmet.NO_EVIDENCE]
    high = max((each for each in (evidence.high, newest_high) if each is not None), default=None)
    end = evidence.last_stable if judging.committed_only else high
    if end is None:
        return [Unmet.END_UNKNOWN]
    found = []
    if evidence.position < end:
        found.append(Unmet.BEHIND)
    if judging.committed_only:
        if high is None or high < end:
            found.append(Unmet.END_UNKNOWN)
        elif high > max(end, evidence.position):
            found.append(Unmet.OPEN_TRANSACTION)
    return found


def _about_work(situation: Situation) -> list[Unmet]:
    found = []
    if situation.buffered != 0:
        found.append(Unmet.BUFFERED)
    if situation.in_flight != 0:
        found.append(Unmet.IN_FLIGHT)
    return found
