"""What markers and watermarks cost at full load: the same worker, the same records, with and without them.

Watermarks need a look at each record, markers a transaction now and then. Both ways run in turns beside the same
projector and worker, and are measured twice: by what the destination saw, and by the processor time that the worker
took for a record, which says more on a machine that others share.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from tests.bench.cluster import Cluster
from tests.bench.measuring import Row, Spread, in_turns
from tests.bench.worker import PARTITIONS, by_worker

RECORDS: Final = 2_000_000
SIZE: Final = 100
PAIRS: Final = 7
BAR: Final = 0.95
MOST_WORK: Final = 1.05
WAYS: Final[dict[str, dict[str, Any]]] = {
    "on": {"markers": "side_topic", "event_time": {"source": "timestamp"}},
    "off": {"markers": "off"},
}


def processor_us(pid: int) -> float:
    """Return the processor time that a process has taken so far, in microseconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK")


def main(cluster: Cluster, quick: bool = False) -> list[Row]:
    """Measure both deliveries; return the rows of the table."""
    rows = []
    count = RECORDS // 4 if quick else RECORDS
    topics = cluster.namespace()
    settings = {
        "HEADGATE_NAMESPACE": topics.namespace,
        "HEADGATE_LOG_LEVEL": "warning",
        "HEADGATE_WORKER_NAME": "bench",
    }
    with (
        cluster.process("-m", "headgate.cli.main", "projector", **settings),
        cluster.process("-m", "headgate.cli.main", "worker", **settings) as worker,
    ):
        source = cluster.topic("in", PARTITIONS)
        cluster.fill(source, count, b"x" * SIZE, PARTITIONS)
        for delivery in ("at_least_once", "exactly_once"):
            what = f"markers and watermarks on, {delivery.replace('_', ' ')}, {SIZE} B"
            print(what)

            took: dict[str, list[float]] = {"on": [], "off": []}

            def run(way: str, took: dict[str, list[float]] = took, delivery: str = delivery) -> float:
                before = processor_us(worker.pid)
                rate = by_worker(cluster, topics.namespace, source, count, delivery, idleness=WAYS[way])
                took[way].append((processor_us(worker.pid) - before) / count)
                return rate

            ours, other, ratio = in_turns(lambda: run("on"), lambda: run("off"), 3 if quick else PAIRS)
            rows.append(
                Row(
                    what,
                    ours.shown(" /s", 0),
                    "the same worker with them off: " + other.shown(" /s", 0),
                    ratio.shown(),
                    f"≥ {BAR:.2f}",
                    ratio.median >= BAR,
                )
            )
            work = Spread.of([on / off for on, off in zip(took["on"], took["off"], strict=True)])
            rows.append(
                Row(
                    f"{what}: the worker's processor time for a record",
                    Spread.of(took["on"]).shown(" µs"),
                    "with them off: " + Spread.of(took["off"]).shown(" µs"),
                    work.shown(),
                    f"≤ {MOST_WORK:.2f}",
                    work.median <= MOST_WORK,
                )
            )
        cluster.delete(source)
    cluster.delete_namespace(topics)
    return rows
