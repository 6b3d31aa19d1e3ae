"""`activity`: each channel of a stream with its status, since when, its watermark, and the proof of an IDLE."""

from __future__ import annotations

from typing import Any, Final

import typer

from headgate.cli import connection as connections
from headgate.cli.choosing import now_ms
from headgate.cli.connection import Connection
from headgate.cli.exits import OK, REFUSED
from headgate.cli.options import Where
from headgate.cli.output import Format, as_json, note, say, structured, table
from headgate.cli.verbs import target_of
from headgate.cli.wording import age, past_ms, when
from headgate_events.client.activity import ActivityReader
from headgate_events.client.channels import ActivityEdge, ChannelActivity
from headgate_events.errors import InvalidRequest
from headgate_events.names import check_stream_name
from headgate_events.schema.workers import Marker

COLUMNS: Final = ("CHANNEL", "STATUS", "SINCE", "WATERMARK", "PROOF", "WORKER")
EDGE_COLUMNS: Final = ("TIME", "CHANNEL", "STATUS", "REASON", "WATERMARK", "PROOF", "WORKER")
COLOURS: Final = {"ACTIVE": "green", "IDLE": "blue", "FINISHED": "dim", "HELD": "yellow"}
STANDING: Final = frozenset({"NOT_STARTED", "PAUSED", "FAILED", "FAILED_PERMANENTLY"})
"""Where a stream stands still: what its channels said last is no news of their sources."""
ALL: Final = "(all)"


def show_activity(name: str, edges: bool, since: str | None, follow: bool, form: Format, where: Where) -> None:
    """Print a stream's channels, or its edges; end with 2 when there is no such stream."""
    check_stream_name(name)
    if edges and follow:
        raise InvalidRequest("--edges and --watch do not go together.", hint="Give one of the two.")
    since_ms = None if since is None else past_ms(since, "--since", now_ms())
    target = target_of(where)
    with connections.open_connection(target) as connection:
        if edges:
            _print_past(list(connection.activity.past(name, since_ms=since_ms)), form)
            raise typer.Exit(OK)
        lifecycle = _status_of(connection, name)
        if lifecycle is None:
            note(f"There is no stream {name} in {target.namespace}. See `headgate get`. (stream.not_found)")
            raise typer.Exit(REFUSED)
        reader = connection.activity
        reader.refresh()
        _print(reader, name, lifecycle, form)
        if follow:
            for edge in reader.follow():
                if edge.stream == name:
                    _print_edge(edge, form)


def _status_of(connection: Connection, name: str) -> str | None:
    state = connection.states().get(name)
    return None if state is None else str(state["status"])


def _print(reader: ActivityReader, name: str, lifecycle: str, form: Format) -> None:
    channels = reader.table.channels(name)
    status, since_ms = reader.table.status(name), reader.table.since_ms(name)
    watermark = reader.table.watermark(name)
    held = lifecycle in STANDING
    if form in {Format.JSON, Format.YAML}:
        structured(
            {
                "stream": name,
                "status": None if status is None else "HELD" if held else status.value,
                "held_by": lifecycle if held else None,
                "since_ms": since_ms,
                "watermark": watermark,
                "channels": [_json(each) for each in channels],
            },
            form,
        )
    elif form is Format.NAME:
        for each in channels:
            say(f"{each.channel.topic}/{each.channel.partition}")
    elif not channels:
        note(f"Nothing was said about {name} yet: markers are off, or it never ran.")
    else:
        now = now_ms()
        rows = [_row(each, now) for each in channels]
        assert status is not None
        told = "HELD" if held else status.value
        whole = (ALL, told, _since(since_ms, now), _time(watermark), f"the stream is {lifecycle}" if held else "", "")
        table(COLUMNS, [*rows, whole], COLOURS)


def _row(each: ChannelActivity, now: int) -> tuple[str, ...]:
    place = f"{each.channel.topic}/{each.channel.partition}"
    return (place, each.status.value, _since(each.since_ms, now), _time(each.watermark), _proof(each), each.worker)


def _since(since_ms: int | None, now: int) -> str:
    return "" if since_ms is None else age(since_ms, now)


def _time(watermark: int | None) -> str:
    return "" if watermark is None or not 0 <= watermark < 253_402_300_800_000 else when(watermark)


def _proof(each: ChannelActivity | Marker) -> str:
    evidence = each.evidence
    return "" if evidence is None else f"{evidence.position} of {evidence.end}, seen {when(evidence.fetched_at_ms)}"


def _json(each: ChannelActivity) -> dict[str, Any]:
    return {
        "topic": each.channel.topic,
        "partition": each.channel.partition,
        "status": each.status.value,
        "since_ms": each.since_ms,
        "watermark": each.watermark,
        "reason": each.reason,
        "evidence": None if each.evidence is None else each.evidence.model_dump(mode="json"),
        "worker": each.worker,
        "token": list(each.token),
        "told_ms": each.told_ms,
    }


def _print_edge(edge: ActivityEdge, form: Format) -> None:
    place = ALL if edge.channel is None else f"{edge.channel.topic}/{edge.channel.partition}"
    if form is Format.JSON:
        channel = None if edge.channel is None else {"topic": edge.channel.topic, "partition": edge.channel.partition}
        told = {"stream": edge.stream, "channel": channel, "status": edge.status.value, "at_ms": edge.at_ms}
        say(as_json(told, indent=False))
    else:
        say(f"{when(edge.at_ms)}   {place}   {edge.status.value}")


def _print_past(edges: list[Marker], form: Format) -> None:
    if form in {Format.JSON, Format.YAML}:
        structured({"items": [each.model_dump(mode="json") for each in edges]}, form)
    elif edges:
        table(
            EDGE_COLUMNS,
            [
                (
                    when(each.emitted_at_ms),
                    f"{each.channel.topic}/{each.channel.partition}",
                    each.status or "",
                    each.reason or "",
                    _time(each.watermark),
                    _proof(each),
                    each.worker,
                )
                for each in edges
            ],
            COLOURS,
        )
    else:
        note("No edge is kept.")
