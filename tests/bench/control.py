"""How long a person waits for a pause, and everybody for the partitions of a killed worker.

Both are times against a bound, with no hand-written loop beside them. A steady trickle of records flows meanwhile.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from confluent_kafka import OFFSET_END, Producer, TopicPartition

from headgate_events import CommandClient, StateReader
from tests.bench.cluster import Cluster
from tests.bench.measuring import Row, Spread
from tests.support.eventually import eventually
from tests.support.processes import Processes

PARTITIONS = 4
SESSION_S = 6.0
TURNS = 9
WAIT_S = 60.0


class Trickle:
    """A few records a moment to every partition, until it is ended."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": 0})
        self._topic = topic
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(0.02):
            for partition in range(PARTITIONS):
                self._producer.produce(self._topic, b"x" * 100, partition=partition)
            self._producer.poll(0)
        self._producer.flush(10)

    def end(self) -> None:
        self._ended.set()
        self._thread.join(20)


def main(cluster: Cluster, quick: bool = False) -> list[Row]:
    """Measure both; return the rows of the table."""
    topics = cluster.namespace(PARTITIONS)
    source, destination = cluster.topic("control-in", PARTITIONS), cluster.topic("control-out", PARTITIONS)
    environment = {
        **os.environ,
        "HEADGATE_BOOTSTRAP_SERVERS": cluster.bootstrap_servers,
        "HEADGATE_NAMESPACE": topics.namespace,
        "HEADGATE_WORKER_SESSION_TIMEOUT_MS": str(int(SESSION_S * 1000)),
    }
    config: dict[str, Any] = {
        "source": {"kind": "kafka", "topic": source},
        "destination": {"kind": "kafka", "topic": destination, "partition": "source"},
        "parallelism": 2,
    }
    trickle = Trickle(cluster.bootstrap_servers, source)
    commands = CommandClient(cluster.bootstrap_servers, topics.namespace, actor="bench")
    state = StateReader(cluster.bootstrap_servers, topics.namespace)
    moving = Moving(cluster, destination)
    pauses: list[float] = []
    takeovers: list[float] = []

    def until(status: str, workers: int = 0) -> None:
        def look() -> bool:
            state.refresh(WAIT_S)
            now = state.get("bench")
            return now is not None and now.status == status and len(now.tasks) >= workers

        eventually(look, WAIT_S, f"the stream is {status} on {workers} workers", every_s=0.01)

    try:
        with Processes(environment, cluster.folder) as started:
            started.start("projector")
            workers = [started.start("worker", "--name", name) for name in ("a", "b")]
            commands.create("bench", config).outcome(WAIT_S)
            commands.start("bench").outcome(WAIT_S)
            until("RUNNING", 2)
            for _ in range(3 if quick else TURNS):
                began_s = time.perf_counter()
                commands.pause("bench").outcome(WAIT_S)
                until("PAUSED")
                pauses.append(time.perf_counter() - began_s)
                commands.resume("bench").outcome(WAIT_S)
                until("RUNNING", 2)
            for turn in range(2 if quick else 5):
                until("RUNNING", 2)
                time.sleep(SESSION_S / 2)  # both have their share and move it
                workers[turn % 2].kill()
                killed_ms = time.time() * 1000
                takeovers.append(moving.again_after(killed_ms))
                workers[turn % 2] = started.start("worker", "--name", "ab"[turn % 2])
                workers[turn % 2].wait_for_output("worker.ready", WAIT_S)
    finally:
        trickle.end()
        moving.close()
        commands.close()
        state.close()
    cluster.delete(source, destination)
    cluster.delete_namespace(topics)
    pause, takeover = Spread.of(pauses), Spread.of(takeovers)
    bound_s = SESSION_S + 2
    return [
        Row("pause of a running stream to PAUSED", pause.shown(" s"), "—", "—", "p50 ≤ 1 s", pause.median <= 1.0),
        Row(
            f"SIGKILL of a worker until its partitions move again (session timeout {SESSION_S:.0f} s)",
            takeover.shown(" s"),
            "—",
            "—",
            f"≤ {bound_s:.0f} s",
            takeover.most <= bound_s,
        ),
    ]


class Moving:
    """Follows the destination, to tell when each of its partitions moves again. The bench's thread owns it."""

    def __init__(self, cluster: Cluster, destination: str) -> None:
        self._consumer = cluster.consumer(**{"auto.offset.reset": "latest"})
        self._consumer.assign([TopicPartition(destination, number, OFFSET_END) for number in range(PARTITIONS)])
        self._consumer.poll(1.0)

    def again_after(self, killed_ms: float) -> float:
        """Return how many seconds after the kill the last partition had its first record that came a while after it.

        What was committed just before the kill may be stamped with its moment, so the first 200 ms are passed over.
        """
        first: dict[int, float] = {}
        deadline_s = time.monotonic() + WAIT_S
        while len(first) < PARTITIONS:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"only {sorted(first)} move again")
            for message in self._consumer.consume(1_000, 0.1):
                at_ms, partition = message.timestamp()[1], message.partition()
                if message.error() is None and partition is not None and at_ms > killed_ms + 200:
                    first.setdefault(partition, at_ms - killed_ms)
        return max(first.values()) / 1000

    def close(self) -> None:
        self._consumer.close()
