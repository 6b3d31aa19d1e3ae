"""What an idle stream costs a worker: memory, threads and processor time, against a bare consumer and producer.

Two workers as processes follow a namespace without streams, then with 200 running ones whose source is silent; the
difference, by stream, is their price. The other side is the same number of confluent-kafka consumers, each of a group
of its own with a transactional producer beside it, in one process, polled as often as a task polls.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headgate_events import CommandClient, StateReader
from tests.bench.cluster import Cluster
from tests.bench.measuring import Row

STREAMS = 200
OBSERVED_S = 30.0
SETTLE_S = 10.0
START_S = 300.0
BAR_MB, BAR_CORE_PERCENT = 2.0, 0.1


@dataclass(frozen=True, slots=True)
class Cost:
    """Of some processes: resident MiB, threads, and processor seconds so far."""

    resident_mb: float
    threads: int
    processor_s: float

    @classmethod
    def of(cls, pids: list[int]) -> Cost:
        resident = threads = 0
        ticks = 0
        for pid in pids:
            folder = Path(f"/proc/{pid}")
            said = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
            resident += int(said["VmRSS"].split()[0])
            threads += int(said["Threads"])
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return cls(resident / 1024, threads, ticks / os.sysconf("SC_CLK_TCK"))


def observe(pids: list[int]) -> tuple[Cost, float]:
    """Return what the processes hold now, and how many percent of a core they take over a while."""
    time.sleep(SETTLE_S)
    before, began = Cost.of(pids), time.monotonic()
    time.sleep(OBSERVED_S)
    after = Cost.of(pids)
    return after, 100 * (after.processor_s - before.processor_s) / (time.monotonic() - began)


def bare(bootstrap_servers: str, topic: str, count: int) -> None:
    """Be the other side: poll `count` idle consumers in turn, each ten times a second, until killed."""
    from confluent_kafka import Consumer, Producer, TopicPartition

    consumers, producers = [], []
    for number in range(count):
        consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": f"{topic}-bare-{number}",
                "enable.auto.commit": False,
                "auto.offset.reset": "latest",
                "queued.max.messages.kbytes": 16_384,
            }
        )
        consumer.subscribe([topic])
        producer = Producer({"bootstrap.servers": bootstrap_servers, "transactional.id": f"{topic}-bare-{number}"})
        producer.init_transactions(30)
        consumers.append(consumer)
        producers.append(producer)
    for consumer in consumers:
        consumer.committed([TopicPartition(topic, 0)], 30)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        began = time.monotonic()
        for consumer in consumers:
            consumer.poll(0)
        time.sleep(max(0.0, 0.1 - (time.monotonic() - began)))


def main(cluster: Cluster, quick: bool = False) -> list[Row]:
    """Measure once (it takes minutes); return the rows of the table."""
    streams = 40 if quick else STREAMS
    topics = cluster.namespace()
    source, destination = cluster.topic("in", 1), cluster.topic("out", 1)
    settings = {"HEADGATE_NAMESPACE": topics.namespace, "HEADGATE_LOG_LEVEL": "warning"}
    with (
        cluster.process("-m", "headgate.cli.main", "projector", **settings),
        cluster.process("-m", "headgate.cli.main", "worker", **settings, HEADGATE_WORKER_NAME="a") as a,
        cluster.process("-m", "headgate.cli.main", "worker", **settings, HEADGATE_WORKER_NAME="b") as b,
    ):
        pids = [a.pid, b.pid]
        empty, empty_percent = observe(pids)
        began = time.monotonic()
        _start(cluster, topics.namespace, source, destination, streams)
        print(f"  {streams} streams run after {time.monotonic() - began:.0f} s; alone: {empty_percent:.1f} %")
        full, percent = observe(pids)
    ours = (
        (full.resident_mb - empty.resident_mb) / streams,
        (full.threads - empty.threads) / streams,
        (percent - empty_percent) / streams,
    )
    with cluster.process("-m", "tests.bench.idle", "bare", cluster.bootstrap_servers, source, str(streams)) as other:
        log = max(cluster.folder.glob("*.log"), key=lambda path: path.stat().st_ctime)
        _until(lambda: "ready" in log.read_text(), "the bare consumers are ready")
        held, percent = observe([other.pid])
    theirs = held.resident_mb / streams, held.threads / streams, percent / streams
    cluster.delete(source, destination)
    cluster.delete_namespace(topics)
    what = f"one idle stream of {streams} on two workers"
    with_producer = "bare consumer and transactional producer"
    return [
        Row(
            f"{what}: memory",
            f"{ours[0]:.2f} MB",
            f"{with_producer}: {theirs[0]:.2f} MB",
            f"{ours[0] / theirs[0]:.2f}",
            f"≤ {BAR_MB:g} MB",
            ours[0] <= BAR_MB,
        ),
        Row(
            f"{what}: processor",
            f"{ours[2]:.3f} % of a core",
            f"{with_producer}: {theirs[2]:.3f} %",
            f"{ours[2] / theirs[2]:.2f}",
            f"≤ {BAR_CORE_PERCENT:g} %",
            ours[2] <= BAR_CORE_PERCENT,
        ),
        Row(
            f"{what}: threads",
            f"{ours[1]:.1f}",
            f"{with_producer}: {theirs[1]:.1f}",
            f"{ours[1] / theirs[1]:.2f}",
            "shown",
            True,
        ),
    ]


def _start(cluster: Cluster, namespace: str, source: str, destination: str, streams: int) -> None:
    config = {"source": {"topic": source}, "destination": {"kind": "kafka", "topic": destination}}
    names = [f"idle-{number}" for number in range(streams)]
    with CommandClient(cluster.bootstrap_servers, namespace, actor="bench") as commands:
        for handles in ([commands.create(name, config) for name in names], [commands.start(name) for name in names]):
            for handle in handles:
                handle.outcome(60)
    with StateReader(cluster.bootstrap_servers, namespace) as reader:

        def running() -> bool:
            reader.refresh(30)
            found = reader.snapshot().values()
            return sum(state.status == "RUNNING" and len(state.tasks) == 1 for state in found) == streams

        _until(running, f"{streams} streams run")


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {START_S:.0f} s in vain: {what}")
        time.sleep(0.5)


if __name__ == "__main__":
    if sys.argv[1:2] == ["bare"]:
        bare(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    sys.exit("python -m tests.bench idle")
