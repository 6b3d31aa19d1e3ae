"""What the benchmarks need of a cluster: topics of their own, filled, and the time that a topic took to fill."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from headgate_events.topics import Topics

START_TIMEOUT_S = 60.0


class Cluster:
    """A broker, and a namespace in it for one run of the benchmarks."""

    def __init__(self, bootstrap_servers: str, folder: Path) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.folder = folder
        self.admin = AdminClient({"bootstrap.servers": bootstrap_servers})

    def namespace(self, partitions: int = 4) -> Topics:
        """Create the topics of a fresh namespace."""
        topics = Topics(f"bench-{uuid.uuid4().hex[:8]}")
        wanted = [
            NewTopic(spec.name, spec.partitions or partitions, 1, config=dict(spec.config)) for spec in topics.specs
        ]
        self._create(wanted)
        return topics

    def topic(self, name: str, partitions: int, **config: str) -> str:
        """Create a topic with a unique name."""
        unique = f"bench-{name}-{uuid.uuid4().hex[:8]}"
        self._create([NewTopic(unique, partitions, 1, config={"message.timestamp.type": "LogAppendTime", **config})])
        return unique

    def delete(self, *topics: str) -> None:
        for future in self.admin.delete_topics(list(topics)).values():
            future.result(30)

    def delete_namespace(self, topics: Topics) -> None:
        self.delete(*(spec.name for spec in topics.specs))

    def _create(self, wanted: list[NewTopic]) -> None:
        for future in self.admin.create_topics(wanted).values():
            future.result(30)
        names = {topic.topic for topic in wanted}
        deadline = time.monotonic() + START_TIMEOUT_S
        while not names <= set(self.admin.list_topics(timeout=10).topics):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{sorted(names)} did not appear")
            time.sleep(0.05)

    def fill(self, topic: str, records: int, value: bytes, partitions: int) -> None:
        """Write `records` records, spread evenly, each with its number as the key."""
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "linger.ms": 20,
                "queue.buffering.max.messages": 1_000_000,
                "batch.size": 500_000,
            }
        )
        for number in range(records):
            while True:
                try:
                    producer.produce(topic, value, b"%d" % number, partition=number % partitions)
                    break
                except BufferError:
                    producer.poll(0.1)
            if number % 10_000 == 0:
                producer.poll(0)
        if producer.flush(120):
            raise TimeoutError(f"{topic} could not be filled")

    def ends(self, topic: str, partitions: int, isolation: str = "read_committed") -> int:
        """Return the sum of the partitions' ends."""
        consumer = self.consumer(isolation)
        try:
            return sum(
                consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1]
                for number in range(partitions)
            )
        finally:
            consumer.close()

    def consumer(self, isolation: str = "read_committed", **more: Any) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "group.id": f"bench-{uuid.uuid4().hex[:8]}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": isolation,
                "fetch.queue.backoff.ms": 5,
                "enable.partition.eof": True,
                **more,
            }
        )

    def wait_for_records(self, topic: str, partitions: int, records: int, timeout_s: float) -> float:
        """Read a topic until it has had `records` records; return the seconds between its first and its last append."""
        consumer = self.consumer()
        consumer.assign([TopicPartition(topic, number, 0) for number in range(partitions)])
        first, last, seen = 0, 0, 0
        deadline = time.monotonic() + timeout_s
        try:
            while seen < records:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{topic} has {seen:,} of {records:,} records after {timeout_s:.0f} s")
                for message in consumer.consume(10_000, 0.2):
                    if message.error() is None:
                        at_ms = message.timestamp()[1]
                        first, last, seen = first or at_ms, max(last, at_ms), seen + 1
        finally:
            consumer.close()
        return (last - first) / 1000

    @contextmanager
    def process(self, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a Python program beside us, ended when the block is left."""
        log = self.folder / f"{uuid.uuid4().hex[:8]}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "HEADGATE_BOOTSTRAP_SERVERS": self.bootstrap_servers, **environment},
            )
            try:
                yield process
                if process.poll() not in (None, 0):
                    raise RuntimeError(
                        f"{' '.join(arguments)} ended with {process.returncode}: {log.read_text()[-2000:]}"
                    )
            finally:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


@contextmanager
def chosen_cluster() -> Iterator[Cluster]:
    """Choose a broker as the tests do."""
    from headgate.broker.choose import choose_broker

    with choose_broker() as broker, TemporaryDirectory(prefix="headgate-bench-") as folder:
        print(broker.said)
        yield Cluster(broker.bootstrap_servers, Path(folder))
