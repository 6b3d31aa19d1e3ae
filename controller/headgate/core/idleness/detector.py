"""The detector: slow to say IDLE, instant to say ACTIVE, for one partition of a root topic.

It says IDLE once the partition has been empty (`emptiness`) without a break for the whole grace (`grace`). It says
ACTIVE at the first sign of data: a fetched record, an end beyond the position, an open transaction, a seek, something
in flight. What is merely unknown (no poll, no broker, a pause) leaves the status as it was: never IDLE by guess, and no
ACTIVE without a cause either.

The worker hands in what happens, in the order in which it happens, and calls `step` after every poll, once what the
poll brought has been noted. Losing the partition says nothing about it: the detector is dropped, and the heir begins
with its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, Literal

from headgate.core.idleness.emptiness import FetchEvidence, Judging, Situation, Unmet, unmet
from headgate.core.idleness.grace import AdaptiveGrace, GraceClock, GraceSettings
from headgate_events.idleness.signals import Status


class Cause(Enum):
    """Why a partition's status changed, as its marker says it."""

    EMPTY = "EMPTY"
    RESUMED = "RESUMED"
    OPEN_TXN = "OPEN_TXN"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A partition's new status, with its cause and the evidence (None where a record was the cause).

    `alert` is set where IDLE was said although a transaction is open, because the policy allows that after its cap.
    """

    status: Status
    cause: Cause
    evidence: FetchEvidence | None
    at_ms: int
    alert: bool = False


@dataclass(frozen=True, slots=True)
class OpenTransactions:
    """What an open transaction does: it holds the partition ACTIVE, or with `ignore` only until the cap has passed.

    `cap_ms` is the producers' transaction timeout plus a margin.
    """

    policy: Literal["hold", "ignore"] = "hold"
    cap_ms: int = 75_000


_DATA: Final = frozenset({Unmet.BEHIND, Unmet.BUFFERED, Unmet.IN_FLIGHT, Unmet.OPEN_TRANSACTION})
"""What speaks for data, where the rest only says that nothing is known."""

_LOOP: Final = frozenset({Unmet.PAUSED, Unmet.POLL_STALE})
"""What stops the clock; everything else begins the wait anew."""


class EmptinessDetector:
    """Judges one partition. Starts ACTIVE (R1), so a partition that is empty from the start says IDLE. One thread."""

    def __init__(
        self,
        judging: Judging | None = None,
        grace: GraceSettings | None = None,
        transactions: OpenTransactions | None = None,
    ) -> None:
        self._judging = judging or Judging()
        settings = grace or GraceSettings()
        self._transactions = transactions or OpenTransactions()
        self._grace = AdaptiveGrace(settings)
        self._empty_for = GraceClock(settings.longest_tick_ms)
        self._held_for = GraceClock(settings.longest_tick_ms)
        self._held_at: int | None = None
        self._due = False
        self._status = Status.ACTIVE
        self._evidence: FetchEvidence | None = None
        self._reached: int | None = None
        self._unmet: frozenset[Unmet] = frozenset({Unmet.NO_EVIDENCE})

    def take_on(self, grace: GraceSettings, transactions: OpenTransactions) -> None:
        """Judge by other settings from now on. What is known stays known, but for the flaps."""
        self._transactions = transactions
        self._grace = AdaptiveGrace(grace)
        self._empty_for.longest_tick_ms = self._held_for.longest_tick_ms = grace.longest_tick_ms

    @property
    def status(self) -> Status:
        """What was said last: ACTIVE or IDLE."""
        return self._status

    @property
    def unmet(self) -> frozenset[Unmet]:
        """Which conditions did not hold at the last step: why the partition is not, or not yet, idle."""
        return self._unmet

    @property
    def evidence(self) -> FetchEvidence | None:
        """The newest evidence that nothing has overtaken, or None."""
        return self._evidence

    def record_fetched(self, next_position: int, now_ms: int) -> Judgement | None:
        """Note a record of the user's; return ACTIVE if the partition was idle. Call it before anything is written."""
        self._reached = next_position
        self._evidence = None
        return self._active(Cause.RESUMED, now_ms)

    def marker_passed(self, next_position: int) -> None:
        """Note a marker of ours among the records: it moves the position, and wakes nothing and overtakes nothing."""
        self._reached = next_position
        known = self._evidence
        if known is not None and known.position < next_position:
            stable = None if known.last_stable is None else max(known.last_stable, next_position)
            high = None if known.high is None else max(known.high, next_position)
            self._evidence = replace(known, position=next_position, last_stable=stable, high=high)

    def fetch_answered(self, evidence: FetchEvidence) -> None:
        """Take evidence that is newer than every record noted so far. An answer from before them is left aside."""
        if self._reached is not None and evidence.position < self._reached:
            return
        self._reached = evidence.position
        self._evidence = evidence

    def end_listed(self, high: int, at_ms: int) -> Judgement | None:
        """Take the high watermark of a list-offsets request, made while the partition is paused.

        It can only show growth: an end beyond the position makes an idle partition ACTIVE, and nothing makes it IDLE.
        """
        if self._reached is None or high <= self._reached:
            return None
        self._evidence = None
        return self._active(Cause.RESUMED, at_ms)

    def resumed(self) -> None:
        """Note that a pause ended: what was known of the end is of the past, and a fetch has to show it again."""
        self._evidence = None

    def sought(self, position: int, now_ms: int) -> Judgement | None:
        """Note that reading goes on elsewhere; return ACTIVE if the partition was idle, as nothing is known there."""
        self._reached = position
        self._evidence = None
        return self._active(Cause.RESUMED, now_ms)

    def step(self, now_ms: int, situation: Situation) -> Judgement | None:
        """Judge at one turn of the worker's loop; return the new status when it changes."""
        found = unmet(situation, self._evidence, now_ms, self._judging)
        tolerated = self._transaction_tolerated(found, now_ms)
        self._unmet = found - {Unmet.OPEN_TRANSACTION} if tolerated else found
        long_enough = self._empty_long_enough(now_ms, situation.blocked)
        if Unmet.NOT_ASSIGNED in self._unmet:
            return None
        if self._status is Status.IDLE:
            if self._unmet & _DATA:
                open_only = self._unmet & _DATA == {Unmet.OPEN_TRANSACTION}
                return self._active(Cause.OPEN_TXN if open_only else Cause.RESUMED, now_ms)
            return None
        if not long_enough:
            return None
        self._status = Status.IDLE
        return Judgement(Status.IDLE, Cause.EMPTY, self._evidence, now_ms, alert=tolerated)

    def _empty_long_enough(self, now_ms: int, blocked: bool) -> bool:
        """Return whether the partition has been empty for the grace, by the clock that stops."""
        needed_ms = self._grace.needed_ms(now_ms)
        gap_ms = self._empty_for.gap_ms(now_ms)
        stalled = gap_ms > max(needed_ms, self._judging.poll_bound_ms)
        if self._unmet - _LOOP or stalled:
            self._due = False
            self._empty_for.restart()
            return False
        if self._unmet or blocked:
            self._empty_for.stand(now_ms)
            return False
        self._empty_for.run(now_ms)
        if self._empty_for.counted_ms < needed_ms:
            return False
        # After a long turn the fetch that would have brought a record may still be on its way: look once more.
        looked_twice = self._due
        self._due = True
        return looked_twice or gap_ms <= self._empty_for.longest_tick_ms

    def _transaction_tolerated(self, found: frozenset[Unmet], now_ms: int) -> bool:
        """Return whether the same transaction has been open for longer than the cap, and the policy lets it go."""
        at = self._evidence.last_stable if self._evidence is not None and Unmet.OPEN_TRANSACTION in found else None
        if at is None or at != self._held_at:
            self._held_at = at
            self._held_for.restart()
        elif Unmet.POLL_STALE in found:
            self._held_for.stand(now_ms)
        else:
            self._held_for.run(now_ms)
        return (
            at is not None
            and self._transactions.policy == "ignore"
            and self._held_for.counted_ms >= self._transactions.cap_ms
        )

    def _active(self, cause: Cause, now_ms: int) -> Judgement | None:
        self._due = False
        self._empty_for.restart()
        if self._status is Status.ACTIVE:
            return None
        self._status = Status.ACTIVE
        self._grace.flapped(now_ms)
        return Judgement(Status.ACTIVE, cause, self._evidence, now_ms)
