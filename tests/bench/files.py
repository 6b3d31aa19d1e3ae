"""Workers into files against a worker that discards: what writing, syncing and finishing files costs.

The same filled topic is read in turns by one worker process, as a stream into files and as one that keeps nothing. Both
are measured by the worker's own heartbeats: records read over time, between the first that shows any and the last
before the end. Files are small (`ROLL_BYTES`), so that many are finished meanwhile.
"""

from __future__ import annotations

import shutil
import time
from typing import Any

import orjson
from confluent_kafka import TopicPartition

from headgate_events import CommandClient
from tests.bench.cluster import Cluster
from tests.bench.measuring import Row, in_turns

PARTITIONS = 4
SIZES = {100: 3_000_000, 1_000: 600_000}
PAIRS = 5
TIMEOUT_S = 240.0
ROLL_BYTES = 16 * 1024 * 1024
KINDS: dict[str, tuple[dict[str, str], float]] = {
    "JSON Lines": ({"kind": "jsonl"}, 0.75),
    "JSON Lines, check: framing": ({"kind": "jsonl", "check": "framing"}, 0.75),
    "Parquet": ({"kind": "parquet"}, 0.25),
}
"""What is measured: a destination's settings, and its bar."""


def value_of(size: int) -> bytes:
    """Return a JSON object of about this many bytes."""
    some = {"id": 4711, "city": "Hamburg", "delay_min": 12.5, "on_time": True, "carrier": "LH"}
    return orjson.dumps({**some, "text": "x" * (size - len(orjson.dumps(some)) - 10)})


def run(cluster: Cluster, namespace: str, source: str, records: int, destination: dict[str, Any]) -> float:
    """Return records per second of a stream into this destination."""
    stream = f"bench-{time.monotonic_ns()}"
    heartbeats = cluster.consumer("read_uncommitted")
    _, end = heartbeats.get_watermark_offsets(TopicPartition(f"{namespace}.heartbeats", 0), timeout=10)
    heartbeats.assign([TopicPartition(f"{namespace}.heartbeats", 0, end)])
    try:
        with CommandClient(cluster.bootstrap_servers, namespace, actor="bench") as commands:
            commands.create(stream, {"source": {"topic": source}, "destination": destination}).outcome(30)
            commands.start(stream).outcome(30)
            seen = _until_read(heartbeats, stream, records)
            commands.delete(stream).outcome(30)
        (first_s, before), (last_s, after) = seen[0], seen[-1]
        return (after - before) / (last_s - first_s)
    finally:
        heartbeats.close()


def _until_read(heartbeats: Any, stream: str, records: int) -> list[tuple[float, int]]:
    """Return what heartbeats say of a stream until it has read everything: (seconds, records read)."""
    seen: list[tuple[float, int]] = []
    deadline_s = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline_s:
        message = heartbeats.poll(0.2)
        if message is None or message.error() is not None or not message.value():
            continue
        for task in orjson.loads(message.value())["tasks"]:
            if task["stream"] == stream and task["records_read"] > 0:
                if task["records_read"] >= records and len(seen) > 1:
                    return seen
                seen.append((message.timestamp()[1] / 1000, task["records_read"]))
    raise TimeoutError(f"{stream} did not read {records:,} records in {TIMEOUT_S:.0f} s: {seen[-1:]}")


def main(cluster: Cluster, quick: bool = False) -> list[Row]:
    """Measure both formats in both sizes; return the rows of the table."""
    rows = []
    topics = cluster.namespace()
    namespace = topics.namespace
    environment = {
        "HEADGATE_NAMESPACE": namespace,
        "HEADGATE_LOG_LEVEL": "warning",
        "HEADGATE_WORKER_NAME": "bench",
        "HEADGATE_WORKER_HEARTBEAT_INTERVAL_MS": "100",
        "HEADGATE_WORKER_SESSION_TIMEOUT_MS": "6000",
    }
    folder = cluster.folder / "files"
    with (
        cluster.process("-m", "headgate.cli.main", "projector", **environment),
        cluster.process("-m", "headgate.cli.main", "worker", **environment),
    ):
        for size, records in SIZES.items():
            count = records // 4 if quick else records
            source = cluster.topic("in", PARTITIONS)
            cluster.fill(source, count, value_of(size), PARTITIONS)
            for name, (settings, bar) in KINDS.items():
                what = f"Kafka to {name}, {size} B"
                print(what)

                def into_files(settings: dict[str, str] = settings, source: str = source, count: int = count) -> float:
                    folder.mkdir(exist_ok=True)
                    try:
                        destination = {**settings, "folder": str(folder), "roll": {"bytes": ROLL_BYTES}}
                        return run(cluster, namespace, source, count, destination)
                    finally:
                        shutil.rmtree(folder, ignore_errors=True)  # the worker may still be clearing up

                def discarding(source: str = source, count: int = count) -> float:
                    return run(cluster, namespace, source, count, {"kind": "discard"})

                ours, other, ratio = in_turns(into_files, discarding, 3 if quick else PAIRS)
                rows.append(
                    Row(
                        what,
                        ours.shown(" /s", 0),
                        "discarding: " + other.shown(" /s", 0),
                        ratio.shown(),
                        f"≥ {bar:.2f}",
                        ratio.median >= bar,
                    )
                )
            cluster.delete(source)
    cluster.delete_namespace(topics)
    return rows
