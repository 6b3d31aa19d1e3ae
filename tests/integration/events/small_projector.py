"""The smallest thing that answers commands: one thread, the real decider, one transaction for each batch.

It stands in for the projector where only the clients are looked at; it takes nothing over and survives nothing.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Consumer, Producer, TopicPartition

from headgate.core.decider import fold, refuse_unreadable
from headgate_events.codec import STATE_TYPE, decode_input, encode, history_headers
from headgate_events.envelope import Envelope, to_headers
from headgate_events.records import HistoryRecord, Unreadable
from headgate_events.topics import Topics


class SmallProjector:
    """Folds everything in the namespace from the beginning, until it is closed. `hold` lets inputs wait."""

    def __init__(self, bootstrap_servers: str, names: Topics, partitions: int) -> None:
        self.go = threading.Event()
        self.go.set()
        self._servers = bootstrap_servers
        self._names = names
        self._partitions = partitions
        self._states: dict[str, dict[str, Any] | None] = {}
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        if self._failure is not None and error is None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as problem:  # noqa: BLE001 - told to the test when it leaves the block
            self._failure = problem

    def _work(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self._servers,
                "group.id": f"{self._names.namespace}-small-projector",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
            }
        )
        producer = Producer(
            {
                "bootstrap.servers": self._servers,
                "transactional.id": f"{self._names.namespace}-small-projector",
                "partitioner": "murmur2_random",
                "retry.backoff.ms": 5,
                "linger.ms": 0,
            }
        )
        producer.init_transactions(30)
        consumer.assign(
            [
                TopicPartition(topic, partition, 0)
                for topic in (self._names.commands, self._names.reports)
                for partition in range(self._partitions)
            ]
        )
        try:
            while not self._stop.is_set():
                if not self.go.wait(0.05):
                    continue
                first = consumer.poll(0.05)
                if first is None:
                    continue
                batch = [first, *consumer.consume(1_000, 0)]
                assert all(message.error() is None for message in batch)
                producer.begin_transaction()
                for message in batch:
                    self._decide(producer, message)
                producer.commit_transaction(30)
        finally:
            consumer.close()

    def _decide(self, producer: Producer, message: Any) -> None:
        family: Any = "commands" if message.topic() == self._names.commands else "reports"
        item = decode_input(family, message)
        if isinstance(item, Unreadable):
            self._write(producer, item.stream, (refuse_unreadable(item),))
            return
        folded = fold(self._states.get(item.stream), item)
        self._states[item.stream] = folded.state
        self._write(producer, item.stream, folded.records)
        if folded.changed:
            state = folded.state
            headers = to_headers(Envelope(type=STATE_TYPE, id=f"{item.stream}-{item.family}-{item.offset}"))
            value = None if state is None else encode(state)
            producer.produce(self._names.state, value, key=item.stream.encode(), headers=headers)  # type: ignore[arg-type]

    def _write(self, producer: Producer, stream: str | None, records: tuple[HistoryRecord, ...]) -> None:
        for record in records:
            key = None if stream is None else stream.encode()
            producer.produce(self._names.history, record.value, key=key, headers=history_headers(record))  # type: ignore[arg-type]
