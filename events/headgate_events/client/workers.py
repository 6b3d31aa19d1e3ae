"""`WorkersClient`: which workers there are and what they run, from their heartbeats; and which are to run nothing.

A heartbeat tells what a worker says of itself, so that it is silent only shows in its age. The age is taken between the
record's timestamp and this machine's clock; where those differ by seconds, so does what is called silent.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from headgate_events.client.kafka import Settings, make_producer, unreachable
from headgate_events.client.reader import TopicReader
from headgate_events.codec import CORDON_TYPE, encode
from headgate_events.envelope import Envelope, rfc3339, to_headers
from headgate_events.ids import new_command_id
from headgate_events.names import DEFAULT_NAMESPACE, check_worker_name, cordon_key, cordoned_worker
from headgate_events.records import Record
from headgate_events.topics import Topics

if TYPE_CHECKING:
    from confluent_kafka import Producer

SILENT_AFTER_BEATS: Final = 3
MARGIN_MS: Final = 1_000
SNAPSHOT_TIMEOUT_S: Final = 30.0
SEND_TIMEOUT_S: Final = 15.0
FETCH_WAIT_MS: Final = 50
Standing = Literal["live", "silent", "stopping", "stopped", "cordoned"]


@dataclass(frozen=True, slots=True)
class WorkerSight:
    """One worker as it was last heard. `beat` is its heartbeat, `cordon` what keeps tasks away from it.

    Both are JSON objects; `beat` is None of a worker that is cordoned and was not heard within an hour.
    """

    name: str
    beat: dict[str, Any] | None
    heard_ms: int
    cordon: dict[str, Any] | None

    def standing(self, now_ms: int) -> Standing:
        """Say how it stands: `stopped` left in good order, `silent` did not, `cordoned` lives and takes no tasks."""
        if self.beat is None:
            return "silent"
        silent = now_ms - self.heard_ms > SILENT_AFTER_BEATS * int(self.beat["interval_ms"]) + MARGIN_MS
        if self.beat.get("stopping"):
            return "stopped" if silent or not self.beat.get("tasks") else "stopping"
        if silent:
            return "silent"
        return "cordoned" if self.cordon is not None or self.beat.get("cordoned") else "live"


class WorkersClient:
    """Reads the heartbeats of a namespace, and cordons workers. Belongs to one thread."""

    def __init__(
        self, bootstrap_servers: str, namespace: str = DEFAULT_NAMESPACE, *, kafka: Settings | None = None
    ) -> None:
        self._servers = bootstrap_servers
        self._kafka = kafka
        self._topic = Topics(namespace).heartbeats
        reading = {"fetch.wait.max.ms": FETCH_WAIT_MS, **(kafka or {})}
        self._reader = TopicReader(bootstrap_servers, self._topic, reading)
        self._beats: dict[str, tuple[dict[str, Any], int]] = {}
        self._cordons: dict[str, dict[str, Any]] = {}
        self._started = False

    def snapshot(self, timeout_s: float = SNAPSHOT_TIMEOUT_S, since_ms: int | None = None) -> dict[str, WorkerSight]:
        """Return every worker that was heard within the last hour or so, by name, as of this call or later.

        With `since_ms` the first reading begins at that time: who was heard before, or cordoned, is not known then.

        Raises ClusterUnreachable, TopicsMissing, or EnvironmentProblem when the end was not reached in time.
        """
        deadline = time.monotonic() + timeout_s
        if not self._started:
            places = range(self._reader.partitions(timeout_s))
            if since_ms is None:
                self._reader.start(dict.fromkeys(places))
            else:
                self._reader.start(dict(self._reader.at_time(places, since_ms, timeout_s)))
            self._started = True
        newest: dict[bytes | str | None, Any] = {}
        for batch in self._reader.to_now(max(0.1, deadline - time.monotonic())):
            # Of each worker only the newest counts, and they are large.
            newest.update((record.key(), record) for record in batch)
        self._take(list(newest.values()))
        return self.known()

    def follow(self, timeout_s: float) -> Iterator[dict[str, WorkerSight]]:
        """Yield what is known after each batch of heartbeats, for a time. Call `snapshot` first."""
        for batch in self._reader.onward(timeout_s):
            if batch:
                self._take(batch)
                yield self.known()

    def known(self) -> dict[str, WorkerSight]:
        """Return every worker as last read."""
        found: dict[str, WorkerSight] = {}
        for name in sorted({*self._beats, *self._cordons}):
            beat, heard_ms = self._beats.get(name, (None, 0))
            found[name] = WorkerSight(name, beat, heard_ms, self._cordons.get(name))
        return found

    def cordon(self, worker: str, *, actor: str, reason: str | None = None) -> None:
        """Have a worker run nothing: its tasks finish in good order and move. Returns when the log has it."""
        payload = {
            "kind": "cordon",
            "worker": check_worker_name(worker),
            "at_ms": time.time_ns() // 1_000_000,
            "actor": actor,
            "reason": reason,
            "said_by": None,
        }
        self._send(worker, encode(payload), actor)

    def uncordon(self, worker: str, *, actor: str) -> None:
        """Let a worker run tasks again. Returns when the log has it."""
        self._send(check_worker_name(worker), None, actor)

    def close(self) -> None:
        """Let go of the connection."""
        self._reader.close()

    def _send(self, worker: str, value: bytes | None, actor: str) -> None:
        headers = to_headers(
            Envelope(
                type=CORDON_TYPE,
                id=new_command_id(),
                source="headgate/client",
                subject=worker,
                time=rfc3339(time.time_ns() // 1_000_000),
                actor=actor,
            )
        )
        producer: Producer = make_producer(self._servers, self._kafka, SEND_TIMEOUT_S)
        failed: list[str] = []

        def delivered(error: object, _: object) -> None:
            if error is not None:
                failed.append(str(error))

        producer.produce(self._topic, value, cordon_key(worker).encode(), headers=list(headers), on_delivery=delivered)
        if producer.flush(SEND_TIMEOUT_S + 1) or failed:
            raise unreachable(f"writing to {self._topic}", failed[0] if failed else "")

    def _take(self, batch: list[Any]) -> None:
        for record in batch:
            self._take_one(record)

    def _take_one(self, record: Record) -> None:
        key, value = record.key(), record.value()
        name = key.decode(errors="replace") if isinstance(key, bytes) else str(key or "")
        cordoned = cordoned_worker(name)
        if value is None:
            (self._beats if cordoned is None else self._cordons).pop(cordoned or name, None)
            return
        try:
            payload = orjson.loads(value)
            interval_ms = int(payload["interval_ms"]) if cordoned is None else 0
        except (ValueError, KeyError, TypeError):
            return  # what cannot be read says nothing
        if cordoned is not None:
            self._cordons[cordoned] = payload
        elif interval_ms > 0:
            self._beats[name] = (payload, int(record.timestamp()[1]))
