"""Worker, Kafka to Kafka: the whole product (projector, worker process, state topic) against the hand-written loop.

Both copy the same filled topic into a fresh one, in turns, as processes of their own beside the same broker. Measured
is what the destination saw: its records, by the time between its first and its last append.
"""

from __future__ import annotations

import time
from typing import Any

from headgate_events import CommandClient, StateReader
from tests.bench.cluster import Cluster
from tests.bench.measuring import Row, Spread, in_turns

PARTITIONS = 4
SIZES = {100: 1_000_000, 1_000: 300_000}
PAIRS = 5
TIMEOUT_S = 240.0


def by_hand(cluster: Cluster, source: str, records: int, delivery: str) -> float:
    """Return records per second of the hand-written loop."""
    destination = cluster.topic("out", PARTITIONS)
    try:
        arguments = ("copy", cluster.bootstrap_servers, source, destination, delivery)
        with cluster.process("-m", "tests.bench.handwritten", *arguments):
            seconds = cluster.wait_for_records(destination, PARTITIONS, records, TIMEOUT_S)
        return records / seconds
    finally:
        cluster.delete(destination)


def by_worker(cluster: Cluster, namespace: str, source: str, records: int, delivery: str, **more: Any) -> float:
    """Return records per second of a stream; projector and worker run already, and are idle before and after."""
    destination = cluster.topic("out", PARTITIONS)
    stream = f"copy-{time.monotonic_ns()}"
    config = {
        "source": {"topic": source},
        "destination": {"kind": "kafka", "topic": destination},
        "delivery": delivery,
        **more,
    }
    try:
        with CommandClient(cluster.bootstrap_servers, namespace, actor="bench") as commands:
            commands.create(stream, config).outcome(30)
            commands.start(stream).outcome(30)
            try:
                seconds = cluster.wait_for_records(destination, PARTITIONS, records, TIMEOUT_S)
            except TimeoutError as error:
                with StateReader(cluster.bootstrap_servers, namespace) as reader:
                    raise TimeoutError(f"{error}; the stream is {reader.get(stream)}") from error
            commands.delete(stream).outcome(30)
        return records / seconds
    finally:
        cluster.delete(destination)


def main(cluster: Cluster, quick: bool = False) -> list[Row]:
    """Measure every size and delivery; return the rows of the table."""
    rows = []
    topics = cluster.namespace()
    namespace = topics.namespace
    settings = {"HEADGATE_NAMESPACE": namespace, "HEADGATE_LOG_LEVEL": "warning", "HEADGATE_WORKER_NAME": "bench"}
    with (
        cluster.process("-m", "headgate.cli.main", "projector", **settings),
        cluster.process("-m", "headgate.cli.main", "worker", **settings),
    ):
        for size, records in SIZES.items():
            count = records // 5 if quick else records
            source = cluster.topic("in", PARTITIONS)
            cluster.fill(source, count, b"x" * size, PARTITIONS)
            found: dict[str, tuple[Spread, Spread]] = {}
            for delivery in ("at_least_once", "exactly_once"):
                what = f"Kafka to Kafka, {delivery.replace('_', ' ')}, {size} B"
                print(what)
                ours, other, ratio = in_turns(
                    lambda source=source, count=count, delivery=delivery: by_worker(
                        cluster, namespace, source, count, delivery
                    ),
                    lambda source=source, count=count, delivery=delivery: by_hand(cluster, source, count, delivery),
                    3 if quick else PAIRS,
                )
                found[delivery] = ours, other
                rows.append(
                    Row(
                        what,
                        ours.shown(" /s", 0),
                        "hand-written loop: " + other.shown(" /s", 0),
                        ratio.shown(),
                        "≥ 0.80",
                        ratio.median >= 0.80,
                    )
                )
            own = found["exactly_once"][0].median / found["at_least_once"][0].median
            by_loop = found["exactly_once"][1].median / found["at_least_once"][1].median
            rows.append(
                Row(
                    f"exactly once ÷ at least once, {size} B",
                    f"{own:.2f}",
                    f"hand-written loop: {by_loop:.2f}",
                    f"{own / by_loop:.2f}",
                    "≥ 0.90",
                    own / by_loop >= 0.90,
                )
            )
            cluster.delete(source)
    cluster.delete_namespace(topics)
    return rows
