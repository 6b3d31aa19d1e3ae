"""`headgate describe`: all that an operator needs about a stream, in sections; empty ones are left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headgate.cli.activities import COMMON_REASONS, Activity, freshness, sentence
from headgate.cli.columns import connector, failed_partitions, next_retry_ms
from headgate.cli.connection import LiveTask, StateJson
from headgate.cli.goals import check_line, drained
from headgate.cli.output import STATUS_COLOURS, as_yaml, coloured, say, table
from headgate.cli.past import COLUMNS, cells
from headgate.cli.waiting import due_words, in_the_way
from headgate.cli.wording import age, plural, safe, when

INDENT = "  "
MOST_ERRORS = 10
MOST_CHANNELS = 20
BEFORE_IT_RAN = frozenset({"NOT_STARTED", "STARTING"})


def describe(
    state: StateJson,
    last: Sequence[Mapping[str, Any]],
    now_ms: int,
    tasks: Sequence[LiveTask],
    activity: Activity,
) -> None:
    """Print one stream; `last` are its newest transitions with their cause, `tasks` what its workers say now."""
    for line in lines(state, now_ms, tasks, activity):
        say(line)
    if last:
        say("Last transitions:")
        table(COLUMNS, [cells(each) for each in last])


def lines(state: StateJson, now_ms: int, tasks: Sequence[LiveTask], activity: Activity) -> Iterator[str]:
    """Yield the lines of every section but the history."""
    yield from _status(state, now_ms, activity)
    yield from _channels(activity, now_ms)
    yield from _conditions(state, now_ms)
    yield from _errors(state, now_ms)
    yield from _revision(state)
    yield from _tasks(state, now_ms)
    yield from _live(tasks, now_ms, state["epoch"])
    yield from _drain(state)
    yield from _checks("Checks", state.get("checks") or ())
    yield from _waiting(state, activity, now_ms)
    yield from _positions("Positions from which it last began", state["positions"])
    yield from _positions("Ends that its first start found", state.get("ends") or {})
    yield "Config:"
    for line in as_yaml(state["config"]).splitlines():
        yield INDENT + safe_line(line)


def safe_line(line: str) -> str:
    """Make a line safe and keep its indentation."""
    return line[: len(line) - len(line.lstrip(" "))] + safe(line)


def _fact(name: str, value: object) -> str:
    return f"{name + ':':<14}{value}"


def _status(state: StateJson, now_ms: int, activity: Activity) -> Iterator[str]:
    config, last = state["config"], state["last"]
    status = str(state["status"])
    yield _fact("Name", state["stream"])
    yield _fact(
        "Status",
        f"{coloured(status, STATUS_COLOURS.get(status, ''))} for {age(state['since_ms'], now_ms)}, "
        f"since {when(state['since_ms'])}",
    )
    if state["status"] not in BEFORE_IT_RAN:
        yield _fact("Activity", sentence(activity, state, now_ms))
    yield _fact("By", f"{safe(last['actor'])} ({last['kind']}, version {last['version']})")
    if last.get("reason"):
        yield _fact("Reason", safe(last["reason"]))
    if state.get("deadline_ms"):
        yield _fact("Deadline", when(state["deadline_ms"]))
    yield _fact("Version", f"{state['version']} (incarnation {state['incarnation']}, epoch {state['epoch']})")
    yield _fact("Moves", f"{connector(config['source'])} → {connector(config['destination'])}, {config['delivery']}")
    yield _fact("Created", when(state["created_ms"]))
    if config["labels"]:
        yield _fact("Labels", ",".join(f"{key}={value}" for key, value in sorted(config["labels"].items())))
    if config.get("managed_by"):
        yield _fact("Managed by", safe(config["managed_by"]))


def _conditions(state: StateJson, now_ms: int) -> Iterator[str]:
    if not state["conditions"]:
        return
    yield "Conditions:"
    for name, condition in sorted(state["conditions"].items()):
        said = f": {safe(condition['message'])}" if condition.get("message") else ""
        yield f"{INDENT}{name} for {age(condition['since_ms'], now_ms)}{said}"


def _errors(state: StateJson, now_ms: int) -> Iterator[str]:
    errors = sorted((state.get("errors") or {}).values(), key=lambda error: -int(error["last_seen_ms"]))
    if not errors:
        return
    failed = failed_partitions(state)
    if failed is not None:
        named = ", ".join(f"{topic}:{number}" for topic, number in failed) or "all partitions"
        known = sum((state.get("partitions") or {}).values())
        of = f" (of {known})" if failed and known > len(failed) else ""
        yield _fact("Failed", f"{named}{of}")
        if (retry_ms := next_retry_ms(state)) is not None:
            left = max(0, retry_ms - now_ms) / 1_000
            yield _fact("Next try", when(retry_ms) + (f", in {left:.0f} s" if left else ""))
    yield "Error:" if len(errors) == 1 else f"Errors ({len(errors)}, the newest first):"
    for error in errors[:MOST_ERRORS]:
        yield from _error(error, now_ms)
    if len(errors) > MOST_ERRORS:
        yield f"{INDENT}… and {len(errors) - MOST_ERRORS} more; -o json shows all."


def _error(error: Mapping[str, Any], now_ms: int) -> Iterator[str]:
    kind = "recoverable" if error["recoverable"] else "needs a person"
    yield f"{INDENT}{safe(error['message'])} ({error['code']}, {kind}, id {safe(error['id'], 64)})"
    yield f"{INDENT * 2}first {when(error['first_seen_ms'])}, last {when(error['last_seen_ms'])}, " + plural(
        error["count"], "time"
    )
    where = []
    if error.get("topic") is not None:
        offset = f", offset {error['offset']}" if error.get("offset") is not None else ""
        where.append(f"at {error['topic']}, partition {error.get('partition')}{offset}")
    if error.get("worker"):
        where.append(f"on worker {error['worker']}")
    if where:
        yield f"{INDENT * 2}{', '.join(where)}"
    if error.get("next_retry_ms"):
        left = max(0, error["next_retry_ms"] - now_ms) / 1_000
        yield f"{INDENT * 2}next try {when(error['next_retry_ms'])}" + (f", in {left:.0f} s" if left else "")


def _revision(state: StateJson) -> Iterator[str]:
    revision = state["revision"]
    yield _fact("Revision", f"{revision['desired']} desired, {revision['applied']} applied")
    if revision.get("rejected"):
        yield f"{INDENT}revision {revision['rejected']} was rejected by the workers:"
        for check in revision.get("checks") or ():
            yield f"{INDENT * 2}{check_line(check)}"


def _tasks(state: StateJson, now_ms: int) -> Iterator[str]:
    yield _fact("Tasks", f"{len(state['tasks'])} of {state['config']['parallelism']}")
    for worker, task in sorted(state["tasks"].items()):
        since = age(task["since_ms"], now_ms)
        yield f"{INDENT}{worker}: revision {task['revision']}, epoch {task['epoch']}, for {since}"


def _live(tasks: Sequence[LiveTask], now_ms: int, epoch: int) -> Iterator[str]:
    """Yield what workers say of their tasks at this moment, by their heartbeats."""
    if tasks:
        yield "Now, by the workers' heartbeats:"
    for task in tasks:
        yield INDENT + task_line(task, now_ms, epoch)


def _channels(activity: Activity, now_ms: int) -> Iterator[str]:
    """Yield what was said of each partition, since when, what proves that it is empty, and how fresh that word is."""
    if activity.unheard == len(activity.channels):
        return
    for channel in activity.channels[:MOST_CHANNELS]:
        place = f"{INDENT}{channel.topic}:{channel.partition}"
        if channel.status is None:
            yield f"{place} has said neither IDLE nor ACTIVE yet"
            continue
        line = f"{place} {channel.status}" + (f" since {when(channel.since_ms)}" if channel.since_ms else "")
        if channel.because is not None:
            line += f", {channel.reason}: {channel.because}"
        elif channel.reason is not None and channel.reason not in COMMON_REASONS:
            line += f", {channel.reason}"
        if channel.fetched_at_ms is not None:
            at = when(channel.fetched_at_ms)
            line += f" (position {channel.position or 0:,}, end {channel.end or 0:,}, fetched at {at})"
        yield f"{line}, {freshness(channel, now_ms, held=activity.held_by is not None)}"
    if len(activity.channels) > MOST_CHANNELS:
        yield f"{INDENT}and {len(activity.channels) - MOST_CHANNELS} more: `headgate activity` shows all"


def task_line(task: LiveTask, now_ms: int, epoch: int) -> str:
    """Write on a line what a worker says of its task: how far it is, what is in flight, what it waits for.

    A task that is busy, in a transform say, may not have heard yet of the stream's present epoch, which is said.
    """
    said = task.said
    owned = len(said.get("partitions") or ())
    parts = [str(said["phase"])]
    if said["phase"] in {"draining", "drained"}:
        parts.append(f"{said.get('partitions_drained', 0)} of {plural(owned, 'partition')} drained")
    else:
        parts.append(plural(owned, "partition"))
    parts.append(f"{plural(said.get('in_flight', 0), 'record')} in flight")
    if said.get("waits_for"):
        parts.append(f"waits for {safe(said['waits_for'], 200)}")
    if said.get("next_retry_ms"):
        left_s = max(0, said["next_retry_ms"] - now_ms) / 1_000
        parts.append(f"next try in {left_s:.0f} s")
    if said["epoch"] != epoch:
        parts.append(f"has not heard of epoch {epoch} yet")
    return f"{task.worker}: {', '.join(parts)}"


def _drain(state: StateJson) -> Iterator[str]:
    drain = state.get("drain")
    if drain is None:
        return
    ended = f"finished {when(drain['finished_ms'])}" if drain.get("finished_ms") else "not finished"
    yield f"Drain: {drained(state)}, started {when(drain['started_ms'])}, {ended}, then {drain['then']}"
    if drain.get("deadline_ms") and not drain.get("finished_ms"):
        yield f"{INDENT}deadline {when(drain['deadline_ms'])}"
    for topic, partitions in sorted(drain["receipts"].items()):
        for number, receipt in sorted(partitions.items(), key=lambda item: int(item[0])):
            yield (
                f"{INDENT}{topic}:{number} from {receipt['start']:,} to {receipt['end']:,}, "
                f"{receipt['read']:,} read, {receipt['written']:,} written, by {receipt['worker']}"
            )


def _checks(title: str, checks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if checks:
        yield f"{title}:"
        for check in checks:
            yield INDENT + check_line(check)


def _waiting(state: StateJson, activity: Activity, now_ms: int) -> Iterator[str]:
    scheduled = state.get("scheduled") or {}
    if scheduled:
        yield "Scheduled commands:"
        for pending in scheduled.values():
            yield f"{INDENT}{pending['command']} {due_words(pending)}, by {safe(pending['actor'])}{_because(pending)}"
            if (why := in_the_way(pending, state, activity, now_ms)) is not None:
                yield f"{INDENT * 2}waits: {why}"
            yield f"{INDENT * 2}withdraw it with: headgate cancel {safe(pending['command_id'])}"
    checking = state.get("checking")
    if checking is not None:
        until = f", until {when(checking['deadline_ms'])}" if checking.get("deadline_ms") else ""
        yield "Being checked by a worker:"
        yield f"{INDENT}{checking['command']} by {safe(checking['actor'])}{_because(checking)}{until}"


def _because(pending: Mapping[str, Any]) -> str:
    return f' ("{safe(pending["reason"])}")' if pending.get("reason") else ""


def _positions(title: str, places: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    if not places:
        return
    yield f"{title}:"
    for topic, positions in sorted(places.items()):
        numbers = ", ".join(
            f"{number}={at:,}" for number, at in sorted(positions.items(), key=lambda each: int(each[0]))
        )
        yield f"{INDENT}{topic}: {numbers}"
