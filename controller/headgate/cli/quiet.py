"""`activity`: each channel of a stream with its status, since when, watermark, proof, lag, and how fresh that word is.

The words come from the markers, and who has a partition now from the heartbeats. The lag is what the source holds
beyond the stream's position, asked of the source's broker where the command line can reach it: that is the cluster of
the streams, not one that a connection of the administrator names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

import typer

from headgate.cli import connection as connections
from headgate.cli.activities import (
    COLOURS,
    COMMON_REASONS,
    Activity,
    Channel,
    activity_of,
    edge_json,
    edge_line,
    freshness,
    payload,
    read_activity,
    wide_cell,
)
from headgate.cli.choosing import now_ms
from headgate.cli.connection import Connection, LiveTask, StateJson, shown
from headgate.cli.exits import OK, REFUSED
from headgate.cli.fleet import NO_PARTITION
from headgate.cli.looking import tasks_now
from headgate.cli.options import Where
from headgate.cli.output import STATUS_COLOURS, Format, as_json, as_yaml, coloured, note, say, structured, table
from headgate.cli.verbs import target_of
from headgate.cli.wording import age, past_ms, seconds, when
from headgate.core.idleness.possible import why_never_idle
from headgate_events.client.channels import ActivityEdge
from headgate_events.errors import HeadgateError, InvalidRequest
from headgate_events.names import check_stream_name
from headgate_events.schema.workers import Evidence, Marker

COLUMNS: Final = ("CHANNEL", "STATUS", "SINCE", "WATERMARK", "LAG", "PROOF", "HEARD")
EDGE_COLUMNS: Final = ("TIME", "CHANNEL", "STATUS", "REASON", "WATERMARK", "PROOF", "WORKER")
ALL: Final = "(all)"
SLICE_S: Final = 0.25
LAG_S: Final = 3.0


def show_activity(name: str, edges: bool, since: str | None, follow: bool, form: Format, where: Where) -> None:
    """Print a stream's channels, or its edges; end with 2 when there is no such stream."""
    check_stream_name(name)
    if edges and follow:
        raise InvalidRequest("--edges and --watch do not go together.", hint="Give one of the two.")
    if since is not None and not edges:
        raise InvalidRequest("--since goes with --edges only.", hint="Add --edges, or leave --since out.")
    since_ms = None if since is None else past_ms(since, "--since", now_ms())
    target = target_of(where)
    with connections.open_connection(target) as connection:
        if edges:
            reader = connection.activity
            _print_past([] if reader is None else list(reader.past(name, since_ms=since_ms)), form)
            raise typer.Exit(OK)
        state = connection.states().get(name)
        if state is None:
            note(f"There is no stream {name} in {target.namespace}. See `headgate get`. (stream.not_found)")
            raise typer.Exit(REFUSED)
        _print(connection, state, form)
        if follow:
            _follow(connection, state, form)


def _print(connection: Connection, state: StateJson, form: Format) -> None:
    said = read_activity(connection, streams=[state["stream"]])
    tasks = tasks_now(connection.live(), state)
    seen = activity_of(state, said, tasks)
    channels = [_standing(each, state) for each in seen.channels]
    ends = _ends(connection, state)
    lags = [_lag(each, ends) for each in channels]
    if form in {Format.JSON, Format.YAML}:
        whole = payload(dataclasses.replace(seen, channels=channels), channels=True)
        for each, lag in zip(whole["channels"], lags, strict=True):
            each["lag"] = lag
        workers = [_worker(each) for each in tasks]
        structured({"stream": state["stream"], "lifecycle": state["status"], **whole, "workers": workers}, form)
    elif form is Format.NAME:
        for each in channels:
            say(f"{each.topic}/{each.partition}")
    elif seen.unheard == len(channels) and (not tasks or why_never_idle(state["config"]) is not None):
        note(f"Nothing was said about {state['stream']}: {_why_silent(state, seen)}.")
    else:
        now, held = now_ms(), seen.held_by is not None
        rows = [_row(each, lag, now, held=held) for each, lag in zip(channels, lags, strict=True)]
        known = [lag for lag in lags if lag is not None]
        total = f"{sum(known):,}" if len(known) == len(lags) else ""
        word = wide_cell(dataclasses.replace(seen, since_ms=None), now) or "not known"
        table(COLUMNS, [*rows, (ALL, word, _age(seen.since_ms, now), _time(seen.watermark), total, "", "")], COLOURS)
        for each in tasks:
            if each.said.get("activity_reason") == NO_PARTITION:
                say(f"{each.worker} is IDLE: it holds no partition of it ({NO_PARTITION}).")


def _worker(task: LiveTask) -> dict[str, Any]:
    """Return what a worker's share of the stream comes to; it gates nothing."""
    said = task.said
    partitions = len(said.get("partitions") or ())
    return {
        "worker": task.worker,
        "partitions": partitions,
        "status": said.get("activity"),
        "reason": said.get("activity_reason"),
    }


def _why_silent(state: StateJson, seen: Activity) -> str:
    if state["status"] in {"NOT_STARTED", "STARTING"}:
        return f"it is {state['status']}"
    never = why_never_idle(state["config"])
    return never or ("its tasks have just begun" if seen.read else "the markers could not be read")


def _standing(each: Channel, state: StateJson) -> Channel:
    """Add where a drained partition stands, which its receipt tells."""
    receipts = ((state.get("drain") or {}).get("receipts") or {}).get(each.topic) or {}
    receipt = receipts.get(str(each.partition))
    if state["status"] != "PAUSED" or receipt is None:
        return each
    return dataclasses.replace(each, position=max(int(receipt["end"]), each.end or 0))


def _ends(connection: Connection, state: StateJson) -> Mapping[tuple[str, int], int]:
    """Ask where the source ends now; nothing where it is not of this cluster, or gives no answer in time."""
    source = state["config"]["source"]
    if source["kind"] != "kafka" or source.get("connection") is not None:
        return {}
    try:
        return connection.ends(state.get("partitions") or {}, LAG_S)
    except HeadgateError:
        return {}


def _lag(each: Channel, ends: Mapping[tuple[str, int], int]) -> int | None:
    if each.status == "FINISHED":
        return 0  # what lies behind its end is not to be read
    end = ends.get((each.topic, each.partition))
    return None if end is None or each.position is None else max(0, end - each.position)


def _row(each: Channel, lag: int | None, now: int, *, held: bool) -> tuple[str, ...]:
    return (
        f"{each.topic}/{each.partition}",
        _word(each),
        _age(each.since_ms, now),
        _time(each.watermark),
        "" if lag is None else f"{lag:,}",
        "" if each.fetched_at_ms is None else f"{each.end} of {each.end}, {_age(each.fetched_at_ms, now)} ago",
        _heard(each, now, held=held),
    )


def _word(each: Channel) -> str:
    """Return a channel's status, with the reason where it is no common one: what holds it ACTIVE, say."""
    if each.status is None or each.reason is None or each.reason in COMMON_REASONS:
        return each.status or ""
    return (
        f"{each.status} ({each.reason})" if each.because is None else f"{each.status} ({each.reason}: {each.because})"
    )


def _heard(each: Channel, now: int, *, held: bool) -> str:
    if each.owner is not None and each.heard_ms is not None:
        return f"{each.owner}, {age(each.heard_ms, now)} ago"
    return "" if each.status is None else freshness(each, now, held=held)


def _age(since_ms: int | None, now: int) -> str:
    return "" if since_ms is None else age(since_ms, now)


def _time(watermark: int | None) -> str:
    return "" if watermark is None or not 0 <= watermark < 253_402_300_800_000 else when(watermark)


def _follow(connection: Connection, state: StateJson, form: Format) -> None:
    """Print each edge, and each change of the stream's status, until an interrupt or the stream's end."""
    reader, name = connection.activity, str(state["stream"])
    if reader is None:
        return
    try:
        while True:
            for change in connection.follow(SLICE_S):
                if change.stream != name:
                    continue
                if change.state is None:
                    _print_change(name, state, None, form)
                    return
                after = shown(change.state)
                before, seen = activity_of(state, reader.table), activity_of(after, reader.table)
                # That a worker is lost, or another takes over, is no edge, and changes what the last word is worth.
                if after["status"] != state["status"] or _ownerless(before) != _ownerless(seen):
                    _print_change(name, state, seen, form, after)
                state = after
            for edge in reader.follow(SLICE_S):
                if edge.stream == name:
                    _print_edge(edge, activity_of(state, reader.table), form)
    except KeyboardInterrupt:
        # The way to end it.
        return


def _ownerless(seen: Activity) -> bool:
    return seen.status == "OWNERLESS"


def _print_change(
    name: str, before: StateJson, seen: Activity | None, form: Format, after: StateJson | None = None
) -> None:
    if form in {Format.JSON, Format.YAML}:
        activity = None if seen is None else payload(seen, channels=False)
        _print_one(
            {"stream": name, "lifecycle": None if after is None else after["status"], "activity": activity}, form
        )
    elif after is None:
        say(f"{when(now_ms())}  {name}  deleted")
    else:
        status = str(after["status"])
        told = "" if seen is None else wide_cell(dataclasses.replace(seen, since_ms=None), now_ms())
        shown_status = coloured(status, STATUS_COLOURS.get(status, ""))
        words = [
            when(after["updated_ms"]),
            name,
            shown_status if before["status"] == status else f"{before['status']} → {shown_status}",
            f"stream {told or 'not known'}",
        ]
        say("  ".join(words))


def _print_edge(edge: ActivityEdge, seen: Activity, form: Format) -> None:
    if form in {Format.JSON, Format.YAML}:
        _print_one({**edge_json(edge), "activity": payload(seen, channels=False)}, form)
    elif form is Format.NAME and edge.channel is not None:
        say(f"{edge.channel.topic}/{edge.channel.partition}")
    elif edge.channel is not None:
        say(edge_line(edge, seen))


def _print_one(told: Mapping[str, Any], form: Format) -> None:
    say(as_json(told, indent=False) if form is Format.JSON else "---\n" + as_yaml(told))


def _print_past(edges: Sequence[Marker], form: Format) -> None:
    if form in {Format.JSON, Format.YAML}:
        structured({"items": [each.model_dump(mode="json") for each in edges]}, form)
    elif form is Format.NAME:
        for each in edges:
            say(f"{each.channel.topic}/{each.channel.partition}")
    elif edges:
        table(EDGE_COLUMNS, [_past_row(each) for each in edges], COLOURS)
    else:
        note("No edge is kept.")


def _held_s(each: Marker, proof: Evidence) -> str:
    """Say how long it had been empty by then."""
    return seconds(max(0, each.emitted_at_ms - proof.fetched_at_ms) / 1_000)


def _past_row(each: Marker) -> tuple[str, ...]:
    proof = each.evidence
    return (
        when(each.emitted_at_ms),
        f"{each.channel.topic}/{each.channel.partition}",
        each.status or "",
        each.reason or "",
        _time(each.watermark),
        "" if proof is None else f"{proof.position} of {proof.end} for {_held_s(each, proof)}",
        each.worker,
    )
