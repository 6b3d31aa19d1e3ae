"""One soak: speakers and faults together for so many seconds, then silence, in which everything has to become IDLE."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from headgate_events.errors import HeadgateError
from headgate_events.topics import Topics as Namespace
from tests.chaos.soak.judging import Judgement, Logs, judge
from tests.chaos.soak.speaking import DISORDER_MS, HEADER, Speaker
from tests.chaos.streams import faults, targets
from tests.chaos.streams.faults import Fault
from tests.chaos.streams.stage import STREAM, Stage
from tests.support.eventually import eventually
from tests.support.kafka import admin, read_to_end
from tests.support.processes import Processes

PARTITIONS = 4
WORKERS = 2
IDLE_AFTER_S = 0.5
ALL_IDLE_S = 120.0
READ_S = 120.0
CALM_S = 8.0
"""The longest time without a fault between two: time to go idle and to wake in peace."""


@dataclass(slots=True)
class Figures:
    """What a soak did and what was found; `problems` is empty when everything held."""

    seed: int
    again: str
    records: int = 0
    never_committed: int = 0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    judged: Judgement = field(default_factory=Judgement)
    problems: list[str] = field(default_factory=list)

    def verdict(self) -> str:
        """Return the figures as a person reads them, and with a problem the command that repeats the run."""
        drawn = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in sorted(self.faults.items()))
        judged = self.judged
        told = [
            f"seed                                {self.seed}",
            f"records committed                   {self.records:,} (and {self.never_committed:,} that never were)",
            f"faults                              {self.faults.total()}: {drawn}",
            f"IDLE and ACTIVE edges               {judged.idle:,} and {judged.active:,}",
            f"markers with a watermark            {judged.watermarks:,}, by {judged.claims} claims",
            f"findings                            {len(self.problems)}",
            f"duration                            {self.seconds:.0f} s",
        ]
        if not self.problems:
            return "\n".join(told)
        return "\n".join([*told, *(f"PROBLEM  {each}" for each in self.problems[:50]), f"Again: {self.again}"])


def run(
    servers: str,
    namespace: str,
    started: Processes,
    scratch: Path,
    *,
    seed: int,
    seconds: float,
    drawn: Sequence[tuple[int, Fault]] = faults.OF_WORKERS,
    say: Callable[[str], None] = lambda _: None,
    **network: Any,
) -> Figures:
    """Soak for so many seconds. Figures come back also when something was found, and when it came to no end."""
    figures = Figures(seed, f"python -m tests.chaos soak --seconds {seconds:g} --seed {seed}")
    draw = random.Random(seed)
    began_s = time.monotonic()
    with targets.made("kafka", servers, namespace, PARTITIONS, scratch) as target:
        stage = Stage(
            servers, namespace, started, target, partitions=PARTITIONS, draw=draw, say=say, batch_records=100, **network
        )
        stage.config["idleness"] = {
            "idle_after_s": IDLE_AFTER_S,
            "flap_damping": False,
            "watermark_interval_ms": 200,
            "event_time": {"source": "header", "place": HEADER, "max_out_of_orderness_ms": DISORDER_MS},
        }
        destination = target.section["topic"]
        topics = Namespace(namespace)
        _stamp_by_the_broker(servers, [stage.source, destination, topics.edges])
        try:
            _play(stage, figures, seconds, drawn)
        except (AssertionError, HeadgateError) as problem:
            ended = {str(each): each.exit_code for each in started.started if each.exit_code not in {None, -9, 0}}
            figures.problems.append(f"the run came to no end: {problem}; processes that ended: {ended}")
            _let_them_tell(started)
        finally:
            stage.close()
        logs = Logs(
            STREAM,
            read_to_end(servers, stage.source, isolation="read_uncommitted", timeout_s=READ_S),
            read_to_end(servers, stage.source, timeout_s=READ_S),
            read_to_end(servers, destination, timeout_s=READ_S),
            read_to_end(servers, topics.edges, timeout_s=READ_S),
            read_to_end(servers, topics.markers, timeout_s=READ_S),
        )
    figures.judged = judge(logs)
    figures.problems += figures.judged.problems
    figures.records = len(logs.committed)
    figures.never_committed = len(logs.everything) - len(logs.committed)
    figures.seconds = time.monotonic() - began_s
    return figures


def _let_them_tell(started: Processes) -> None:
    """Let every process write where its threads stand, and end."""
    for process in started.started:
        if process.exit_code is None:
            process.signal(signal.SIGABRT)
    for process in started.started:
        with contextlib.suppress(AssertionError):
            process.wait(5.0)


def _stamp_by_the_broker(servers: str, topics: Sequence[str]) -> None:
    """Let records carry the time at which the broker appended them, so that one clock orders them."""
    client = admin(servers)
    entry = ConfigEntry("message.timestamp.type", "LogAppendTime", incremental_operation=AlterConfigOpType.SET)
    wanted = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry]) for topic in topics]
    for done in client.incremental_alter_configs(wanted).values():
        done.result(30)


def _play(stage: Stage, figures: Figures, seconds: float, drawn: Sequence[tuple[int, Fault]]) -> None:
    weights, kinds = zip(*drawn, strict=True)
    stage.begin(WORKERS)
    speakers = [Speaker(stage.servers, stage.source, number, figures.seed) for number in range(PARTITIONS)]
    for speaker in speakers:
        speaker.start()
    end_s = time.monotonic() + seconds
    try:
        while (left_s := end_s - time.monotonic()) > 0:
            time.sleep(min(left_s, stage.draw.uniform(0.0, CALM_S)))
            (fault,) = stage.draw.choices(kinds, weights)
            told = fault(stage)
            figures.faults[fault.__name__] += 1
            stage.say(f"{seconds - max(0.0, end_s - time.monotonic()):5.0f} s  {told}")
    finally:
        for speaker in speakers:
            speaker.end()
    stage.heal(WORKERS)
    stage.until_status("RUNNING")
    eventually(lambda: _all_idle(stage), ALL_IDLE_S, "every partition is IDLE at its end", every_s=1.0)


def _all_idle(stage: Stage) -> bool:
    """Whether the last word about each partition is an IDLE at or behind its last record."""
    ends: dict[int, int] = dict.fromkeys(range(PARTITIONS), -1)
    for record in read_to_end(stage.servers, stage.source, timeout_s=READ_S):
        ends[record.partition] = max(ends[record.partition], record.offset)
    last: dict[int, tuple[str, int]] = {}
    for record in read_to_end(stage.servers, Namespace(stage.namespace).edges, timeout_s=READ_S):
        said = orjson.loads(record.value or b"{}")
        proof = said.get("evidence") or {}
        last[said["channel"]["partition"]] = said["status"], proof.get("position", -1)
    behind = {
        number: (last.get(number), end)
        for number, end in ends.items()
        if number not in last or last[number][0] != "IDLE" or last[number][1] <= end
    }
    assert not behind, f"last word and last record of each that is not: {behind}"
    return True
