"""One run: load and faults together, everything healed, and then the judge. Everything drawn follows from the seed.

(When something is done follows from the machine as well, so a seed repeats the faults and not the interleaving.)
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headgate.bootstrap import make_clock, make_log
from headgate.projector.verify import verify
from headgate.settings import load_settings
from headgate_events.errors import HeadgateError
from headgate_events.topics import Topics as Namespace
from tests.chaos.streams import faults, targets
from tests.chaos.streams.faults import Fault
from tests.chaos.streams.stage import STREAM, Stage
from tests.checker.judge import judge
from tests.support.eventually import eventually
from tests.support.processes import Processes

WORKERS = 2
ARRIVED_S = 240.0


@dataclass(slots=True)
class Figures:
    """What a run did and what was found; `problems` is empty when everything held."""

    destination: str
    seed: int
    again: str
    records: int = 0
    aborted: int = 0
    delivered: int = 0
    pauses: int = 0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the figures as a person reads them."""
        drawn = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in sorted(self.faults.items()))
        return [
            f"destination                         {self.destination}",
            f"seed                                {self.seed}",
            f"records sent                        {self.records:,} (and {self.aborted:,} that were aborted)",
            f"records delivered                   {self.delivered:,}",
            f"faults                              {self.faults.total()}: {drawn}",
            f"pauses judged                       {self.pauses}",
            f"findings                            {len(self.problems)}",
            f"duration                            {self.seconds:.0f} s",
        ]

    def verdict(self) -> str:
        """Return the figures, and with a problem the command that repeats the run."""
        told = [*self.lines(), *(f"PROBLEM  {each}" for each in self.problems[:50])]
        return "\n".join([*told, f"Again: {self.again}"] if self.problems else told)


def run(
    servers: str,
    namespace: str,
    started: Processes,
    scratch: Path,
    *,
    destination: str,
    records: int,
    count: int,
    seed: int,
    drawn: Sequence[tuple[int, Fault]] = faults.OF_WORKERS,
    in_turn: Sequence[Fault] = (),
    batch_records: int = 750,
    partitions: int = 4,
    say: Callable[[str], None] = lambda _: None,
    **network: Any,
) -> Figures:
    """Run it: `count` faults of `drawn` (weight, fault), or those `in_turn`, while `records` records move.

    Figures come back also when something was found, and when the run did not come to its end.
    """
    weights, kinds = zip(*drawn, strict=True)
    sequence = in_turn or random.Random(seed).choices(kinds, weights, k=count)
    again = (
        f"python -m tests.chaos streams --destination {destination} --records {records} --faults {count} --seed {seed}"
    )
    figures = Figures(destination, seed, again)
    draw = random.Random(seed)
    began_s = time.monotonic()
    with targets.made(destination, servers, namespace, partitions, scratch) as target:
        stage = Stage(
            servers,
            namespace,
            started,
            target,
            partitions=partitions,
            draw=draw,
            say=say,
            batch_records=batch_records,
            **network,
        )
        try:
            _play(stage, figures, records, sequence)
        except (AssertionError, HeadgateError) as problem:
            ended = {str(each): each.exit_code for each in started.started if each.exit_code not in {None, -9, 0}}
            figures.problems.append(f"the run came to no end: {problem}; processes that ended: {ended}")
        finally:
            stage.close()
    figures.seconds = time.monotonic() - began_s
    return figures


def _play(stage: Stage, figures: Figures, records: int, sequence: Sequence[Fault]) -> None:
    count = len(sequence)
    stage.load.up_to(records // (count + 2))
    stage.load.abort_some()
    stage.begin(WORKERS)
    for nth, fault in enumerate(sequence):
        stage.load.up_to(records * (nth + 2) // (count + 2))
        told = fault(stage)
        figures.faults[fault.__name__] += 1
        stage.say(f"{nth + 1:4}/{count}  {told}")
        if stage.draw.random() < 0.2:
            stage.load.abort_some()
    stage.load.up_to(records)
    stage.heal(WORKERS)
    stage.load.end()
    stage.until_status("RUNNING")
    eventually(
        lambda: len({each.record for each in stage.target.delivered()}) >= records,
        ARRIVED_S,
        f"{records} records have arrived",
        every_s=1.0,
    )
    stage.accepted(stage.commands.pause(STREAM))
    stage.until_status("PAUSED")
    stage.paused()
    for name, worker in stage.workers.items():
        if (code := stage.end(name)) != 0:
            figures.problems.append(f"{name} ended with {code} after SIGTERM: {worker.tail(5)}")
    seen = stage.run()
    figures.records, figures.aborted = len(seen.sent), stage.load.aborted
    figures.delivered, figures.pauses = len(seen.delivered), len(seen.pauses)
    figures.problems += [str(finding) for finding in judge(seen)]
    if len(seen.sent) != records:
        figures.problems.append(f"{records} records were sent and the source holds {len(seen.sent)}")
    settings = load_settings(bootstrap_servers=stage.servers, namespace=stage.namespace)
    found = verify(make_log(settings), Namespace(stage.namespace), make_clock())
    figures.problems += [f"verify: {each.code}: {each.message}" for each in found.differences]
