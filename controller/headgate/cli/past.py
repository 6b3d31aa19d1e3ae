"""`history`: who did what to a stream, when and why. What a reader could not read, or found missing, is shown too."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import typer

from headgate.cli import connection as connections
from headgate.cli.choosing import now_ms
from headgate.cli.connection import Connection, StateJson
from headgate.cli.exits import OK, REFUSED
from headgate.cli.options import Where
from headgate.cli.output import STATUS_COLOURS, Format, note, say, several, table
from headgate.cli.verbs import target_of
from headgate.cli.wording import past_ms, plural, safe, when
from headgate_events.client.sequence import ChainBreak, Entry, Gap, HistoryItem, Unknown
from headgate_events.names import check_stream_name

COLUMNS: Final = ("VERSION", "TIME", "WHAT", "FROM → TO", "ACTOR", "REASON", "CAUSE")
MOST_ROWS: Final = 100_000
"""How many rows are held at once; of a longer history the newest are shown, and that is said."""
TEXT_LIMIT: Final = 80
LAST_TRANSITIONS: Final = 10
STRETCH_MS: Final = 24 * 3_600_000


def show_history(
    name: str | None,
    outcomes: bool,
    since: str | None,
    from_version: int | None,
    tail: int | None,
    form: Format,
    where: Where,
) -> None:
    """Print the history of a stream, or of all; end with 2 when the stream never was."""
    target = target_of(where)
    if name is not None:
        check_stream_name(name)
    since_ms = None if since is None else past_ms(since, "--since", now_ms())
    kept: deque[dict[str, Any]] = deque(maxlen=min(tail or MOST_ROWS, MOST_ROWS))
    passed = 0
    with connections.open_connection(target) as connection:
        for item in connection.history(name, from_version=from_version, since_ms=since_ms):
            payload = told(item)
            if payload["kind"] in {"outcome", "forwarded"} and not outcomes:
                continue
            passed += len(kept) == kept.maxlen
            kept.append(payload)
    if form in {Format.JSON, Format.YAML}:
        several(list(kept), form, alone=False)
    elif form is Format.NAME:
        for each in dict.fromkeys(str(payload["stream"]) for payload in kept if payload.get("stream")):
            say(each)
    elif kept:
        columns: Sequence[str] = COLUMNS if name is not None else ("STREAM", *COLUMNS)
        wide = form is Format.WIDE
        rows = [
            cells(payload, wide=wide) if name is not None else (payload.get("stream") or "", *cells(payload, wide=wide))
            for payload in kept
        ]
        table(columns, rows, STATUS_COLOURS)
    if passed and tail is None:
        note(f"{plural(passed, 'older row')} left out; --since shows a part, -o json | --tail as well.")
    if not kept:
        about = f"of {name} in {target.namespace}" if name else f"in {target.namespace}"
        narrowed = since is not None or from_version is not None
        note(f"There is no history {about}" + (" that new." if narrowed else ". See `headgate get`."))
        raise typer.Exit(REFUSED if name is not None and not narrowed else OK)


def last_transitions(connection: Connection, state: StateJson) -> list[dict[str, Any]]:
    """Return a stream's newest transitions, oldest first.

    The history is kept for ever, so only the stretch before the stream's last change is read, found by its time.
    """
    since_ms = max(0, int(state["updated_ms"]) - STRETCH_MS)
    kept: deque[dict[str, Any]] = deque(maxlen=LAST_TRANSITIONS)
    for item in connection.history(str(state["stream"]), since_ms=since_ms):
        payload = told(item)
        if "to_status" in payload and payload["incarnation"] == state["incarnation"]:
            kept.append(payload)
    return list(kept)


def told(item: HistoryItem) -> dict[str, Any]:
    """Return what a reader found as a JSON object; findings that are no records have a kind of their own."""
    match item:
        case Entry():
            payload: dict[str, Any] = item.record.model_dump(mode="json")
            return {
                **payload,
                "id": item.id,
                "cause": item.cause.model_dump(mode="json"),
                "at": {"topic": item.topic, "partition": item.partition, "offset": item.offset},
            }
        case Gap():
            return {
                "kind": "gap",
                "stream": item.stream,
                "incarnation": item.incarnation,
                "after": item.after,
                "found": item.found,
            }
        case ChainBreak():
            return {
                "kind": "chain-break",
                "stream": item.stream,
                "incarnation": item.incarnation,
                "version": item.version,
                "problem": item.problem,
            }
        case Unknown():
            return {
                "kind": "unknown",
                "stream": None,
                "type": item.type,
                "problem": item.reason,
                "at": {"topic": item.topic, "partition": item.partition, "offset": item.offset},
            }


def cells(payload: Mapping[str, Any], *, wide: bool = False) -> Sequence[str]:
    """Return the cells for COLUMNS."""
    limit = None if wide else TEXT_LIMIT
    kind = payload["kind"]
    if kind in {"gap", "chain-break", "unknown"}:
        problem = payload.get("problem") or f"versions {payload['after'] + 1} to {payload['found'] - 1} are missing"
        return (str(payload.get("version", "")), "", f"!{kind}", "", "", safe(problem, limit), "")
    cause = payload["cause"]
    source = f"{cause['topic']}:{cause['partition']}@{cause['offset']}"
    if kind == "outcome":
        said = " ".join(part for part in (payload.get("message"), payload.get("hint")) if part)
        what = f"{_command(payload.get('input_type'))} {payload['outcome']}" + (
            ", dry run" if payload["dry_run"] else ""
        )
        return (
            str(payload.get("version") or ""),
            when(payload["at_ms"]),
            f"{what} ({payload['code']})" if payload.get("code") else what,
            payload.get("status") or "",
            safe(payload.get("actor") or "", limit),
            safe(payload.get("reason") or said, limit),
            source,
        )
    if kind == "forwarded":
        what = f"{_command(payload.get('input_type'))} forwarded to partition {payload['to_partition']}"
        return ("", when(payload["at_ms"]), what, "", "", "", source)
    moved = payload["from_status"] != payload["to_status"]
    return (
        str(payload["version"]),
        when(payload["at_ms"]),
        what_happened(payload),
        f"{payload['from_status'] or '·'} → {payload['to_status']}" if moved else payload["to_status"],
        safe(payload["actor"], limit),
        safe(payload.get("reason") or "", limit),
        f"{_command(cause.get('type'))} {source}",
    )


def what_happened(payload: Mapping[str, Any]) -> str:
    """Name a transition with the one fact that tells it from its like."""
    kind = str(payload["kind"])
    match kind:
        case "partition-drained":
            receipt = payload["receipt"]
            about = f"{receipt['topic']}:{receipt['partition']} at {receipt['end']}"
        case "task-started" | "task-stopped":
            about = str(payload["worker"]) + (", silent" if payload.get("silent") else "")
        case "condition-raised" | "condition-cleared":
            about = str(payload["condition"])
        case "stream-failed" | "stream-failed-permanently" | "error-noted":
            about = str(payload["error"]["code"])
        case "stream-modified" | "revision-rejected":
            about = f"revision {payload['revision']}" + (", restart" if payload.get("restart") else "")
        case "stream-paused" if payload.get("unclean"):
            about = "unclean"
        case "scheduled" | "checking":
            about = str(payload["pending"]["command"])
        case _:
            return kind
    return f"{kind} ({safe(about, 120)})"


def _command(record_type: str | None) -> str:
    """Shorten `headgate.command.pause.v1` to `pause`."""
    parts = (record_type or "").split(".")
    return safe(parts[2] if len(parts) == 4 else record_type or "", 60)
