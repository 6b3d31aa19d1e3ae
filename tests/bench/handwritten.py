"""The loops that anybody would write by hand with confluent-kafka, tuned as well as we know: what we compare with.

    python -m tests.bench.handwritten copy SERVERS SOURCE DESTINATION PARTITIONS exactly_once|at_least_once
    python -m tests.bench.handwritten echo SERVERS SOURCE DESTINATION

`copy` moves records until it is ended; `echo` is the smallest transactional echo with one producer: whatever it reads
it writes again at once, output and positions in one transaction.
"""

from __future__ import annotations

import signal
import sys
import time
import uuid
from typing import Any

from confluent_kafka import Consumer, Message, Producer

COMMIT_EVERY_S = 0.1
running = True


def stop(*_: Any) -> None:
    global running  # noqa: PLW0603
    running = False


def group_consumer(servers: str, **more: Any) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"bench-{uuid.uuid4().hex[:8]}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "fetch.queue.backoff.ms": 5,
            **more,
        }
    )


def taken(consumer: Consumer, most: int, wait_s: float) -> list[Message]:
    first = consumer.poll(wait_s)
    if first is None or first.error() is not None:
        return []
    return [first, *(message for message in consumer.consume(most, 0) if message.error() is None)]


def copy(servers: str, source: str, destination: str, exactly_once: bool) -> None:
    consumer = group_consumer(servers, **{"queued.max.messages.kbytes": 65_536})
    settings: dict[str, Any] = {
        "bootstrap.servers": servers,
        "linger.ms": 5,
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "queue.buffering.max.messages": 500_000,
    }
    if exactly_once:
        settings |= {"transactional.id": f"bench-{uuid.uuid4().hex[:8]}", "retry.backoff.ms": 5}
    producer = Producer(settings)
    if exactly_once:
        producer.init_transactions(30)
    consumer.subscribe([source])
    produce, open_since = producer.produce, 0.0
    while running:
        messages = taken(consumer, 10_000, 0.05)
        if messages and not open_since:
            open_since = time.monotonic()
            if exactly_once:
                producer.begin_transaction()
        for message in messages:
            while True:
                try:
                    produce(destination, message.value(), message.key())
                    break
                except BufferError:
                    producer.poll(0.05)
        producer.poll(0)
        if open_since and time.monotonic() - open_since >= COMMIT_EVERY_S:
            positions = consumer.position(consumer.assignment())
            if exactly_once:
                producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata(), 30)
                producer.commit_transaction(30)
            else:
                producer.flush(30)
                consumer.commit(offsets=positions, asynchronous=False)
            open_since = 0.0


def echo(servers: str, source: str, destination: str) -> None:
    consumer = group_consumer(servers)
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "linger.ms": 0,
            "retry.backoff.ms": 1,
            "transactional.id": f"bench-{uuid.uuid4().hex[:8]}",
        }
    )
    producer.init_transactions(30)
    consumer.subscribe([source])
    while running:
        messages = taken(consumer, 1_000, 0.1)
        if not messages:
            continue
        producer.begin_transaction()
        for message in messages:
            producer.produce(destination, message.value(), message.key(), headers=message.headers())
        producer.send_offsets_to_transaction(
            consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), 30
        )
        producer.commit_transaction(30)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    if sys.argv[1] == "copy":
        copy(sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5] == "exactly_once")
    else:
        echo(sys.argv[2], sys.argv[3], sys.argv[4])
