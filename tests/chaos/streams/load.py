"""The sender of a run: numbered records, the same key always in the same partition, and bursts that are aborted.

What is aborted must never come out at the other end. The numbered records are sent by an idempotent producer outside
of any transaction, so that their fate is never in doubt to the sender; what counts is what the source holds afterwards.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid

from confluent_kafka import KafkaException, Producer

KEYS = 61
BURST = 50
SLICE = 250
PAUSE_S = 0.01
FLUSH_S = 120.0


class Load:
    """Sends on a thread of its own up to the number that was asked for last."""

    def __init__(self, bootstrap_servers: str, topic: str, partitions: int, padding: int = 60) -> None:
        self._topic = topic
        self._partitions = partitions
        self._padding = "x" * padding
        self._servers = bootstrap_servers
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.timeout.ms": 300_000,
                "log_level": 0,  # a broker that is killed on purpose is no news
            }
        )
        self._wanted = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self.sent = 0
        self.aborted = 0
        self._thread.start()

    def up_to(self, count: int) -> None:
        """Send records up to number `count`, not included, in the background."""
        self._wanted = max(self._wanted, count)

    def abort_some(self) -> None:
        """Write a burst in a transaction and abort it. A broker that does not play along leaves it to its timeout."""
        producer = Producer(
            {
                "bootstrap.servers": self._servers,
                "transactional.id": f"aborted-{uuid.uuid4().hex}",
                "transaction.timeout.ms": 5_000,
            }
        )
        with contextlib.suppress(KafkaException):
            producer.init_transactions(10)
            producer.begin_transaction()
            for number in range(BURST):
                producer.produce(
                    self._topic, b'{"aborted":%d}' % number, b"aborted", partition=number % self._partitions
                )
            producer.flush(10)
            self.aborted += BURST
            producer.abort_transaction(10)

    def end(self) -> None:
        """Return when all that was asked for is in the source."""
        self._ended.set()
        self._thread.join(FLUSH_S)
        assert not self._thread.is_alive() and self._producer.flush(FLUSH_S) == 0, "the load could not be sent"

    def _run(self) -> None:
        while not (self._ended.is_set() and self.sent >= self._wanted):
            for number in range(self.sent, min(self._wanted, self.sent + SLICE)):
                self._send(number)
            self._producer.poll(PAUSE_S)
            time.sleep(PAUSE_S)

    def _send(self, number: int) -> None:
        key = number % KEYS
        value = f'{{"n":{number},"k":"key-{key}","padding":"{self._padding}"}}'.encode()
        while True:
            try:
                self._producer.produce(self._topic, value, f"key-{key}".encode(), partition=key % self._partitions)
                break
            except BufferError:
                self._producer.poll(0.1)
        self.sent = number + 1
