"""A whole small Headgate on the real broker for one test: topics, the projector, workers as threads or as processes."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import NewPartitions

from headgate import bootstrap
from headgate.settings import Settings
from headgate.worker.process import Worker
from headgate_events.client.commands import CommandClient
from headgate_events.client.state import StateReader
from headgate_events.schema.state import StreamState
from headgate_events.topics import Topics as Namespace
from tests.conftest import Broker
from tests.support.eventually import eventually
from tests.support.kafka import Record, Topics, admin, read_to_end

WAIT_S = 30.0
PARTITIONS = 2
FAST = {
    # These workers are threads of the test's process and never die: silence would be a machine that stood still.
    "worker_heartbeat_interval_ms": 2_000,
    "worker_session_timeout_ms": 30_000,
    "worker_source_check_s": 1.0,
    "worker_shutdown_timeout_s": 15.0,
    "transform_modules": "tests.integration.worker.transforms",
}


class Headgate:
    """Commands, state and workers of one namespace. Belongs to the test's thread."""

    def __init__(self, broker: Broker, namespace: str, topics: Topics) -> None:
        self.servers = broker.bootstrap_servers
        self.namespace = namespace
        self.topics = topics
        self.workers: dict[str, tuple[Worker, threading.Thread]] = {}
        for spec in Namespace(namespace).specs:
            topics.create(spec.name.removeprefix(f"{namespace}."), spec.partitions or PARTITIONS, spec.config)
        self.commands = CommandClient(self.servers, namespace=namespace, actor="tester")
        self.state = StateReader(self.servers, namespace=namespace)
        self._exits = contextlib.ExitStack()
        self._producer = Producer({"bootstrap.servers": self.servers, "partitioner": "murmur2_random", "linger.ms": 5})
        self._projector = bootstrap.make_projector(self.settings())
        self._thread = threading.Thread(target=self._projector.run, name="projector", daemon=True)
        self._thread.start()

    def settings(self, **more: Any) -> Settings:
        return Settings(bootstrap_servers=self.servers, namespace=self.namespace, **(FAST | more))

    def worker(self, name: str, adjust: Callable[[Worker], None] | None = None, **more: Any) -> Worker:
        worker = bootstrap.make_worker(self.settings(worker_name=name, **more))
        if adjust is not None:
            adjust(worker)
        thread = threading.Thread(target=worker.run, name=f"worker-{name}", daemon=True)
        thread.start()
        self.workers[name] = (worker, thread)
        return worker

    def stop_worker(self, name: str) -> None:
        worker, thread = self.workers.pop(name)
        worker.stop()
        thread.join(WAIT_S)
        assert not thread.is_alive(), f"worker {name} still runs"

    def source(self, name: str, partitions: int = 3) -> str:
        return self.topics.create(name, partitions)

    def grow(self, topic: str, partitions: int) -> None:
        client = admin(self.servers)
        client.create_partitions([NewPartitions(topic, partitions)])[topic].result(WAIT_S)
        self.topics.wait_until_visible(topic, partitions)

    def plain_producer(self) -> Producer:
        return self._producer

    def produce(self, topic: str, count: int, *, start: int = 0, partitions: int | None = 3) -> None:
        """Write `count` numbered records, spread over the partitions in turn."""
        for number in range(start, start + count):
            value, key = str(number).encode(), f"key-{number % 97}".encode()
            kwargs = {} if partitions is None else {"partition": number % partitions}
            while True:
                try:
                    self._producer.produce(topic, value, key, **kwargs)
                    break
                except BufferError:
                    self._producer.poll(0.05)
        assert self._producer.flush(WAIT_S) == 0

    def create_and_start(self, stream: str, **config: Any) -> None:
        self.done(self.commands.create(stream, config))
        self.done(self.commands.start(stream))
        # A stream that meets an error at its first record may be past RUNNING before anybody looks.
        self.until(stream, "runs", lambda state: state.started_epoch > 0)

    def done(self, handle: Any) -> Any:
        """Wait for a command's acceptance."""
        outcome = handle.outcome(WAIT_S)
        assert outcome.outcome == "accepted", outcome
        return outcome

    def get(self, stream: str) -> StreamState:
        self.state.refresh(WAIT_S)
        state = self.state.get(stream)
        assert state is not None, f"there is no stream {stream}"
        return state

    def until(
        self, stream: str, what: str, holds: Callable[[StreamState], object], timeout_s: float = WAIT_S
    ) -> StreamState:
        def look() -> StreamState | None:
            state = self.get(stream)
            assert holds(state), state.model_dump_json(exclude={"commands", "config"})
            return state

        found = eventually(look, timeout_s, f"{stream} {what}")
        assert found is not None
        return found

    def until_status(self, stream: str, status: str, timeout_s: float = WAIT_S) -> StreamState:
        return self.until(stream, f"is {status}", lambda state: state.status == status, timeout_s)

    def read(self, topic: str) -> list[Record]:
        return read_to_end(self.servers, topic)

    def until_moved(self, topic: str, count: int, timeout_s: float = WAIT_S) -> list[Record]:
        def look() -> list[Record]:
            records = self.read(topic)
            assert len(records) >= count, f"{len(records)} of {count}"
            return records

        return eventually(look, timeout_s, f"{topic} holds {count} records", every_s=0.2)

    def until_shared(self, stream: str, shares: dict[str, int]) -> None:
        """Wait until each worker's last heartbeat says that it holds so many partitions of a stream."""
        following = Consumer({"bootstrap.servers": self.servers, "group.id": "follows", "enable.auto.commit": False})
        following.assign([TopicPartition(Namespace(self.namespace).heartbeats, 0, 0)])
        held: dict[str, int] = {}

        def look() -> bool:
            message = following.poll(0.2)
            if message is not None and message.error() is None:
                beat = orjson.loads(message.value() or b"{}")
                tasks = [task for task in beat["tasks"] if task["stream"] == stream and task["phase"] == "running"]
                held[beat["worker"]] = sum(len(task["partitions"]) for task in tasks)
            return held == shares

        try:
            eventually(look, WAIT_S, f"{stream} is shared as {shares}")
        finally:
            following.close()

    def until_written(self, topic: str, count: int) -> None:
        """Return when so many records lie in the topic, committed or not."""
        eventually(
            lambda: len(read_to_end(self.servers, topic, isolation="read_uncommitted")) >= count,
            WAIT_S,
            f"{count} records lie in {topic}",
        )

    def committed(self, stream: str, topic: str, partitions: int = 1) -> list[int]:
        """Return the positions that the stream's group has committed; below zero where there is none."""
        group = f"{self.namespace}.{stream}.{self.get(stream).incarnation}"
        asking = Consumer({"bootstrap.servers": self.servers, "group.id": group, "enable.auto.commit": False})
        places = [TopicPartition(topic, number) for number in range(partitions)]
        try:
            return [place.offset for place in asking.committed(places, timeout=WAIT_S)]
        finally:
            asking.close()

    def until_committed(self, stream: str, topic: str, partitions: int) -> None:
        """Return when the stream's group has committed a position for every partition."""
        eventually(
            lambda: all(offset >= 0 for offset in self.committed(stream, topic, partitions)),
            WAIT_S,
            f"{stream} has committed every partition of {topic}",
        )

    def forget_group(self, group: str) -> None:
        """Delete a group with its positions, as the broker does when nobody was in it for too long."""
        client = admin(self.servers)

        def gone() -> bool:
            (deleted,) = client.delete_consumer_groups([group]).values()
            try:
                deleted.result(WAIT_S)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.NON_EMPTY_GROUP:
                    raise
                return False
            return True

        eventually(gone, WAIT_S, f"the group {group} is empty and gone")

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        client = admin(self.servers)
        (deleted,) = client.delete_records([TopicPartition(topic, partition, before)]).values()
        deleted.result(WAIT_S)

    def close(self) -> None:
        for name in list(self.workers):
            self.stop_worker(name)
        self._projector.stop()
        self._thread.join(WAIT_S)
        self.commands.close()
        self.state.close()
        assert not self._thread.is_alive()


@pytest.fixture
def headgate(broker: Broker, namespace: str, topics: Topics) -> Iterator[Headgate]:
    made = Headgate(broker, namespace, topics)
    try:
        yield made
    finally:
        made.close()


def numbers(records: list[Record]) -> list[int]:
    return sorted(int(record.value or b"-1") for record in records)
