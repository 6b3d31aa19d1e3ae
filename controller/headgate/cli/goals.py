"""What `--wait` waits for: a pure judgement of a stream's state after an accepted command.

Three answers: reached, not yet (with how it stands), missed (the stream went elsewhere, with where and why). A state
older than the outcome says nothing. FAILED counts as not yet where RUNNING is the goal, since it clears by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from headgate.cli.wording import safe, when

State = Mapping[str, Any]

_RUN: Final = frozenset({"RUNNING"})


@dataclass(frozen=True, slots=True)
class Goal:
    """Where a command leads when all goes well.

    `reached` are the statuses that meet the goal and `passing` those on the way; `gone` says that the stream's absence
    is the goal; `revision` that every task runs the desired revision.
    """

    words: str
    reached: frozenset[str] = frozenset()
    passing: frozenset[str] = frozenset()
    gone: bool = False
    revision: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a stream stands with respect to a goal; `text` says it to people, `details` are lines below it."""

    kind: Literal["reached", "waiting", "missed"]
    text: str
    details: tuple[str, ...] = ()


def goal_of(kind: str, status: str | None) -> Goal | None:
    """Return the goal of an accepted command that led to `status`; None where the outcome is all there is."""
    match kind:
        case "start":
            return Goal("RUNNING", _RUN, frozenset({"STARTING", "FAILED"}))
        case "resume" | "cancel-drain" | "retry":
            return Goal("RUNNING", _RUN, frozenset({"FAILED"}))
        case "recover" if status == "DRAINING":
            return Goal("PAUSED", frozenset({"PAUSED"}), frozenset({"DRAINING"}))
        case "recover":
            return Goal("RUNNING", _RUN, frozenset({"FAILED"}))
        case "pause":
            return Goal("PAUSED", frozenset({"PAUSED"}), frozenset({"DRAINING"}))
        case "delete":
            return Goal("deleted", frozenset({"DELETED"}), frozenset({"DRAINING"}), gone=True)
        case "modify":
            return Goal("applied", revision=True)
        case _:
            return None


def judge(goal: Goal, state: State | None, incarnation: int | None, version: int | None) -> Verdict:
    """Say how a stream stands. `state` is None when it is gone; the other two are what the outcome named."""
    if state is None:
        return Verdict("reached", "deleted") if goal.gone else Verdict("missed", "was deleted")
    if incarnation is not None and state["incarnation"] != incarnation:
        if state["incarnation"] < incarnation:
            return Verdict("waiting", "not yet visible")
        return Verdict("reached", "deleted") if goal.gone else Verdict("missed", "was deleted and created again")
    if version is not None and state["version"] < version:
        return Verdict("waiting", "not yet visible")
    if goal.revision:
        return _judge_revision(state)
    status = state["status"]
    if status in goal.reached:
        return Verdict("reached", status)
    if status in goal.passing:
        return Verdict("waiting", _progress(state))
    return _missed(state)


def _judge_revision(state: State) -> Verdict:
    revision = state["revision"]
    desired = revision["desired"]
    if revision.get("rejected") == desired:
        return Verdict("missed", f"rejected revision {desired}", failed_checks(revision.get("checks", ())))
    if revision["applied"] >= desired:
        return Verdict("reached", f"applied revision {desired}")
    if state["status"] in {"NOT_STARTED", "PAUSED", "FAILED_PERMANENTLY", "DELETED"}:
        return Verdict("reached", f"{state['status']}; revision {desired} is used when it runs")
    return Verdict("waiting", f"runs revision {revision['applied']} of {desired}")


def _progress(state: State) -> str:
    status = str(state["status"])
    if status == "DRAINING":
        return f"{status}, {drained(state)}"
    if error := newest_error(state):
        retry = f"; next try {when(error['next_retry_ms'])}" if error.get("next_retry_ms") else ""
        return f"{status}: {safe(error['message'], 200)}{retry}"
    return status


def drained(state: State) -> str:
    """Say how far the drain is: `2 of 3 partitions drained`."""
    receipts = sum(len(each) for each in ((state.get("drain") or {}).get("receipts") or {}).values())
    partitions = state.get("partitions")
    if not partitions:
        return f"{receipts} partitions drained"
    return f"{receipts} of {sum(partitions.values())} partitions drained"


def _missed(state: State) -> Verdict:
    status = str(state["status"])
    last = state["last"]
    why = f' ("{safe(last["reason"], 200)}")' if last.get("reason") else ""
    if status == "NOT_STARTED" and (failed := failed_checks(state.get("checks", ()))):
        return Verdict("missed", "did not pass its validation", failed)
    if status in {"FAILED", "FAILED_PERMANENTLY"} and (error := newest_error(state)):
        return Verdict("missed", f"is {status}: {safe(error['message'], 300)} ({error['code']})")
    return Verdict("missed", f"is {status} since {when(state['since_ms'])} by {safe(last['actor'])}{why}")


def newest_error(state: State) -> Mapping[str, Any] | None:
    """Return the error that was seen last, None when there is none."""
    errors: list[Mapping[str, Any]] = list((state.get("errors") or {}).values())
    return max(errors, key=lambda error: int(error["last_seen_ms"]), default=None)


def failed_checks(checks: Any) -> tuple[str, ...]:
    """Return a line for each check that failed."""
    return tuple(check_line(check) for check in checks if check["result"] == "failed")


def check_line(check: Mapping[str, Any]) -> str:
    """Write one check on a line: its result, what was looked at, what came of it and what to do."""
    signs = {"passed": "ok", "failed": "FAILED", "warning": "warning", "not_executed": "not executed"}
    said = " ".join(safe(check.get(part) or "") for part in ("message", "hint")).strip()
    code = f" ({check['code']})" if check.get("code") else ""
    return f"{signs[check['result']]}: {safe(check['name'])}" + (f": {said}{code}" if said else code)
