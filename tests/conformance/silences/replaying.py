"""The replay: departures go into a real topic as they happened, with time compressed, and silences are lived through.

No number here rests on a clock that keeps up. The schedule can be held, and what is left of it shifts: when the replay
is late, when an IDLE is due (nothing more happens until it was said, or until a bound has passed), and after the
departure that ends a silence (nothing more happens until ACTIVE was said). So a slow machine stretches gaps and never
shortens one; what it may do wrong is to make a silence of a gap that was none, which `comparing` sees by the
acknowledged times. And since each edge is waited for where it belongs, their order among each other is exact.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC
from typing import Any

import orjson
from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from headgate_events import CommandClient
from headgate_events.client.state import StateReader
from tests.conformance.silences.comparing import Comparison, Sent, compare
from tests.conformance.silences.expecting import WHOLE, Departure, Lane
from tests.conformance.silences.following import Follower
from tests.support.eventually import eventually
from tests.support.processes import Processes

STREAM = "departures"
WAIT_S = 60.0
EDGE_S = 30.0
"""How long one edge is waited for before it counts as missing."""
GIVE_UP_AFTER = 3
"""After so many edges that did not come in time nothing is waited for any more: the rest is known to be wrong."""
LOOK_S = 0.01
IDLE_AFTER_SHARE = 1.35
"""What workers wait before IDLE, as a share of the compressed threshold: between one and one and a half."""


class Replay:
    """One run over some departures. `compression` is how many seconds of the file pass in one."""

    def __init__(
        self,
        servers: str,
        namespace: str,
        departures: Sequence[Departure],
        lanes: Sequence[Lane],
        *,
        threshold_s: float,
        compression: float,
        say: Callable[[str], None],
    ) -> None:
        self._servers, self._namespace = servers, namespace
        self._departures, self._lanes, self._say = departures, lanes, say
        self._compression = compression
        self.idle_after_s = IDLE_AFTER_SHARE * threshold_s / compression
        self.sent = {lane.name: Sent() for lane in lanes}
        self.held_s = 0.0
        self.waits_s: list[float] = []
        self._places = {lane.name: number for number, lane in enumerate(lanes[:-1])}
        self._origin_s = 0.0
        self._given_up = 0
        self._refused: str | None = None
        self._source = f"{namespace}.departures"
        self._destination = f"{namespace}.carried"
        self._producer = Producer(
            {"bootstrap.servers": servers, "linger.ms": 0, "enable.idempotence": True, "delivery.timeout.ms": 60_000}
        )

    def run(self, processes: Processes) -> Comparison:
        """Start a projector, a worker and the stream, replay everything, and compare."""
        with ExitStack() as exits:
            done = processes.run("init", timeout_s=WAIT_S)
            if done.returncode:
                raise RuntimeError(f"headgate init ended with {done.returncode}: {done.stderr}")
            self._create_topics()
            follower = exits.enter_context(
                Follower(
                    self._servers,
                    self._namespace,
                    STREAM,
                    {number: name for name, number in self._places.items()},
                    lambda lane: len(self.sent[lane].sent_s),
                )
            )
            processes.start("projector")
            # The session of the only worker ends on a machine that stands still alone, and its next owner repeats IDLE.
            processes.start("worker", "--name", "worker", environment={"HEADGATE_WORKER_SESSION_TIMEOUT_MS": "60000"})
            self._start_stream()
            self._play(follower)
            edges = follower.edges
        return compare(self._lanes, edges, self.sent, self.idle_after_s)

    def _create_topics(self) -> None:
        client = AdminClient({"bootstrap.servers": self._servers})
        # The records carry the times of their departures, and by default Kafka drops what is older than a week.
        wanted = [
            NewTopic(name, len(self._places), 1, config={"retention.ms": "-1"})
            for name in (self._source, self._destination)
        ]
        for made in client.create_topics(wanted, operation_timeout=WAIT_S, request_timeout=WAIT_S).values():
            made.result(WAIT_S)

        def visible() -> bool:
            known = client.list_topics(timeout=WAIT_S).topics
            return all(
                name in known and len(known[name].partitions) == len(self._places)
                for name in (self._source, self._destination)
            )

        eventually(visible, WAIT_S, "the topics are there")

    def _start_stream(self) -> None:
        config: Mapping[str, Any] = {
            "source": {"kind": "kafka", "topic": self._source},
            "destination": {"kind": "kafka", "topic": self._destination, "partition": "source"},
            "idleness": {"idle_after_s": self.idle_after_s, "flap_damping": False},
            "commit_interval_ms": 20,
        }
        with (
            CommandClient(self._servers, self._namespace, actor="replay") as commands,
            StateReader(self._servers, self._namespace) as states,
        ):
            for handle in (commands.create(STREAM, config), commands.start(STREAM)):
                outcome = handle.outcome(WAIT_S)
                if outcome.outcome != "accepted":
                    raise RuntimeError(f"the stream was not started: {outcome.code}: {outcome.message}")

            def runs() -> bool:
                states.refresh(WAIT_S)
                state = states.get(STREAM)
                return state is not None and state.status == "RUNNING"

            eventually(runs, WAIT_S, "the stream runs")

    # The schedule

    def _play(self, follower: Follower) -> None:
        for lane in self._lanes:
            self._until_idle(follower, lane.name, 0)
        self._origin_s = time.monotonic()
        self.held_s, self.waits_s = 0.0, []  # until here the stream was starting
        day = None
        for at_s, due in self._schedule():
            self._until(at_s)
            if isinstance(due, Departure):
                if due.at.date() != day:
                    day = due.at.date()
                    self._say(f"  {day}, {len(follower.edges)} edges so far")
                self._depart(due, follower)
            else:
                self._until_idle(follower, *due)

    def _schedule(self) -> Iterator[tuple[float, Departure | tuple[str, int]]]:
        """Yield departures and the moments by which an IDLE is due, in order; what is due comes first."""
        began = self._departures[0].at
        plan: list[tuple[float, int, Departure | tuple[str, int]]] = [
            ((each.at - began).total_seconds(), 1, each) for each in self._departures
        ]
        plan += [
            (gap.due_s, 0, (lane.name, gap.number))
            for lane in self._lanes
            for gap in lane.gaps[1:]
            if gap.kind == "silence"
        ]
        for at_s, _, due in sorted(plan, key=lambda each: each[:2]):
            yield at_s, due

    def _until(self, at_s: float) -> None:
        """Wait until the schedule has come to a moment of the file; what is late shifts all that follows."""
        due_s = self._origin_s + at_s / self._compression
        while (left_s := due_s - time.monotonic()) > 0:
            self._producer.poll(min(left_s, 0.05))
        self._producer.poll(0)
        if self._refused is not None:
            raise RuntimeError(f"a departure could not be written: {self._refused}")
        self._origin_s -= left_s

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Let the schedule stand for as long as the block lasts."""
        began_s = time.monotonic()
        yield
        lasted_s = time.monotonic() - began_s
        self._origin_s += lasted_s
        self.held_s += lasted_s

    def _hold_until(self, holds: Callable[[], bool], what: str) -> None:
        if self._given_up >= GIVE_UP_AFTER or holds():
            return
        with self._held():
            began_s = time.monotonic()
            while not holds():
                if time.monotonic() - began_s > EDGE_S:
                    self._say(f"  {what} did not come within {EDGE_S:g} s")
                    self._given_up += 1
                    return
                self._producer.poll(LOOK_S)
            self.waits_s.append(time.monotonic() - began_s)

    def _until_idle(self, follower: Follower, lane: str, number: int) -> None:
        def idle() -> bool:
            said = follower.said(lane)
            return said.status == "IDLE" and said.position == number

        self._hold_until(idle, f"{lane}: IDLE before departure {number}")

    def _depart(self, departure: Departure, follower: Follower) -> None:
        lane = departure.origin
        ended = [name for name in (lane, WHOLE) if follower.said(name).status == "IDLE"]
        self._send(departure)
        for name in ended:
            self._hold_until(
                lambda name=name: follower.said(name).status == "ACTIVE",  # type: ignore[misc]
                f"{name}: ACTIVE after departure {len(self.sent[name].sent_s)}",
            )

    def _send(self, departure: Departure) -> None:
        lane = departure.origin
        own, whole = self.sent[lane], self.sent[WHOLE]
        places = len(own.sent_s), len(whole.sent_s)

        def acknowledged(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                self._refused = error.str()
            now_s = time.monotonic()
            own.acknowledged_s[places[0]] = whole.acknowledged_s[places[1]] = now_s

        now_s = time.monotonic()
        for each in (own, whole):
            each.acknowledged_s.append(float("inf"))
            each.sent_s.append(now_s)
        self._producer.produce(
            self._source,
            orjson.dumps(departure.row),
            lane.encode(),
            partition=self._places[lane],
            timestamp=int(departure.at.replace(tzinfo=UTC).timestamp() * 1_000),
            on_delivery=acknowledged,
        )
        self._producer.poll(0)
