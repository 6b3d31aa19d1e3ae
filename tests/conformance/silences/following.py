"""What is said while the replay runs: the edges topic, read by a client of our own, and the stream's status.

The latter is what `ActivityReader` makes of it by the valve. Both are followed by one thread. With each edge it notes
how many departures had been sent when it was seen, so that an ACTIVE can be told from one that came without its
departure.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from headgate_events import ActivityReader
from headgate_events.client.channels import ActivityEdge
from headgate_events.topics import Topics
from tests.conformance.silences.comparing import Edge
from tests.conformance.silences.expecting import WHOLE

LOOK_S = 0.02
END_S = 30.0


@dataclass(slots=True)
class Said:
    """What was said of one lane last: its status, None before the first word, and at which position."""

    status: str | None = None
    position: int | None = None


@dataclass(slots=True)
class _Shared:
    edges: list[Edge] = field(default_factory=list)
    said: dict[str, Said] = field(default_factory=dict)


class Follower:
    """Follows a namespace's edges from entering on. `said` and `edges` may be looked at from any thread.

    `lanes` are the names of the airports by their partition, `sent` tells how many departures of a lane were sent.
    """

    def __init__(
        self, servers: str, namespace: str, stream: str, lanes: Mapping[int, str], sent: Callable[[str], int]
    ) -> None:
        self._topics = Topics(namespace)
        self._stream, self._lanes, self._sent = stream, lanes, sent
        self._shared = _Shared(said={name: Said() for name in (*lanes.values(), WHOLE)})
        self._activity = ActivityReader(servers, namespace)
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "never-joined",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 50,
            }
        )
        self._failure: Exception | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    @property
    def edges(self) -> list[Edge]:
        """Every edge so far: those of the edges topic in its order, and among them the stream's as the valve said."""
        return list(self._shared.edges)

    def said(self, lane: str) -> Said:
        """Return what was said of a lane last. Raises what the reading failed with."""
        if self._failure is not None:
            raise self._failure
        return self._shared.said[lane]

    def __enter__(self) -> Self:
        partitions = self._consumer.list_topics(self._topics.edges, timeout=END_S).topics[self._topics.edges].partitions
        self._consumer.assign([TopicPartition(self._topics.edges, number, 0) for number in partitions])
        self._activity.refresh()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(END_S)
        self._activity.close()
        self._consumer.close()

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                for edge in self._activity.follow(LOOK_S):
                    self._note_stream(edge)
                first = self._consumer.poll(LOOK_S)
                for message in [] if first is None else [first, *self._consumer.consume(1_000, 0)]:
                    problem = message.error()
                    if problem is None:
                        self._note(orjson.loads(message.value() or b"{}"))
                    elif problem.fatal() or problem.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                        raise KafkaException(problem)
        except Exception as failure:  # noqa: BLE001 - raised again by whoever asks what was said
            self._failure = failure

    def _note(self, said: Mapping[str, object]) -> None:
        if said.get("stream") != self._stream:
            return
        channel, evidence = said["channel"], said.get("evidence")
        assert isinstance(channel, dict)
        position = evidence["position"] if isinstance(evidence, dict) and said["status"] == "IDLE" else None
        self._keep(self._lanes[channel["partition"]], str(said["status"]), position)

    def _note_stream(self, edge: ActivityEdge) -> None:
        if edge.stream != self._stream or edge.channel is not None:
            return
        proofs = [each.evidence for each in self._activity.table.channels(self._stream)]
        position = sum(proof.position for proof in proofs if proof is not None) if edge.status.value == "IDLE" else None
        self._keep(WHOLE, edge.status.value, position)

    def _keep(self, lane: str, status: str, position: int | None) -> None:
        assert status in {"IDLE", "ACTIVE"}, f"{status} of {lane}"
        self._shared.edges.append(
            Edge(lane, status, position, self._sent(lane), time.monotonic())  # type: ignore[arg-type]
        )
        self._shared.said[lane] = Said(status, position)
