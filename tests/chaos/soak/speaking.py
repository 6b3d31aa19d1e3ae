"""The producers of a soak, one for each partition: bursts, trickles, transactions held open or aborted, and gaps.

What each did is not written down here. The source's own log says it better, with offsets and the times of the broker:
also where a commit was in doubt because the broker was killed meanwhile.

Every record carries its event time. It is never older than the newest of its partition by more than the disorder that
the stream allows, so that by the rules no record is late.
"""

from __future__ import annotations

import random
import threading
import time
import uuid

import orjson
from confluent_kafka import KafkaException, Producer

DISORDER_MS = 400
HEADER = "event-time"
REQUEST_S = 10.0
END_S = 120.0
OPEN_S = (0.0, 0.3, 1.0, 2.5)
"""For how long a transaction stays open: shorter and longer than a worker waits before IDLE."""


class Speaker:
    """Speaks into one partition on a thread of its own, until it is told to end. What it does is drawn from a seed."""

    def __init__(self, servers: str, topic: str, partition: int, seed: int) -> None:
        self._servers, self._topic, self._partition = servers, topic, partition
        self._draw = random.Random(f"{seed}/{partition}")
        self._number = 0
        self._newest_ms = 0
        self._ended = threading.Event()
        self._plain = Producer(self._settings({"enable.idempotence": True}))
        self._transactional: Producer | None = None
        self._thread = threading.Thread(target=self._run, name=f"speaker-{partition}", daemon=True)

    def start(self) -> None:
        """Begin to speak."""
        self._thread.start()

    def end(self) -> None:
        """Fall silent: return when everything that was sent is decided."""
        self._ended.set()
        self._thread.join(END_S)
        assert not self._thread.is_alive(), "a producer of the soak does not end"
        assert self._plain.flush(END_S) == 0, "a producer of the soak cannot write"

    def _run(self) -> None:
        acts = (self._burst, self._trickle, self._transaction, self._transaction)
        while not self._ended.is_set():
            self._draw.choice(acts)()
            self._ended.wait(self._draw.choice((0.0, 0.2, 1.0, 2.0, 4.0)) * self._draw.uniform(0.5, 1.5))

    def _burst(self) -> None:
        for _ in range(self._draw.randint(1, 300)):
            self._send(self._plain)
        self._plain.flush(END_S)

    def _trickle(self) -> None:
        for _ in range(self._draw.randint(2, 12)):
            self._send(self._plain)
            self._plain.poll(0)
            self._ended.wait(self._draw.uniform(0.02, 0.5))
        self._plain.flush(END_S)

    def _transaction(self) -> None:
        """Write in a transaction; one in doubt is left to its timeout, which aborts it."""
        try:
            producer = self._transactional
            if producer is None:
                producer = Producer(
                    self._settings({"transactional.id": f"soak-{uuid.uuid4().hex}", "transaction.timeout.ms": 5_000})
                )
                producer.init_transactions(REQUEST_S)
                self._transactional = producer
            producer.begin_transaction()
            for _ in range(self._draw.randint(1, 30)):
                self._send(producer)
            producer.flush(REQUEST_S)
            self._ended.wait(self._draw.choice(OPEN_S))
            if self._draw.random() < 0.4:
                producer.abort_transaction(REQUEST_S)
            else:
                producer.commit_transaction(REQUEST_S)
        except KafkaException:
            self._transactional = None
            time.sleep(0.2)

    def _send(self, producer: Producer) -> None:
        now_ms = time.time_ns() // 1_000_000
        event_ms = max(now_ms, self._newest_ms) - self._draw.randint(0, DISORDER_MS)
        self._newest_ms = max(self._newest_ms, event_ms)
        value = orjson.dumps({"p": self._partition, "n": self._number})
        while True:
            try:
                producer.produce(
                    self._topic, value, partition=self._partition, headers=[(HEADER, str(event_ms).encode())]
                )
                break
            except BufferError:
                producer.poll(0.1)
        self._number += 1

    def _settings(self, more: dict[str, object]) -> dict[str, object]:
        return {
            "bootstrap.servers": self._servers,
            "linger.ms": 1,
            "retry.backoff.ms": 10,
            "message.timeout.ms": 4_000 if "transactional.id" in more else 300_000,
            "log_level": 0,  # a broker that is killed on purpose is no news
            **more,
        }
