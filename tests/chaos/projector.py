"""Projectors killed with SIGKILL at random moments while commands keep coming; then everything is counted.

Judged twice: by `verify`, which is a command of the product, and by a reader of the suite's own that counts, for each
command, its final outcomes and, for each stream, its versions.
"""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from headgate.bootstrap import make_clock, make_log
from headgate.projector.verify import Verification, verify
from headgate.settings import load_settings
from headgate_events.codec import command_headers, encode
from headgate_events.topics import Topics
from tests.chaos.pretending import PretendedWorker
from tests.support.eventually import eventually
from tests.support.kafka import Topics as TestTopics
from tests.support.kafka import admin, read_to_end
from tests.support.processes import HeadgateProcess, Processes

CONFIG: dict[str, Any] = {
    "source": {"kind": "kafka", "topic": "source"},
    "destination": {"kind": "discard"},
}
MIX: tuple[tuple[int, str, dict[str, Any]], ...] = (
    (20, "create", {"config": CONFIG}),
    (20, "start", {}),
    (14, "pause", {}),
    (3, "pause", {"force": True}),
    (14, "resume", {}),
    (6, "modify", {"config": {**CONFIG, "parallelism": 2}}),
    (6, "recover", {}),
    (4, "cancel-drain", {}),
    (4, "retry", {}),
    (4, "delete", {}),
    (2, "delete", {"drain": True}),
    (3, "start", {"dry_run": True}),
)
PIECES = 10
RECOVERY_S = 60.0
OWNS = "projector.assigned"
"""What a projector says once it has partitions: a process that only starts up is no victim worth counting."""
SETTLED_S = 180.0


@dataclass(slots=True)
class Figures:
    """What a run did and what was found. `problems` is empty when everything held."""

    kills: int
    commands: int
    streams: int
    seconds: float = 0.0
    recoveries_s: list[float] = field(default_factory=list)
    verification: Verification | None = None
    problems: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the figures as a person reads them."""
        found = self.verification
        assert found is not None
        slowest = sorted(self.recoveries_s) or [0.0]
        late = slowest[int(len(slowest) * 0.95)]
        recoveries = f"median {statistics.median(slowest):.2f} s, 95 % {late:.2f} s, longest {slowest[-1]:.2f} s"
        return [
            f"kills with SIGKILL                  {self.kills}",
            f"commands                            {self.commands:,} on {self.streams:,} streams",
            f"inputs folded (reports among them)  {found.inputs:,}",
            f"transitions                         {found.transitions:,}",
            f"final outcomes                      {found.outcomes:,}",
            f"kill to the next outcome            {recoveries}",
            f"differences found by verify         {found.found}",
            f"problems found by counting          {len(self.problems) - found.found}",
            f"duration                            {self.seconds:.0f} s",
        ]


def session_timeout_ms(bootstrap_servers: str) -> int:
    """Return the shortest session timeout that the broker takes, at least 1.5 s: it is the price of each kill."""
    client = admin(bootstrap_servers)
    nodes = client.list_topics(timeout=30).brokers
    resource = ConfigResource(ResourceType.BROKER, str(next(iter(nodes))))
    described = client.describe_configs([resource])[resource].result(30)
    return max(1_500, int(described["group.min.session.timeout.ms"].value))


def create_topics(bootstrap_servers: str, namespace: str, partitions: int) -> Topics:
    """Create the topics of a namespace through the suite's own client."""
    topics = Topics(namespace)
    client: AdminClient = admin(bootstrap_servers)
    wanted = [NewTopic(spec.name, spec.partitions or partitions, 1, config=dict(spec.config)) for spec in topics.specs]
    for made in client.create_topics(wanted, operation_timeout=30).values():
        made.result(30)
    for spec in topics.specs:
        TestTopics(bootstrap_servers, namespace).wait_until_visible(spec.name, spec.partitions or partitions)
    return topics


class Load:
    """Sends commands; every one has an id that tells its number."""

    def __init__(self, bootstrap_servers: str, topics: Topics, streams: int, seed: int) -> None:
        self._topics = topics
        self._streams = streams
        self._random = random.Random(seed)
        self._producer = Producer(
            {"bootstrap.servers": bootstrap_servers, "partitioner": "murmur2_random", "linger.ms": 0}
        )
        self.sent = 0

    def send(self, count: int) -> None:
        """Send `count` commands, each drawn from the mix, to streams drawn at random."""
        kinds, weights = [each[1:] for each in MIX], [each[0] for each in MIX]
        for kind, content in self._random.choices(kinds, weights, k=count):
            stream = f"stream-{self._random.randrange(self._streams)}"
            self._producer.produce(
                self._topics.commands,
                encode({"kind": kind, **content}),
                stream.encode(),
                headers=command_headers(kind, f"command-{self.sent}", stream, source="chaos", at_ms=0, actor="chaos"),
            )
            self.sent += 1
            self._producer.poll(0)

    def flush(self) -> None:
        """Return when all that was sent is in the log."""
        assert self._producer.flush(60) == 0


def run(
    bootstrap_servers: str,
    namespace: str,
    started: Processes,
    *,
    kills: int,
    commands: int,
    streams: int,
    processes: int = 2,
    partitions: int = 4,
    seed: int = 1,
    say: Callable[[str], None] = lambda _: None,
) -> Figures:
    """Run it; figures come back also when something was found. Raises AssertionError when nothing moves any more."""
    topics = create_topics(bootstrap_servers, namespace, partitions)
    timeout_ms = session_timeout_ms(bootstrap_servers)
    figures = Figures(kills, commands, streams)
    moments = random.Random(seed)
    worker = PretendedWorker(bootstrap_servers, topics, partitions, seed)
    load = Load(bootstrap_servers, topics, streams, seed)
    began_s = time.monotonic()

    def projector() -> HeadgateProcess:
        return started.start("projector", environment={"HEADGATE_PROJECTOR_SESSION_TIMEOUT_MS": str(timeout_ms)})

    running = [projector() for _ in range(processes)]
    worker.start()
    for kill in range(kills):
        due = commands * (kill + 1) // kills
        seen = worker.answered.total() + worker.transitions
        load.send((due - load.sent) // 2)
        eventually(
            lambda seen=seen: worker.answered.total() + worker.transitions > seen,  # type: ignore[misc]
            RECOVERY_S,
            "inputs are folded",
            0.01,
        )
        owners = eventually(
            lambda: [number for number, each in enumerate(running) if OWNS in each.output()],
            RECOVERY_S,
            "a projector owns partitions",
        )
        victim = moments.choice(owners)
        # Half of the kills come within the first transactions of a burst, the others anywhere in a steady trickle.
        delay_s = moments.uniform(0.0, moments.choice((0.05, 0.5)))
        for piece in range(PIECES, 0, -1):
            load.send((due - load.sent) // piece)
            time.sleep(delay_s / PIECES)
        seen = worker.answered.total()
        running[victim].kill()
        killed_s = time.monotonic()
        running[victim] = projector()
        load.flush()
        if worker.answered.total() < load.sent:
            eventually(
                lambda seen=seen: worker.answered.total() > seen, RECOVERY_S, "commands are answered after a kill", 0.01
            )
            figures.recoveries_s.append(time.monotonic() - killed_s)
        if (kill + 1) % 10 == 0:
            say(f"{kill + 1} kills, {load.sent:,} commands sent, {worker.answered.total():,} answered")
    eventually(
        lambda: len(worker.answered) >= commands, SETTLED_S, f"all {commands} commands have their final outcome", 0.1
    )
    worker.end()
    for process in running:
        process.wait_for_output("projector.started", RECOVERY_S)
        code = process.stop(60)
        if code != 0:
            figures.problems.append(f"{process} ended with {code} after SIGTERM: {process.tail(5)}")
    figures.seconds = time.monotonic() - began_s
    settings = load_settings(bootstrap_servers=bootstrap_servers, namespace=namespace)
    figures.verification = verify(make_log(settings), topics, make_clock())
    figures.problems += [f"{each.code}: {each.message}" for each in figures.verification.differences]
    figures.problems += _count(bootstrap_servers, topics, commands)
    return figures


def _count(bootstrap_servers: str, topics: Topics, commands: int) -> list[str]:
    """Count outcomes and versions with code that shares nothing with the product's."""
    outcomes: Counter[str] = Counter()
    versions: Counter[tuple[str, int, int]] = Counter()
    for record in read_to_end(bootstrap_servers, topics.history, timeout_s=120):
        payload = orjson.loads(record.value or b"{}")
        if payload["kind"] == "outcome":
            if payload["input"]["topic"] == topics.commands:
                outcomes[payload["input_id"]] += 1
        elif payload["kind"] != "forwarded":
            versions[payload["stream"], payload["incarnation"], payload["version"]] += 1
    wanted = {f"command-{number}" for number in range(commands)}
    problems = [f"{each} has {outcomes[each]} final outcomes" for each in sorted(wanted) if outcomes[each] != 1]
    problems += [f"{each} has an outcome and was never sent" for each in outcomes.keys() - wanted]
    problems += [f"version {each} stands {count} times" for each, count in versions.items() if count != 1]
    return problems
