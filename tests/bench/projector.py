"""Projector throughput: the full lifecycle fold with validation, exactly once, against the loop without validation.

    python -m tests.bench.projector SERVERS NAMESPACE INPUTS full|unvalidated|models

One process folds a commands topic that is full already, from the first input to the last, by the product's own
projector. `unvalidated` is the same process with the validators of the edge switched off; `models` carries pydantic
models through the fold, as one would without thinking about it: each state is parsed into its model, and states and
history records are dumped from theirs.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import orjson
from confluent_kafka import Producer

from headgate_events.codec import command_headers
from headgate_events.schema.config import StreamConfig
from headgate_events.schema.state import StreamState
from tests.bench.cluster import Cluster
from tests.bench.measuring import Row, Spread

STREAMS = 5_000
PARTITIONS = 4
PAIRS = 5
STORY = ("create", "start", "pause", "modify", "delete", "create", "modify", "modify")


def fill(cluster: Cluster, topic: str, streams: int) -> int:
    """Write the commands of a short life for each stream, some of them refused; return how many."""
    producer = Producer(
        {
            "bootstrap.servers": cluster.bootstrap_servers,
            "partitioner": "murmur2_random",
            "linger.ms": 20,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    config = StreamConfig.model_validate(
        {"source": {"topic": "in"}, "destination": {"kind": "kafka", "topic": "out"}, "labels": {"team": "bench"}}
    ).model_dump(mode="json")
    written = 0
    for step, kind in enumerate(STORY):
        for number in range(streams):
            stream = f"stream-{number}"
            payload: dict[str, Any] = {"reason": f"step {step}"}
            if kind in ("create", "modify"):
                payload["config"] = {**config, "commit_interval_ms": 100 + step}
            headers = command_headers(kind, f"{stream}-{step}", stream, source="bench", at_ms=0, actor="bench")
            while True:
                try:
                    producer.produce(topic, orjson.dumps(payload), stream.encode(), headers=headers)
                    break
                except BufferError:
                    producer.poll(0.1)
            written += 1
        producer.poll(0)
    if producer.flush(120):
        raise TimeoutError(f"{topic} could not be filled")
    return written


def fold_all(servers: str, namespace: str, inputs: int, mode: str) -> float:
    """Fold everything and return inputs per second, from the first fold to the last commit."""
    from headgate import bootstrap
    from headgate.projector import folding
    from headgate.settings import Settings
    from headgate_events import codec

    if mode == "unvalidated":
        codec._adapter = lambda _: _Trusting()  # type: ignore[assignment]
        codec._understood = lambda _, payload: payload  # type: ignore[assignment]
    elif mode == "models":
        plain = folding.fold

        def with_models(state: Any, item: Any, policy: Any) -> Any:
            folded = plain(None if state is None else StreamState.model_validate(state).model_dump(), item, policy)
            for record in folded.records:
                codec.validate("history", record.payload).model_dump_json()
            if folded.state is not None:
                StreamState.model_validate(folded.state).model_dump_json()
            return folded

        folding.fold = with_models  # type: ignore[assignment]
    settings = Settings(bootstrap_servers=servers, namespace=namespace, log_level="error")
    projector = bootstrap.make_projector(settings)
    done, began, ended = 0, 0.0, 0.0
    deadline = time.monotonic() + 300
    while done < inputs:
        at = time.perf_counter()
        step = projector.step(time.monotonic())
        if step.inputs and not began:
            began = at
        done += step.inputs
        ended = time.perf_counter()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{done} of {inputs} inputs were folded")
    projector.close()
    return inputs / (ended - began)


class _Trusting:
    """Stands in for a validator: takes everything as it is."""

    def validate_python(self, payload: Any) -> Any:
        return payload


def run(cluster: Cluster, mode: str, streams: int) -> float:
    """Fill a fresh namespace and fold it in a process of its own; return inputs per second."""
    topics = cluster.namespace(PARTITIONS)
    try:
        inputs = fill(cluster, topics.commands, streams)
        arguments = (cluster.bootstrap_servers, topics.namespace, str(inputs), mode)
        ran = subprocess.run(
            [sys.executable, "-m", "tests.bench.projector", *arguments], capture_output=True, timeout=400, text=True
        )
        if ran.returncode:
            raise RuntimeError(ran.stderr[-2000:])
        return float(ran.stdout.strip().splitlines()[-1])
    finally:
        cluster.delete_namespace(topics)


def main(cluster: Cluster, quick: bool = False) -> list[Row]:
    """Measure the three in turns; return the rows of the table."""
    streams = STREAMS // 5 if quick else STREAMS
    print("projector throughput")
    found: dict[str, list[float]] = {"full": [], "unvalidated": [], "models": []}
    for number in range(3 if quick else PAIRS):
        order = list(found) if number % 2 == 0 else list(found)[::-1]
        for mode in order:
            found[mode].append(run(cluster, mode, streams))
        print(f"  turn {number + 1}: " + ", ".join(f"{mode} {values[-1]:,.0f}/s" for mode, values in found.items()))
    against = {
        mode: Spread.of([a / b for a, b in zip(found["full"], found[mode], strict=True)])
        for mode in ("unvalidated", "models")
    }
    ours = Spread.of(found["full"]).shown(" /s", 0)
    return [
        Row(
            "projector, full fold with validation, exactly once",
            ours,
            f"the same without validation: {Spread.of(found['unvalidated']).shown(' /s', 0)}",
            against["unvalidated"].shown(),
            "≥ 0.75",
            against["unvalidated"].median >= 0.75,
        ),
        Row(
            "projector, full fold with validation, exactly once",
            ours,
            f"pydantic models throughout: {Spread.of(found['models']).shown(' /s', 0)}",
            against["models"].shown(),
            "≥ 2.00",
            against["models"].median >= 2.0,
        ),
    ]


if __name__ == "__main__":
    print(fold_all(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
