"""`workers`: what workers say of themselves, and keeping tasks away from one.

A worker that is emptied goes on living and is shown as cordoned. Nothing about it is decided by the projector: it is a
record beside the heartbeats, which every worker reads and places the streams without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, Final

import typer

from headgate.cli.actor import find_actor
from headgate.cli.clients import connect_workers
from headgate.cli.exits import OK, RUNTIME
from headgate.cli.options import Where
from headgate.cli.output import Format, note, say, several, table
from headgate.cli.verbs import target_of
from headgate.cli.wording import age, duration_s, plural, safe, seconds
from headgate_events.client.workers import WorkersClient, WorkerSight
from headgate_events.errors import NotFound
from headgate_events.names import check_worker_name

COLUMNS: Final = ("NAME", "STANDING", "HEARD", "TASKS", "PARTITIONS", "VERSION", "STREAMS")
STREAMS_SHOWN: Final = 6
NO_PARTITION: Final = "NO_ASSIGNMENT"
WAIT_S: Final = 300.0


def list_workers(form: Format, where: Where) -> None:
    """List every worker that was heard within the last hour."""
    target = target_of(where)
    with closing(connect_workers(target)) as client:
        found = list(client.snapshot().values())
    now_ms = time.time_ns() // 1_000_000
    if form in {Format.JSON, Format.YAML}:
        several([shown(each, now_ms) for each in found], form, alone=False)
    elif form is Format.NAME:
        for each in found:
            say(each.name)
    elif found:
        table(COLUMNS, [row(each, now_ms, wide=form is Format.WIDE) for each in found])
    else:
        note(f"No worker was heard in {target.namespace}. Start one with `headgate worker`.")
    raise typer.Exit(OK)


def shown(sight: WorkerSight, now_ms: int) -> Mapping[str, Any]:
    """Return a worker as a JSON object."""
    return {
        "worker": sight.name,
        "standing": sight.standing(now_ms),
        "heard_ms": sight.heard_ms,
        "cordon": sight.cordon,
        "heartbeat": sight.beat,
    }


def row(sight: WorkerSight, now_ms: int, *, wide: bool) -> Sequence[str]:
    """Return one worker's cells."""
    beat = sight.beat or {}
    tasks = beat.get("tasks") or ()
    names = [f"{task['stream']} ({', '.join(_stands(task))})" for task in tasks]
    more = 0 if wide else len(names) - STREAMS_SHOWN
    streams = ", ".join(names if wide else names[:STREAMS_SHOWN]) + (f", {more} more" if more > 0 else "")
    standing = str(sight.standing(now_ms))
    if sight.cordon is not None:
        reason = sight.cordon.get("reason")
        standing += f" by {safe(sight.cordon.get('actor', ''), 40)}" + (f": {safe(reason, 60)}" if reason else "")
    return [
        sight.name,
        standing,
        age(sight.heard_ms, now_ms) if sight.beat is not None else "",
        str(len(tasks)),
        str(sum(len(task.get("partitions") or ()) for task in tasks)),
        str(beat.get("version", "")),
        streams,
    ]


def _stands(task: Mapping[str, Any]) -> list[str]:
    """Say how a task stands: its phase, and its activity where it says one."""
    activity = task.get("activity")
    if activity is None:
        return [str(task["phase"])]
    return [
        str(task["phase"]),
        f"{activity}: no partition" if task.get("activity_reason") == NO_PARTITION else activity,
    ]


def drain_worker(
    worker: str, where: Where, *, wait: bool, timeout: str | None, reason: str | None, actor: str | None
) -> None:
    """Cordon a worker, and wait until it runs nothing where that was asked for."""
    who, timeout_s = find_actor(actor), WAIT_S if timeout is None else duration_s(timeout, "--timeout")
    check_worker_name(worker)
    with closing(connect_workers(target_of(where))) as client:
        sight = client.snapshot().get(worker)
        if sight is None:
            raise NotFound(f"No worker {worker} was heard.", hint="See `headgate workers`.")
        client.cordon(worker, actor=who, reason=reason)
        if not wait:
            say(f"{worker}: is to run nothing; its tasks finish and move. `headgate workers undrain {worker}` ends it.")
            raise typer.Exit(OK)
        _until(client, worker, timeout_s, _is_empty, "runs nothing")


def undrain_worker(worker: str, where: Where, *, wait: bool, timeout: str | None, actor: str | None) -> None:
    """End a cordon, and wait until the worker says so where that was asked for."""
    who, timeout_s = find_actor(actor), WAIT_S if timeout is None else duration_s(timeout, "--timeout")
    check_worker_name(worker)
    with closing(connect_workers(target_of(where))) as client:
        client.snapshot()
        client.uncordon(worker, actor=who)
        if not wait:
            say(f"{worker}: may run tasks again.")
            raise typer.Exit(OK)
        _until(client, worker, timeout_s, _takes_tasks, "may run tasks again")


def _until(
    client: WorkersClient, worker: str, timeout_s: float, holds: Callable[[WorkerSight | None], bool], words: str
) -> None:
    began = time.monotonic()
    client.snapshot()
    if not holds(client.known().get(worker)):
        for known in client.follow(timeout_s):
            if holds(known.get(worker)):
                break
        else:
            sight = client.known().get(worker)
            left = plural(len((sight.beat or {}).get("tasks") or ()), "task") if sight is not None else "nothing"
            note(f"{worker}: not so after {seconds(timeout_s)}; it runs {left}.")
            raise typer.Exit(RUNTIME)
    say(f"{worker}: {words}, after {seconds(round(time.monotonic() - began, 1))}.")
    raise typer.Exit(OK)


def _is_empty(sight: WorkerSight | None) -> bool:
    """Whether it has heard of the cordon and runs nothing, or is gone."""
    if sight is None or sight.beat is None:
        return True
    leaves = bool(sight.beat.get("cordoned") or sight.beat.get("stopping"))
    return leaves and not sight.beat.get("tasks")


def _takes_tasks(sight: WorkerSight | None) -> bool:
    return sight is not None and sight.beat is not None and sight.cordon is None and not sight.beat.get("cordoned")
