"""One record of every kind, with every field set that the kind has: what the golden files hold.

They are samples of what stands in topics for ever. A sample is never changed: a kind that changes its meaning gets a
new version, and that version a sample of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headgate_events.codec import (
    CORDON_TYPE,
    HEARTBEAT_TYPE,
    MARKER_TYPE,
    PROGRESS_TYPE,
    SOURCE_PROJECTOR,
    STATE_TYPE,
    command_headers,
    encode,
    history_headers,
    report_headers,
)
from headgate_events.envelope import Envelope, rfc3339, to_headers
from headgate_events.records import HistoryRecord

AT = 1_767_225_600_000
HASH = "0123456789abcdef" * 4
STREAM = "departures"
POSITIONS = {"flights": {"0": 12, "1": 7, "2": 0}}
ENDS = {"flights": {"0": 20, "1": 7, "2": 0}}
PARTITIONS = {"flights": 3}
CONFIG: dict[str, Any] = {
    "source": {"kind": "kafka", "start": {"timestamp_ms": AT}, "until": "end", "topic": "flights"},
    "transform": {"function": "flights.delays:classify", "settings": {"late_after_min": 15, "labels": ["ok", "late"]}},
    "destination": {"kind": "kafka", "topic": "departures"},
    "delivery": "exactly_once",
    "parallelism": 2,
    "commit_interval_ms": 100,
    "max_batch_records": 10_000,
    "on_error": "dead_letter",
    "error_limit": {"errors": 1_000, "records": 10_000},
    "isolate": "partition",
    "receipt_digest": False,
    "retry": {"initial_s": 0.5, "max_s": 30.0, "max_attempts": None},
    "drain_timeout_s": 300.0,
    "stalled_after_s": 60.0,
    "flapping": {"changes": 6, "minutes": 10.0},
    "idleness": {
        "idle_after_s": 5.0,
        "markers": "side_topic",
        "flap_damping": True,
        "event_time": {"source": "header", "place": "departure", "unit": "ms", "max_out_of_orderness_ms": 60_000},
        "watermark_interval_ms": 1_000,
        "open_txn": "ignore",
        "open_txn_cap_s": 75.0,
        "flush_on_all_idle": "none",
        "auto_pause_after_s": 3_600.0,
    },
    "strict_lifecycle": False,
    "labels": {"team": "ground", "air.port/area": "north"},
    "managed_by": "terraform",
}
CHECKS = [
    {"name": "source", "result": "passed", "code": None, "message": "3 partitions", "hint": ""},
    {
        "name": "destination",
        "result": "failed",
        "code": "kafka.topic_missing",
        "message": "The topic departures does not exist.",
        "hint": "Create it.",
    },
]
RECEIPT = {
    "topic": "flights",
    "partition": 1,
    "start": 0,
    "end": 7,
    "read": 7,
    "written": 6,
    "worker": "worker-1",
    "set_aside": 0,
    "digest": HASH,
}
ERROR = {
    "id": "worker-1-error-1",
    "code": "kafka.unreachable",
    "recoverable": True,
    "message": "No broker answers: „später“ – 遅れ.",
    "worker": "worker-1",
    "topic": "flights",
    "partition": 1,
    "offset": 7,
    "first_seen_ms": AT,
    "last_seen_ms": AT + 5_000,
    "count": 3,
    "next_retry_ms": AT + 10_000,
}
CAUSE = {
    "topic": "headgate.commands",
    "partition": 3,
    "offset": 41,
    "id": "7b1e4f4e-0001",
    "type": "headgate.command.pause.v1",
}
INPUT = {"topic": "headgate.commands", "partition": 3, "offset": 41}
PENDING = {
    "command_id": "7b1e4f4e-0002",
    "command": "resume",
    "payload": {"kind": "resume", "reason": "later"},
    "actor": "mara",
    "reason": "later",
    "type": "headgate.command.resume.v1",
    "topic": "headgate.commands",
    "partition": 3,
    "offset": 42,
    "since_ms": AT,
    "not_before_ms": AT + 60_000,
    "when_idle": False,
    "idle_for_ms": 600_000,
    "deadline_ms": None,
    "dry_run": True,
}

COMMON_COMMAND = {
    "reason": "maintenance",
    "dry_run": True,
    "not_before": "2026-02-01T08:00:00+01:00",
    "when_idle": False,
    "idle_for_s": 600.0,
}
COMMANDS: dict[str, dict[str, Any]] = {
    "create": {"config": CONFIG},
    "start": {},
    "pause": {"force": True},
    "resume": {"positions": {"policy": "earliest"}},
    "recover": {"positions": {"policy": "skip", "topic": "flights", "partition": "1", "records": 3}},
    "modify": {"config": CONFIG},
    "delete": {"drain": True},
    "cancel-drain": {},
    "retry": {},
    "cancel": {"command_id": "7b1e4f4e-0002"},
}

COMMON_REPORT = {"incarnation": 40, "epoch": 4, "worker": "worker-1"}
REPORTS: dict[str, dict[str, Any]] = {
    "validation-passed": {
        "revision": 2,
        "checks": CHECKS,
        "partitions": PARTITIONS,
        "positions": POSITIONS,
        "ends": ENDS,
    },
    "validation-failed": {"revision": 2, "checks": CHECKS},
    "source-listed": {"partitions": PARTITIONS},
    "partition-drained": {"receipt": RECEIPT},
    "task-started": {"revision": 2},
    "task-stopped": {},
    "revision-rejected": {"revision": 2, "checks": CHECKS},
    "error-raised": {"error": ERROR},
    "error-cleared": {"error_id": "worker-1-error-1"},
    "positions-checked": {
        "command_id": "7b1e4f4e-0002",
        "passed": False,
        "positions": POSITIONS,
        "gap": 120,
        "reread": 30,
        "skipped": 4,
        "code": "positions.gone",
        "message": "120 records are gone.",
    },
    "fenced": {},
    "condition-raised": {"condition": "stalled", "message": "Nothing moved for 300 s."},
    "condition-cleared": {"condition": "stalled"},
    "worker-silent": {"lost": "worker-2"},
    "deadline-passed": {"deadline": "not_before", "due_ms": AT + 60_000, "command_id": "7b1e4f4e-0002"},
    "idle-reached": {"command_id": "7b1e4f4e-0002"},
    "silence-reached": {"ends": POSITIONS},
    "source-moved": {"positions": POSITIONS, "message": "flights[1] moved from 7 to 8."},
}

COMMON_TRANSITION = {
    "stream": STREAM,
    "incarnation": 40,
    "version": 5,
    "epoch": 4,
    "from_status": "RUNNING",
    "to_status": "DRAINING",
    "at_ms": AT,
    "actor": "mara",
    "reason": "maintenance",
    "cause": CAUSE,
    "previous": HASH,
}
TRANSITIONS: dict[str, dict[str, Any]] = {
    "stream-created": {"config": CONFIG},
    "stream-starting": {"deadline_ms": AT + 60_000},
    "stream-started": {
        "checks": CHECKS[:1],
        "partitions": PARTITIONS,
        "positions": POSITIONS,
        "ends": ENDS,
    },
    "stream-validation-failed": {"checks": CHECKS},
    "stream-draining": {"deadline_ms": AT + 300_000, "then": "paused", "silence": POSITIONS},
    "pause-kept": {},
    "stream-drain-cancelled": {},
    "source-listed": {"partitions": PARTITIONS},
    "partition-drained": {"receipt": RECEIPT},
    "stream-paused": {"unclean": True},
    "stream-resumed": {"positions": POSITIONS},
    "stream-recovered": {"positions": POSITIONS, "policy": {"policy": "earliest"}, "deadline_ms": AT + 300_000},
    "stream-failed": {"error": ERROR},
    "stream-failed-permanently": {"error": {**ERROR, "recoverable": False, "next_retry_ms": None}},
    "error-noted": {"error": ERROR},
    "error-cleared": {"error_id": "worker-1-error-1"},
    "retry-requested": {},
    "stream-modified": {"revision": 2, "restart": True, "config": CONFIG, "deadline_ms": None},
    "revision-rejected": {"revision": 2, "checks": CHECKS},
    "task-started": {"worker": "worker-1", "revision": 2},
    "task-stopped": {"worker": "worker-1", "silent": True},
    "condition-raised": {"condition": "unassigned", "message": "No worker is alive.", "deadline_ms": AT + 30_000},
    "condition-cleared": {"condition": "unclean", "deadline_ms": AT + 300_000},
    "scheduled": {"pending": PENDING},
    "checking": {"pending": {**PENDING, "not_before_ms": None, "deadline_ms": AT + 30_000}},
    "stream-deleted": {"forget_ms": AT + 86_400_000, "drained": True},
    "stream-forgotten": {},
}
ANSWERS: dict[str, dict[str, Any]] = {
    "outcome": {
        "stream": STREAM,
        "incarnation": 40,
        "outcome": "refused",
        "code": "positions.gone",
        "message": "120 records are gone.",
        "hint": "Recover with another policy.",
        "version": 5,
        "status": "PAUSED",
        "dry_run": False,
        "repeated": True,
        "at_ms": AT,
        "actor": "mara",
        "reason": "maintenance",
        "input": INPUT,
        "input_id": "7b1e4f4e-0001",
        "input_type": "headgate.command.resume.v1",
        "decided_by": {**CAUSE, "topic": "headgate.reports", "type": "headgate.report.positions-checked.v1"},
        "gap": 120,
    },
    "forwarded": {
        "stream": STREAM,
        "at_ms": AT,
        "input": INPUT,
        "input_id": "7b1e4f4e-0001",
        "input_type": "headgate.command.pause.v1",
        "to_partition": 6,
    },
}

STATE: dict[str, Any] = {
    "kind": "state",
    "due_ms": AT + 300_000,
    "stream": STREAM,
    "incarnation": 40,
    "version": 5,
    "epoch": 4,
    "started_epoch": 3,
    "status": "DRAINING",
    "since_ms": AT,
    "created_ms": AT - 1_000,
    "updated_ms": AT,
    "config": CONFIG,
    "revision": {"desired": 2, "applied": 1, "rejected": None, "checks": CHECKS[:1]},
    "last_applied": {"revision": 1, "config": CONFIG},
    "restart_version": 3,
    "retry_version": 2,
    "positions": POSITIONS,
    "ends": ENDS,
    "partitions": PARTITIONS,
    "tasks": {"worker-1": {"revision": 1, "epoch": 3, "since_ms": AT}},
    "deadline_ms": None,
    "drain": {
        "epoch": 4,
        "then": "paused",
        "started_ms": AT,
        "deadline_ms": AT + 300_000,
        "finished_ms": None,
        "listed": True,
        "receipts": {"flights": {"1": RECEIPT}},
        "silence": POSITIONS,
    },
    "errors": {"worker-1-error-1": {**ERROR, "epoch": 4}},
    "failed_from": "DRAINING",
    "carries_on": True,
    "changes_ms": [AT - 60_000, AT],
    "checks": CHECKS,
    "scheduled": {"7b1e4f4e-0002": PENDING},
    "checking": {**PENDING, "command_id": "7b1e4f4e-0003", "deadline_ms": AT + 30_000},
    "conditions": {"stalled": {"since_ms": AT, "message": "Nothing moved for 300 s.", "deadline_ms": None}},
    "commands": [
        {
            "id": "7b1e4f4e-0001",
            "outcome": "accepted",
            "code": None,
            "message": "",
            "hint": "",
            "version": 5,
        }
    ],
    "last": {"kind": "stream-draining", "version": 5, "at_ms": AT, "actor": "mara", "reason": "maintenance"},
    "head": HASH,
    "inputs": {"commands": 42, "reports": 17},
}
PROGRESS = {"kind": "progress", "partition": 3, "commands": 42, "reports": 17}
HEARTBEAT = {
    "kind": "heartbeat",
    "worker": "worker-1",
    "instance": "worker-1-4711",
    "at_ms": AT,
    "interval_ms": 3_000,
    "version": "0.1.0",
    "stopping": False,
    "cordoned": True,
    "tasks": [
        {
            "stream": STREAM,
            "incarnation": 40,
            "epoch": 4,
            "revision": 2,
            "phase": "draining",
            "partitions": [["flights", 0], ["flights", 1]],
            "records_read": 120,
            "records_written": 118,
            "in_flight": 2,
            "partitions_drained": 1,
            "transactional_ids": ["headgate.departures.40.worker-1.a", "headgate.departures.40.worker-1.b"],
            "error": "No broker answers.",
            "next_retry_ms": AT + 10_000,
            "last_progress_ms": AT - 1_000,
            "at_end": True,
            "waits_for": "the destination's answer",
            "activity": "IDLE",
            "activity_reason": "EMPTY",
            "channels": [
                {
                    "topic": "flights",
                    "partition": 1,
                    "status": "IDLE",
                    "since_ms": AT,
                    "watermark": AT - 5_000,
                    "claim": 2,
                    "position": 7,
                    "end": 7,
                    "fetched_at_ms": AT,
                    "reason": "HELD",
                    "because": "orders is PAUSED",
                }
            ],
        }
    ],
}
CORDON = {
    "kind": "cordon",
    "worker": "worker-1",
    "at_ms": AT,
    "actor": "mara",
    "reason": "new disks",
    "said_by": "worker-1-4711",
}
MARKER = {
    "kind": "marker",
    "marker": "STATUS",
    "stream": STREAM,
    "channel": {"topic": "flights", "partition": 1},
    "status": "IDLE",
    "watermark": -9_223_372_036_854_775_808,
    "reason": "EMPTY",
    "incarnation": 40,
    "epoch": 4,
    "claim": 2,
    "seq": 9,
    "worker": "worker-1",
    "evidence": {
        "position": 7,
        "end": 7,
        "high": 9,
        "fetched_at_ms": AT,
        "isolation": "read_committed",
    },
    "emitted_at_ms": AT,
    "channels_total": 3,
    "dest_offsets": {"0": 12, "1": 7},
    "dest_topic": "departures",
    "since_ms": AT,
    "flush_on_all_idle": "none",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One record as it lies in a topic. `family` and `kind` name its golden file."""

    family: str
    kind: str
    key: bytes
    headers: tuple[tuple[str, bytes], ...]
    payload: dict[str, Any]

    @property
    def value(self) -> bytes:
        return encode(self.payload)

    @property
    def name(self) -> str:
        return f"{self.family}.{self.kind}.v1"


def samples() -> list[Sample]:
    """Return one sample of every kind at version 1."""
    key = STREAM.encode()
    found = []
    for kind, fields in COMMANDS.items():
        headers = command_headers(
            kind,
            "7b1e4f4e-0001",
            STREAM,
            source="headgate/client",
            at_ms=AT,
            actor="mara",
            expected_version=4,
            correlation_id="shift-7",
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        found.append(Sample("command", kind, key, tuple(headers), {**fields, **COMMON_COMMAND}))
    for kind, fields in REPORTS.items():
        headers = report_headers(kind, f"worker-1-{kind}", STREAM, source="headgate/worker", at_ms=AT, actor="worker-1")
        found.append(Sample("report", kind, key, tuple(headers), {**COMMON_REPORT, **fields}))
    history = {kind: {**COMMON_TRANSITION, **fields} for kind, fields in TRANSITIONS.items()} | ANSWERS
    for kind, fields in history.items():
        payload = {"kind": kind, **fields}
        record = HistoryRecord(kind, "commands-3-41-0", payload, encode(payload))
        found.append(Sample("history", kind, key, tuple(history_headers(record)), payload))
    found += [
        _single("state", key, STATE_TYPE, STATE),
        _single("progress", b"_progress.3", PROGRESS_TYPE, PROGRESS),
        _single("heartbeat", b"worker-1", HEARTBEAT_TYPE, HEARTBEAT),
        _single("cordon", b"cordon/worker-1", CORDON_TYPE, CORDON),
        _single("marker", b"departures/flights/1", MARKER_TYPE, MARKER),
    ]
    return found


def _single(family: str, key: bytes, record_type: str, payload: dict[str, Any]) -> Sample:
    headers = to_headers(
        Envelope(type=record_type, id=f"{family}-1", source=SOURCE_PROJECTOR, subject=STREAM, time=rfc3339(AT))
    )
    return Sample(family, family, key, tuple(headers), payload)
