"""Command to visible state, against the smallest transactional echo with one producer, in the same run.

One process sends at a steady rate and reads committed; the projector, or the echo, runs beside it. Each window of one
rate is measured for both in turns. A command is a modify of a stream of its own, so each one changes a state.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from headgate_events import CommandClient
from headgate_events.codec import command_headers
from tests.bench.cluster import Cluster
from tests.bench.measuring import Row, Spread

RATES = (5, 50, 200, 1_000)
STREAMS = 400
WINDOWS = 5
PARTITIONS = 4


class Reader:
    """Reads a topic, committed, on a thread of its own, and notes when each awaited id was seen."""

    def __init__(self, cluster: Cluster, topic: str, ids_of: Callable[[Any], Iterable[str]]) -> None:
        self.seen: dict[str, float] = {}
        self._ids_of = ids_of
        self._consumer: Consumer = cluster.consumer(**{"fetch.wait.max.ms": 100})
        self._consumer.assign(
            [
                TopicPartition(
                    topic,
                    number,
                    self._consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)[1],
                )
                for number in range(PARTITIONS)
            ]
        )
        self._running = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while self._running:
            message = self._consumer.poll(0.1)
            if message is None or message.error() is not None:
                continue
            at = time.perf_counter()
            for found in self._ids_of(message):
                self.seen.setdefault(found, at)

    def close(self) -> None:
        self._running = False
        self._thread.join(10)
        self._consumer.close()


def window(producer: Producer, send: Callable[[int, str], None], reader: Reader, rate: int, tag: str) -> list[float]:
    """Send at a rate for a while and return the latencies, in milliseconds."""
    count = max(10, min(rate * 4, 2_000))
    sent: dict[str, float] = {}
    begin = time.perf_counter()
    for number in range(count):
        due = begin + number / rate
        while (left := due - time.perf_counter()) > 0:
            producer.poll(min(left, 0.005))
        name = f"{tag}-{number}"
        sent[name] = time.perf_counter()
        send(number, name)
        producer.poll(0)
    producer.flush(10)
    deadline = time.perf_counter() + 30
    while len(reader.seen.keys() & sent.keys()) < count:
        if time.perf_counter() > deadline:
            raise TimeoutError(f"{count - len(reader.seen.keys() & sent.keys())} of {count} were not seen")
        time.sleep(0.02)
    return [(reader.seen[name] - at) * 1000 for name, at in sent.items()]


def main(cluster: Cluster, quick: bool = False) -> list[Row]:
    """Measure each rate; return the rows of the table."""
    topics = cluster.namespace(PARTITIONS)
    source, echoed = cluster.topic("echo-in", PARTITIONS), cluster.topic("echo-out", PARTITIONS)
    settings = {"HEADGATE_NAMESPACE": topics.namespace, "HEADGATE_LOG_LEVEL": "warning"}
    rows = []
    config: dict[str, Any] = {"source": {"topic": "none"}, "destination": {"kind": "discard"}}
    with (
        cluster.process("-m", "headgate.cli.main", "projector", **settings),
        cluster.process("-m", "tests.bench.handwritten", "echo", cluster.bootstrap_servers, source, echoed),
    ):
        with CommandClient(cluster.bootstrap_servers, topics.namespace, actor="bench") as commands:
            handles = [commands.create(f"s{number}", config) for number in range(STREAMS)]
            for handle in handles:
                assert handle.outcome(60).outcome == "accepted"
        producer = Producer(
            {"bootstrap.servers": cluster.bootstrap_servers, "linger.ms": 0, "partitioner": "murmur2_random"}
        )
        states = Reader(cluster, topics.state, _commands_of)
        echoes = Reader(cluster, echoed, lambda message: [dict(message.headers() or ()).get("ce_id", b"").decode()])

        def modify(number: int, name: str) -> None:
            stream = f"s{number % STREAMS}"
            value = orjson.dumps({"config": {**config, "commit_interval_ms": 1 + time.perf_counter_ns() % 50_000}})
            headers = command_headers("modify", name, stream, source="bench", at_ms=0, actor="bench")
            producer.produce(topics.commands, value, stream.encode(), headers=headers)

        def send_echo(number: int, name: str) -> None:
            value = orjson.dumps({"config": {**config, "commit_interval_ms": 7}})
            headers = command_headers("modify", name, "s", source="bench", at_ms=0, actor="bench")
            producer.produce(source, value, b"s%d" % (number % STREAMS), headers=headers)

        try:
            for rate in RATES:
                print(f"command to visible state at {rate}/s")
                ours: list[float] = []
                theirs: list[float] = []
                for turn in range(3 if quick else WINDOWS):
                    pair = [("ours", modify, states, ours), ("echo", send_echo, echoes, theirs)]
                    for name, send, reader, into in pair[:: -1 if turn % 2 else 1]:
                        into.append(statistics.median(window(producer, send, reader, rate, f"{name}{rate}-{turn}")))
                    print(f"  window {turn + 1}: p50 {ours[-1]:.1f} ms against {theirs[-1]:.1f} ms")
                ratio = Spread.of([a / b for a, b in zip(ours, theirs, strict=True)])
                bar = "≤ 1.00" if rate <= 200 else "shown"
                rows.append(
                    Row(
                        f"command to visible state, p50 at {rate:,}/s",
                        Spread.of(ours).shown(" ms", 1),
                        "transactional echo: " + Spread.of(theirs).shown(" ms", 1),
                        ratio.shown(),
                        bar,
                        rate > 200 or ratio.median <= 1.0,
                    )
                )
        finally:
            states.close()
            echoes.close()
    cluster.delete(source, echoed)
    cluster.delete_namespace(topics)
    return rows


def _commands_of(message: Any) -> Iterable[str]:
    """Return the newest commands that a state remembers: under load one state may answer several of them."""
    value = message.value()
    if value is None or not message.key().startswith(b"s"):
        return ()
    return [memory["id"] for memory in orjson.loads(value)["commands"][-4:]]
