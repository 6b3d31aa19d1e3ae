"""What is known of a stream's activity, as people see it beside its status: never more than was said.

A stream is IDLE only where every partition of its source is said to be idle. One that stands still is HELD: what was
said last is no news of its source. One that runs while nobody has a task of it is OWNERLESS, since what comes meanwhile
waits unread. Where some partition has said nothing, a stream with an ACTIVE one is ACTIVE, and any other is unknown.

A look at many streams costs the same however long the markers topic is: it takes what the workers' heartbeats repeat,
and of the markers only those of the last moments. A look at one stream reads the markers of its partition. Both are
bounded. Whatever keeps the markers from being read is said in one sentence, and everything else is shown all the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from headgate.cli.connection import Connection, LiveTask, StateJson
from headgate.cli.output import coloured, note
from headgate.cli.wording import age, plural, seconds, when
from headgate.core.idleness.possible import why_never_idle
from headgate_events.client.channels import ActivityEdge, ActivityTable, ChannelActivity
from headgate_events.errors import HeadgateError

READ_S: Final = 5.0
"""How long reading the markers may take before the rest is shown without them."""
FOLLOW_READ_S: Final = 60.0
"""The same for whoever goes on watching, who needs every channel as it is, and has time."""
HEARD_MS: Final = 60_000
"""How far back heartbeats are read for a look at many streams: several intervals of even a slow worker."""
SAID_MS: Final = 10_000
"""How far back markers are read beside them: what was said since the last heartbeat."""
HOLDING: Final = frozenset({"DRAINING", "PAUSED", "FAILED", "FAILED_PERMANENTLY"})
"""Where a stream, or some partition of it, stands still."""
QUIET: Final = frozenset({"IDLE", "FINISHED"})
COMMON_REASONS: Final = frozenset({"EMPTY", "RESUMED", "FINISHED"})
"""Why a channel is IDLE, ACTIVE or FINISHED where nothing is remarkable about it."""
COLOURS: Final = {"ACTIVE": "green", "IDLE": "blue", "FINISHED": "dim", "HELD": "yellow", "OWNERLESS": "red"}

Word = Literal["ACTIVE", "IDLE", "FINISHED", "HELD", "OWNERLESS"]


@dataclass(frozen=True, slots=True)
class Channel:
    """One partition of a stream's source: what was said of it last, and who says so now.

    `status` is None where nothing was said. `worker` said it; `owner` has the partition now, by a heartbeat that came
    at `heard_ms`, and is None where nobody has. `position` is the newest that is known. `because` says in words what
    holds a channel whose reason is HELD or SUSPECT.
    """

    topic: str
    partition: int
    status: str | None = None
    since_ms: int | None = None
    reason: str | None = None
    because: str | None = None
    watermark: int | None = None
    position: int | None = None
    end: int | None = None
    fetched_at_ms: int | None = None
    worker: str | None = None
    told_ms: int | None = None
    owner: str | None = None
    heard_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Activity:
    """A stream's activity. `status` is None where it is not known.

    `held_by` is the status of a stream that is HELD, `said` what its channels said last as a whole. `read` says whether
    the markers could be read.
    """

    status: Word | None
    since_ms: int | None
    held_by: str | None
    said: str | None
    said_since_ms: int | None
    watermark: int | None
    channels: Sequence[Channel]
    read: bool

    @property
    def unheard(self) -> int:
        """How many partitions have said nothing."""
        return sum(each.status is None for each in self.channels)

    @property
    def idle(self) -> int:
        """How many partitions are said to be idle, or to have ended."""
        return sum(each.status in QUIET for each in self.channels)


def read_activity(
    connection: Connection,
    timeout_s: float = READ_S,
    *,
    streams: Collection[str] | None = None,
    since_ms: int | None = None,
) -> ActivityTable | None:
    """Return what was said of channels, as of this call; None, and a sentence, where that cannot be read.

    `streams` and `since_ms` make the reading shorter.
    """
    if connection.activity is None:
        return None
    try:
        connection.activity.refresh(timeout_s, streams=streams, since_ms=since_ms)
    except HeadgateError as error:
        hint = f" {error.hint}" if error.hint else ""
        note(f"Activity is not shown: {error.message}{hint} ({error.code})")
        return None
    return connection.activity.table


def activity_of(
    state: StateJson, table: ActivityTable | None, live: Iterable[LiveTask] = (), *, whole: bool = True
) -> Activity:
    """Put together what was said of a stream; `live` are its workers' tasks by their heartbeats, where they were read.

    A heartbeat repeats what its worker said, so that it counts where the marker was lost. `whole` says that the table
    knows all channels, so that the stream's watermark is what its valve has put out.
    """
    channels = [*_channels(state, table, list(live)).values()]
    said, said_since_ms = _whole(channels)
    status: Word | None = said
    since_ms, held_by = said_since_ms, None
    unassigned = state["conditions"].get("unassigned")
    if why_never_idle(state["config"]) is not None:
        status = None
    elif state["status"] in HOLDING:
        status, since_ms, held_by = "HELD", state["since_ms"], str(state["status"])
    elif state["status"] == "RUNNING" and not state["tasks"] and (unassigned is not None or said is not None):
        status, since_ms = "OWNERLESS", None if unassigned is None else unassigned["since_ms"]
    watermark = _watermark(state, table if whole else None, channels, said)
    return Activity(status, since_ms, held_by, said, said_since_ms, watermark, channels, table is not None)


def _channels(
    state: StateJson, table: ActivityTable | None, live: Sequence[LiveTask]
) -> dict[tuple[str, int], Channel]:
    """Return every partition of the source, in order, with what was said of it in this incarnation."""
    found = {
        (topic, number): Channel(topic, number)
        for topic, count in sorted((state.get("partitions") or {}).items())
        for number in range(count)
    }
    for said in () if table is None else table.channels(state["stream"]):
        place = said.channel.topic, said.channel.partition
        # Of a topic that the stream no longer reads, what was said does not count any more.
        if said.token[0] == state["incarnation"] and place in found:
            found[place] = _by_marker(said)
    for task in live:
        if task.said.get("epoch") != state["epoch"]:
            continue
        for topic, number in task.said.get("partitions") or ():
            if (known := found.get((topic, number))) is not None:
                found[topic, number] = _owned(known, task)
        for beat in task.said.get("channels") or ():
            if (known := found.get((beat["topic"], beat["partition"]))) is not None:
                found[beat["topic"], beat["partition"]] = _by_beat(known, beat, task)
    return found


def _by_marker(said: ChannelActivity) -> Channel:
    proof = said.evidence
    return Channel(
        topic=said.channel.topic,
        partition=said.channel.partition,
        status=said.status.value,
        since_ms=said.since_ms,
        reason=said.reason,
        watermark=said.watermark,
        position=None if proof is None else proof.position,
        end=None if proof is None else proof.end,
        fetched_at_ms=None if proof is None else proof.fetched_at_ms,
        worker=said.worker,
        told_ms=said.told_ms,
    )


def _owned(known: Channel, task: LiveTask) -> Channel:
    return dataclasses.replace(known, owner=task.worker, heard_ms=task.heard_ms)


def _by_beat(known: Channel, beat: Mapping[str, Any], task: LiveTask) -> Channel:
    known = dataclasses.replace(known, owner=task.worker, heard_ms=task.heard_ms)
    if beat.get("position") is not None:
        known = dataclasses.replace(known, position=max(int(beat["position"]), known.end or 0))
    said_ms = beat.get("since_ms")
    if task.said.get("phase") != "running" or beat.get("status") is None:
        return known
    if (known.since_ms or 0) > (said_ms or 0):
        return known
    return dataclasses.replace(
        known,
        status=beat["status"],
        since_ms=said_ms,
        reason=beat.get("reason") or (known.reason if known.status == beat["status"] else None),
        because=beat.get("because"),
        watermark=known.watermark if beat.get("watermark") is None else beat["watermark"],
        end=beat.get("end"),
        fetched_at_ms=beat.get("fetched_at_ms"),
        worker=task.worker,
    )


def _whole(channels: Sequence[Channel]) -> tuple[Literal["ACTIVE", "IDLE", "FINISHED"] | None, int | None]:
    """Return a stream's status from those of its partitions, and since when; None where some unheard one decides."""
    words = {each.status for each in channels}
    whole: Literal["ACTIVE", "IDLE", "FINISHED"] | None = None
    if "ACTIVE" in words:
        whole = "ACTIVE"
    elif words and None not in words:
        whole = "IDLE" if "IDLE" in words else "FINISHED"
    times = [each.since_ms for each in channels if each.status == whole and each.since_ms is not None]
    return whole, None if whole is None else (min if whole == "ACTIVE" else max)(times, default=None)


def _watermark(
    state: StateJson, table: ActivityTable | None, channels: Sequence[Channel], said: str | None
) -> int | None:
    """Return how far event time has come: as the valve has it, and of a stream that is all idle the newest (R12).

    The MAX of a partition that has ended counts only where all have (R17). Without the valve it is the smallest of the
    active channels (R4), which may be behind what the valve has put out.
    """
    if said in QUIET:
        known = [each for each in channels if said == "FINISHED" or each.status != "FINISHED"]
        return max((each.watermark for each in known if each.watermark is not None), default=None)
    if table is not None:
        return table.watermark(state["stream"]) if channels else None
    active = [each.watermark for each in channels if each.status == "ACTIVE"]
    told = [each for each in active if each is not None]
    return min(told) if told and len(told) == len(active) else None


def cell(activity: Activity, now_ms: int) -> str:
    """Write it in a few characters: `IDLE 5m`, `HELD`; empty where nothing is known."""
    if activity.status is None:
        return ""
    if activity.status == "HELD" or activity.since_ms is None:
        return activity.status
    return f"{activity.status} {age(activity.since_ms, now_ms)}"


def wide_cell(activity: Activity, now_ms: int) -> str:
    """Write it with what holds it, or how many of its partitions are idle: `ACTIVE 5s (2 of 3 idle)`."""
    short = cell(activity, now_ms)
    if activity.held_by is not None:
        return f"{short} ({activity.held_by})"
    if activity.status == "ACTIVE" and activity.idle:
        return f"{short} ({activity.idle} of {len(activity.channels)} idle)"
    return short


def proof_cell(activity: Activity, now_ms: int) -> str:
    """Write what proves that a stream is idle: the newest look at its ends. Empty where it is not."""
    proofs = [each for each in activity.channels if each.status in QUIET and each.fetched_at_ms is not None]
    if activity.status not in QUIET or not proofs:
        return ""
    newest = max(proofs, key=lambda each: (each.fetched_at_ms or 0, each.topic, -each.partition))
    more = f", and {plural(len(proofs) - 1, 'partition')} more" if len(proofs) > 1 else ""
    at = age(newest.fetched_at_ms or 0, now_ms)
    return f"{newest.topic}:{newest.partition} at {newest.position} of {newest.end}, seen {at} ago{more}"


def sentence(activity: Activity, state: StateJson, now_ms: int) -> str:
    """Say a stream's activity in words, with its reason where it is held or unknown."""
    count = len(activity.channels)
    said = ""
    if activity.said is not None:
        since = "" if activity.said_since_ms is None else f" since {when(activity.said_since_ms)}"
        said = f"; the last word was {activity.said}{since}"
    if activity.status is None:
        return f"not known: {_why_unknown(activity, state)}"
    if activity.status == "HELD":
        return f"HELD: the stream is {activity.held_by} for {age(state['since_ms'], now_ms)}{said}"
    if activity.status == "OWNERLESS":
        return f"OWNERLESS: no worker has a task of it, and what comes waits unread{said}"
    since_ms = activity.since_ms
    since = "" if since_ms is None else f" for {age(since_ms, now_ms)}, since {when(since_ms)}"
    idle = f" ({activity.idle} of {plural(count, 'partition')} idle)" if activity.status == "ACTIVE" else ""
    return f"{activity.status}{since}{idle}"


def _why_unknown(activity: Activity, state: StateJson) -> str:
    count = len(activity.channels)
    if (never := why_never_idle(state["config"])) is not None:
        return f"{never}, so it is never said to be IDLE"
    if not activity.read:
        return "the markers could not be read"
    if activity.unheard == count:
        return "nothing was said of it yet"
    return f"nothing was said of {activity.unheard} of {plural(count, 'partition')} yet"


def freshness(channel: Channel, now_ms: int, *, held: bool = False) -> str:
    """Say who says so, and how long ago that was last heard; of a stream that is held, nobody has the partition."""
    if channel.owner is not None and channel.heard_ms is not None:
        return f"heard from {channel.owner} {age(channel.heard_ms, now_ms)} ago"
    said = "" if channel.told_ms is None else f"said by {channel.worker} {age(channel.told_ms, now_ms)} ago"
    return said if held else ", ".join(part for part in (said, "nobody has it now") if part)


def edge_line(edge: ActivityEdge, seen: Activity) -> str:
    """Write one edge of a channel on a line: when, which, what it became, its proof, and what the stream is now."""
    assert edge.channel is not None
    place, status = (edge.channel.topic, edge.channel.partition), edge.status.value
    words = [when(edge.at_ms), edge.stream, f"{place[0]}:{place[1]}", coloured(status, COLOURS[status])]
    channel = next((each for each in seen.channels if (each.topic, each.partition) == place), None)
    if channel is not None and status in QUIET and channel.fetched_at_ms is not None:
        words.append(
            f"at {channel.position} of {channel.end} for {seconds((edge.at_ms - channel.fetched_at_ms) / 1_000)}"
        )
    if channel is not None and status == "ACTIVE" and channel.reason:
        words.append(channel.reason)
    idle, count = seen.idle, len(seen.channels)
    whole = seen.status or "not known"
    words.append(f"stream {whole}" + (f" ({idle} of {count} idle)" if count > 1 else ""))
    return "  ".join(words)


def edge_json(edge: ActivityEdge) -> dict[str, Any]:
    """Return one edge as a JSON object; `channel` is null for that of a whole stream."""
    channel = None if edge.channel is None else {"topic": edge.channel.topic, "partition": edge.channel.partition}
    return {"stream": edge.stream, "channel": channel, "status": edge.status.value, "at_ms": edge.at_ms}


def payload(activity: Activity, *, channels: bool) -> dict[str, Any]:
    """Return it as a JSON object, with every partition where that is asked for."""
    found: dict[str, Any] = {
        "status": activity.status,
        "since_ms": activity.since_ms,
        "held_by": activity.held_by,
        "said": activity.said,
        "said_since_ms": activity.said_since_ms,
        "watermark": activity.watermark,
        "partitions": len(activity.channels),
        "idle": activity.idle,
        "unheard": activity.unheard,
    }
    if channels:
        found["channels"] = [dataclasses.asdict(each) for each in activity.channels]
    return found
