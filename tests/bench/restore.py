"""Restoring 1,000,000 streams: speed against bare consumption of the same topic, memory against the encoded bytes.

    python -m tests.bench.restore SERVERS NAMESPACE bare|projector|reader

Each runs in a process of its own, which prints records per second, the bytes of keys and values, and by how much its
resident memory grew.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import orjson
from confluent_kafka import Producer

from headgate_events.codec import encode
from headgate_events.partitioner import partition_of
from headgate_events.topics import Topics
from tests.bench.cluster import Cluster
from tests.bench.measuring import Row, Spread, in_turns
from tests.spec.story import Story

STREAMS = 1_000_000
PARTITIONS = 4
PAIRS = 3


def fill(cluster: Cluster, topics: Topics, streams: int) -> None:
    """Write a running stream's state under many names, as a projector would have left them."""
    state = Story().at("RUNNING").state
    assert state is not None
    producer = Producer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "linger.ms": 20,
            "queue.buffering.max.messages": 200_000,
            "batch.size": 500_000,
        }
    )
    for number in range(streams):
        name = f"stream-{number}"
        value = encode({**state, "stream": name, "incarnation": number})
        while True:
            try:
                producer.produce(topics.state, value, name.encode(), partition=partition_of(name, PARTITIONS))
                break
            except BufferError:
                producer.poll(0.1)
        if number % 10_000 == 0:
            producer.poll(0)
    if producer.flush(300):
        raise TimeoutError("the state topic could not be filled")


def resident_bytes() -> int:
    """Return this process's resident memory."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4_096


def bare(servers: str, topics: Topics) -> tuple[int, int, float]:
    """Consume the topic and keep nothing; return records, bytes and seconds."""
    cluster = Cluster(servers, Path())
    from confluent_kafka import TopicPartition

    consumer = cluster.consumer()
    total = sum(
        consumer.get_watermark_offsets(TopicPartition(topics.state, number), timeout=10)[1]
        for number in range(PARTITIONS)
    )
    began = time.perf_counter()
    consumer.assign([TopicPartition(topics.state, number, 0) for number in range(PARTITIONS)])
    seen = held = 0
    while seen < total:
        for message in consumer.consume(20_000, 0.2):
            if message.error() is None:
                seen += 1
                held += len(message.value()) + len(message.key())
    seconds = time.perf_counter() - began
    consumer.close()
    return seen, held, seconds


def restored(servers: str, topics: Topics) -> tuple[int, int, float]:
    """Restore every partition as a projector does; return streams, bytes and seconds from assignment to active."""
    from headgate import bootstrap
    from headgate.settings import Settings

    settings = Settings(bootstrap_servers=servers, namespace=topics.namespace, log_level="error")
    projector = bootstrap.make_projector(settings)
    began = 0.0
    while len(projector.active) < PARTITIONS:
        at = time.perf_counter()
        projector.step(time.monotonic())
        if not began and projector._owned:
            began = at
    seconds = time.perf_counter() - began
    tables = [owned.states.values for owned in projector._owned.values()]
    streams = sum(len(table) for table in tables)
    held = sum(len(name) + len(value) for table in tables for name, value in table.items())
    globals()["kept"] = projector
    return streams, held, seconds


def read(servers: str, topics: Topics) -> tuple[int, int, float]:
    """Restore with the library's reader; return streams, bytes and seconds."""
    from headgate_events import StateReader

    reader = StateReader(servers, topics.namespace)
    began = time.perf_counter()
    reader.refresh(300)
    seconds = time.perf_counter() - began
    globals()["kept"] = reader
    return STREAMS, 0, seconds


def run(cluster: Cluster, topics: Topics, mode: str) -> dict[str, float]:
    """Run one of them in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.bench.restore", cluster.bootstrap_servers, topics.namespace, mode],
        capture_output=True,
        timeout=600,
        text=True,
    )
    if ran.returncode:
        raise RuntimeError(ran.stderr[-2000:])
    found: dict[str, float] = orjson.loads(ran.stdout.strip().splitlines()[-1])
    return found


def main(cluster: Cluster, quick: bool = False) -> list[Row]:
    """Fill the state topic and restore it in turns; return the rows of the table."""
    streams = STREAMS // 10 if quick else STREAMS
    topics = cluster.namespace(PARTITIONS)
    print(f"restore of {streams:,} streams")
    fill(cluster, topics, streams)
    rows = []
    encoded = run(cluster, topics, "bare")["bytes"]
    for mode, what in (("projector", "projector"), ("reader", "StateReader")):
        grown: list[float] = []

        def ours(mode: str = mode, grown: list[float] = grown) -> float:
            found = run(cluster, topics, mode)
            grown.append(found["grown"] / encoded)
            return streams / found["seconds"]

        mine, other, ratio = in_turns(ours, lambda: streams / run(cluster, topics, "bare")["seconds"], PAIRS)
        rows.append(
            Row(
                f"{what}: restore of {streams:,} streams",
                mine.shown(" /s", 0),
                "bare consumption: " + other.shown(" /s", 0),
                ratio.shown(),
                "≥ 0.50",
                ratio.median >= 0.5,
            )
        )
        memory = Spread.of(grown)
        rows.append(
            Row(
                f"{what}: memory after it",
                f"{memory.median * encoded / 1e6:,.0f} MB",
                f"keys and values: {encoded / 1e6:,.0f} MB",
                memory.shown(),
                "≤ 1.60",
                memory.median <= 1.6,
            )
        )
    cluster.delete_namespace(topics)
    return rows


if __name__ == "__main__":
    servers, topics = sys.argv[1], Topics(sys.argv[2])
    before = resident_bytes()
    count, held, seconds = {"bare": bare, "projector": restored, "reader": read}[sys.argv[3]](servers, topics)
    print(
        orjson.dumps({"records": count, "bytes": held, "seconds": seconds, "grown": resident_bytes() - before}).decode()
    )
