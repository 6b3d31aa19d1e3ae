"""The decider: what one input means for one stream, given its state. Pure: no I/O, no clock, no randomness, no logging.

    decide(state, input) → transitions and outcomes        evolve(state, record) → state        fold = both

Every readable input leaves exactly one final outcome in the history, or (a command that waits for a time, a fact or a
check) a `scheduled` or `checking` transition now and its one final outcome later, with the input that decides it. Time
is the broker's append time of the input; deadlines are written into the records here and come back as reports.

Rules that hold across the table, in this order: an input below the positions that the state has folded changes nothing;
a command whose id is remembered gets the same outcome again; an expected version must match; then the cell decides.
Deciding again what was decided therefore yields nothing, and no input raises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from headgate.core import commands, reports
from headgate.core.evolve import State
from headgate.core.policy import DEFAULT_POLICY, Policy
from headgate.core.turn import Turn
from headgate_events.codec import encode
from headgate_events.ids import history_id
from headgate_events.records import HistoryRecord, Input, Unreadable

__all__ = ["DEFAULT_POLICY", "Folded", "Policy", "decide", "fold", "forwarded", "initial_state", "refuse_unreadable"]

initial_state: Final[State | None] = None
"""A stream that nobody created is no state at all."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What came of one input: the state after it (None: no such stream) and the history records, in order.

    `changed` says whether the state record must be written (a tombstone where the state is None).
    """

    state: State | None
    changed: bool
    records: tuple[HistoryRecord, ...]


def fold(state: State | None, item: Input, policy: Policy = DEFAULT_POLICY) -> Folded:
    """Decide one input and fold what was decided into the state.

    An input that the state has folded already yields no records. Never raises for what stands in the input.
    """
    if state is not None and item.offset < state["inputs"][item.family]:
        return Folded(state, False, ())
    if item.payload.get("dry_run"):
        turn = _rehearsed(state, item, policy)
    else:
        turn = Turn(state, item)
        if item.family == "commands":
            commands.decide_command(turn, policy)
        else:
            reports.decide_report(turn, policy)
    return Folded(turn.state, turn.state is not state, tuple(turn.records))


def decide(state: State | None, item: Input, policy: Policy = DEFAULT_POLICY) -> tuple[HistoryRecord, ...]:
    """Return the transitions and outcomes that one input leads to."""
    return fold(state, item, policy).records


def _rehearsed(state: State | None, item: Input, policy: Policy) -> Turn:
    """Answer a dry run with the outcome that the command would have, changing nothing but the positions folded.

    Where a worker has to look at the positions first, the dry run waits for it like the command itself, visibly.
    """
    rehearsal = Turn(state, item._replace(payload={**item.payload, "dry_run": False}))
    commands.decide_command(rehearsal, policy)
    turn = Turn(state, item)
    last = rehearsal.records[-1]
    if last.kind == "checking":
        commands.decide_command(turn, policy)
        return turn
    if last.kind == "outcome":
        would = {key: last.payload[key] for key in ("outcome", "code", "message", "hint", "repeated")}
    else:
        would = {"outcome": "accepted", "message": "It would be scheduled and decided when due."}
    if would["outcome"] == "accepted" and not would.get("message"):
        would["message"] = _would(rehearsal.records)
    turn.answer(**would, dry_run=True)
    return turn


def _would(records: list[HistoryRecord]) -> str:
    """Say what an accepted rehearsal would have led to."""
    transition: dict[str, Any] = records[0].payload
    if transition["kind"] == "stream-modified":
        how = "the tasks would restart at the same positions" if transition["restart"] else "applied without a restart"
        return f"Revision {transition['revision']} would be desired; {how}."
    if transition["kind"] == "outcome":
        return ""
    return f"It would be {transition['to_status']}."


def refuse_unreadable(item: Unreadable) -> HistoryRecord:
    """Return the refusal of an input that cannot be decoded; it names the offset, and no stream is changed by it."""
    where = f"{item.topic}, partition {item.partition}, offset {item.offset}"
    payload: dict[str, Any] = {
        "kind": "outcome",
        "stream": item.stream,
        "incarnation": None,
        "outcome": "refused",
        "code": item.code,
        "message": f"{item.message} ({where})",
        "hint": item.hint,
        "version": None,
        "status": None,
        "dry_run": False,
        "repeated": False,
        "at_ms": item.at_ms,
        "actor": item.actor,
        "reason": None,
        "input": {"topic": item.topic, "partition": item.partition, "offset": item.offset},
        "input_id": item.id,
        "input_type": item.type,
        "decided_by": None,
        "gap": None,
    }
    return _record("outcome", item, payload)


def forwarded(item: Input | Unreadable, to_partition: int) -> HistoryRecord:
    """Return the record which says that an input was written again in the partition of its key."""
    payload: dict[str, Any] = {
        "kind": "forwarded",
        "stream": item.stream,
        "at_ms": item.at_ms,
        "input": {"topic": item.topic, "partition": item.partition, "offset": item.offset},
        "input_id": item.id,
        "input_type": item.type,
        "to_partition": to_partition,
    }
    return _record("forwarded", item, payload)


def _record(kind: str, item: Input | Unreadable, payload: dict[str, Any]) -> HistoryRecord:
    return HistoryRecord(
        kind=kind,
        id=history_id(item.family, item.partition, item.offset, 0),
        payload=payload,
        value=encode(payload),
    )
