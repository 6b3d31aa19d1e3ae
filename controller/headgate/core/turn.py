"""One input's turn: the state as it becomes, and the records that came of it so far.

A turn belongs to one call of the decider and is thrown away with it, so the decider stays a function of its arguments.
Transitions are encoded here, because each carries the hash of the bytes of the one before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headgate.core.evolve import State, evolve
from headgate.core.lifecycle import DELETED, SAME
from headgate_events.codec import encode
from headgate_events.ids import history_id
from headgate_events.records import HistoryRecord, Input


@dataclass(frozen=True, slots=True)
class Asked:
    """On whose behalf something is decided: the command (or report) itself, or a command that had waited."""

    actor: str
    reason: str | None
    id: str
    type: str
    topic: str
    partition: int
    offset: int
    dry_run: bool = False

    @classmethod
    def by_input(cls, item: Input) -> Asked:
        """Take it from the input at hand; a report's actor is the worker that made it, or the observer."""
        actor = item.actor
        if item.family == "reports":
            worker = item.payload.get("worker")
            actor = f"worker:{worker}" if worker else "observer"
        reason = item.payload.get("reason")
        return cls(actor, reason, item.id, item.type, item.topic, item.partition, item.offset)

    @classmethod
    def by_pending(cls, pending: Mapping[str, Any]) -> Asked:
        """Take it from a command that had waited."""
        return cls(
            pending["actor"],
            pending["reason"],
            pending["command_id"],
            pending["type"],
            pending["topic"],
            pending["partition"],
            pending["offset"],
            bool(pending.get("dry_run")),
        )

    def position(self) -> dict[str, Any]:
        """Return where the input stands."""
        return {"topic": self.topic, "partition": self.partition, "offset": self.offset}

    def cause(self) -> dict[str, Any]:
        """Return where the input stands, and what it is."""
        return {**self.position(), "id": self.id, "type": self.type}


class Turn:
    """The state while one input is decided, and what is written about it."""

    def __init__(self, state: State | None, item: Input) -> None:
        self.state = state
        self.item = item
        self.records: list[HistoryRecord] = []
        self.by_input = Asked.by_input(item)

    @property
    def present(self) -> State:
        """The state of a stream that is known to exist here."""
        assert self.state is not None
        return self.state

    def emit(self, kind: str, to_status: str = SAME, *, asked: Asked, new_epoch: bool = False, **data: Any) -> None:
        """Write a transition and fold it into the state; `new_epoch` fences everything that ran before it."""
        before = self.state
        creates = kind == "stream-created"
        version = 1 if creates or before is None else before["version"] + 1
        payload: dict[str, Any] = {
            "kind": kind,
            "stream": self.item.stream,
            "incarnation": asked.offset if creates or before is None else before["incarnation"],
            "version": version,
            "epoch": version if new_epoch or before is None else before["epoch"],
            "from_status": None if creates or before is None else before["status"],
            "to_status": before["status"] if to_status == SAME and before is not None else to_status,
            "at_ms": self.item.at_ms,
            "actor": asked.actor,
            "reason": asked.reason,
            "cause": asked.cause(),
            "previous": None if before is None else before["head"],
            **data,
        }
        self._write(kind, payload)

    def answer(
        self,
        outcome: str,
        *,
        code: str | None = None,
        message: str = "",
        hint: str = "",
        version: int | None = None,
        gap: int | None = None,
        dry_run: bool = False,
        repeated: bool = False,
        asked: Asked | None = None,
    ) -> None:
        """Write the final outcome of the input, or of the waiting command `asked` that the input decided."""
        state, whose = self.state, asked or self.by_input
        payload: dict[str, Any] = {
            "kind": "outcome",
            "stream": self.item.stream,
            "incarnation": None if state is None else state["incarnation"],
            "outcome": outcome,
            "code": code,
            "message": message,
            "hint": hint,
            "version": version,
            "status": None if state is None or state["status"] == DELETED else state["status"],
            "dry_run": dry_run or whose.dry_run,
            "repeated": repeated,
            "at_ms": self.item.at_ms,
            "actor": whose.actor,
            "reason": whose.reason,
            "input": whose.position(),
            "input_id": whose.id,
            "input_type": whose.type,
            "decided_by": None if asked is None else self.by_input.cause(),
            "gap": gap,
        }
        self._write("outcome", payload)

    def accept(self, asked: Asked | None = None) -> None:
        """Answer that it was accepted, with the version that it led to."""
        self.answer("accepted", version=None if self.state is None else self.state["version"], asked=asked)

    def _write(self, kind: str, payload: dict[str, Any]) -> None:
        item = self.item
        record = HistoryRecord(
            kind=kind,
            id=history_id(item.family, item.partition, item.offset, len(self.records)),
            payload=payload,
            value=encode(payload),
        )
        self.records.append(record)
        self.state = evolve(self.state, record)
