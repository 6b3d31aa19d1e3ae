"""A stream's story for specification tests: given these inputs, when this one comes, then that follows."""

from __future__ import annotations

from typing import Any

from headgate.core.decider import DEFAULT_POLICY, Folded, Policy, fold
from headgate.core.evolve import State
from headgate_events.codec import validate
from headgate_events.records import HistoryRecord, Input
from headgate_events.schema.config import StreamConfig

STREAM = "departures"
SOURCE = "flights"
WORKER = "w1"


def config(**changes: Any) -> dict[str, Any]:
    """Return a complete definition."""
    plain = {"source": {"topic": SOURCE}, "destination": {"kind": "kafka", "topic": "out"}, **changes}
    return StreamConfig.model_validate(plain).model_dump(mode="json")


class Story:
    """Feeds inputs to the decider, one after the other, and keeps what came of them."""

    def __init__(self, policy: Policy = DEFAULT_POLICY) -> None:
        self.policy = policy
        self.state: State | None = None
        self.history: list[HistoryRecord] = []
        self.inputs: list[Input] = []
        self.existed: list[bool] = []
        self.now_ms = 1_000_000
        self._offsets = {"commands": 0, "reports": 0}

    @property
    def status(self) -> str:
        return "ABSENT" if self.state is None else self.state["status"]

    def command(self, kind: str, *, id: str | None = None, expect: int | None = None, **payload: Any) -> Folded:  # noqa: A002
        if kind in ("create", "modify"):
            payload.setdefault("config", config())
        return self.feed(self.input("commands", kind, payload, id, expect))

    def report(self, kind: str, *, report_id: str | None = None, **payload: Any) -> Folded:
        about = {"worker": WORKER}
        if self.state is not None:
            about |= {"incarnation": self.state["incarnation"], "epoch": self.state["epoch"]}
        return self.feed(self.input("reports", kind, {"incarnation": 0, "epoch": 0, **about, **payload}, report_id))

    def input(
        self, family: Any, kind: str, payload: dict[str, Any], input_id: str | None = None, expect: int | None = None
    ) -> Input:
        offset = self._offsets[family]
        self._offsets[family] += 1
        self.now_ms += 1_000
        validate(family[:-1], {"kind": kind, **payload})
        return Input(
            family=family,
            topic=f"headgate.{family}",
            partition=0,
            offset=offset,
            at_ms=self.now_ms,
            id=input_id or f"{kind}-{family}-{offset}",
            type=f"headgate.{family[:-1]}.{kind}.v1",
            kind=kind,
            stream=STREAM,
            actor="ada@example",
            expected_version=expect,
            payload={"kind": kind, **payload},
        )

    def feed(self, item: Input) -> Folded:
        folded = fold(self.state, item, self.policy)
        self.inputs.append(item)
        self.state = folded.state
        self.existed.append(folded.state is not None)
        self.history.extend(folded.records)
        return folded

    def at(self, status: str) -> Story:
        """Go to a status by the shortest way."""
        for step in PATHS[status]:
            step(self)
        assert self.status == status
        return self


def error(recoverable: bool = True, error_id: str = "e1", **more: Any) -> dict[str, Any]:
    return {
        "id": error_id,
        "code": "destination.unreachable",
        "recoverable": recoverable,
        "message": "No answer.",
        "worker": WORKER,
        "first_seen_ms": 1,
        "last_seen_ms": 1,
        **more,
    }


def receipt(partition: int = 0, end: int = 10, **more: Any) -> dict[str, Any]:
    counts = {"start": 0, "end": end, "read": end, "written": end}
    return {"topic": SOURCE, "partition": partition, "worker": WORKER, **counts, **more}


def validated(story: Story, partitions: int = 2) -> Folded:
    assert story.state is not None
    return story.report(
        "validation-passed",
        revision=story.state["revision"]["desired"],
        partitions={SOURCE: partitions},
        positions={SOURCE: {str(number): 0 for number in range(partitions)}},
    )


def drained(story: Story, partitions: int = 2) -> Folded:
    folded = story.report("source-listed", partitions={SOURCE: partitions})
    for number in range(partitions):
        folded = story.report("partition-drained", receipt=receipt(number))
    return folded


def started(story: Story) -> None:
    validated(story)
    story.report("task-started", revision=1)


_CREATED = [lambda story: story.command("create")]
_STARTING = [*_CREATED, lambda story: story.command("start")]
_RUNNING = [*_STARTING, started]
_DRAINING = [*_RUNNING, lambda story: story.command("pause")]
PATHS: dict[str, list[Any]] = {
    "ABSENT": [],
    "NOT_STARTED": _CREATED,
    "STARTING": _STARTING,
    "RUNNING": _RUNNING,
    "DRAINING": _DRAINING,
    "PAUSED": [*_DRAINING, drained],
    "FAILED": [*_RUNNING, lambda story: story.report("error-raised", error=error())],
    "FAILED_PERMANENTLY": [*_RUNNING, lambda story: story.report("error-raised", error=error(recoverable=False))],
    "DELETED": [*_RUNNING, lambda story: story.command("delete")],
}


def flap(story: Story) -> None:
    """Have the stream flap where it stands: it changed too often before it came here."""
    state = story.state
    assert state is not None
    limit = state["config"]["flapping"]
    times = [story.now_ms] * (limit["changes"] + 1)
    held = {"since_ms": story.now_ms, "message": "", "deadline_ms": story.now_ms + round(limit["minutes"] * 60_000)}
    story.state = {**state, "changes_ms": times, "conditions": {**state["conditions"], "flapping": held}}


def carrying_on(**changes: Any) -> Story:
    """Tell of a stream of which one partition failed for good, while its task moves the others."""
    story = Story()
    story.command("create", config=config(**changes))
    story.command("start")
    started(story)
    story.report("error-raised", error=error(recoverable=False, error_id="p0", topic=SOURCE, partition=0, offset=4))
    assert story.status == "FAILED_PERMANENTLY" and story.state is not None and story.state["carries_on"]
    return story


def outcomes(folded: Folded) -> list[dict[str, Any]]:
    return [record.payload for record in folded.records if record.kind == "outcome"]


def transitions(folded: Folded) -> list[str]:
    return [record.kind for record in folded.records if record.kind != "outcome"]
