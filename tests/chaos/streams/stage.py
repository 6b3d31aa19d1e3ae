"""The stage of a run: one stream, its source, projector and worker processes, and the samples that the judge needs."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Mapping
from typing import Any

from headgate.broker.choose import FaultyBroker
from headgate_events.client.commands import CommandClient
from headgate_events.client.state import StateReader
from headgate_events.errors import HeadgateError
from headgate_events.schema.state import StreamState
from headgate_events.topics import Topics as Namespace
from tests.chaos.streams.load import Load
from tests.chaos.streams.targets import Target
from tests.checker import kafka as in_kafka
from tests.checker.model import Run, Seen
from tests.support.eventually import eventually
from tests.support.kafka import Topics
from tests.support.processes import HeadgateProcess, Processes
from tests.support.proxy import Proxy

STREAM = "proof"
SESSION_TIMEOUT_MS = 3_000
WAIT_S = 90.0
ANSWER_S = 60.0
READY = "worker.ready"


class Stage:
    """One namespace with one stream. Belongs to one thread.

    `worker_servers` is where every second worker finds the broker: behind the proxy, where there is one.
    """

    def __init__(
        self,
        servers: str,
        namespace: str,
        started: Processes,
        target: Target,
        *,
        partitions: int,
        draw: random.Random,
        say: Callable[[str], None],
        batch_records: int,
        behind_proxy: str | None = None,
        broker: FaultyBroker | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self.servers, self.namespace, self.target = servers, namespace, target
        self.draw, self.say, self.broker, self.proxy = draw, say, broker, proxy
        self.partitions = partitions
        self.samples: list[tuple[Seen, Seen | None]] = []
        self.workers: dict[str, HeadgateProcess] = {}
        self._started = started
        self._behind_proxy = behind_proxy or servers
        topics = Topics(servers, namespace)
        for spec in Namespace(namespace).specs:
            topics.create(spec.name.removeprefix(f"{namespace}."), spec.partitions or 1, spec.config)
        self.source = topics.create("source", partitions)
        self.commands = CommandClient(servers, namespace=namespace, actor="chaos", send_timeout_s=ANSWER_S)
        self.state = StateReader(servers, namespace=namespace)
        self.load = Load(servers, self.source, partitions)
        self.config: dict[str, Any] = {
            "source": {"kind": "kafka", "topic": self.source},
            "destination": target.section,
            "parallelism": 4,
            "max_batch_records": batch_records,
            "commit_interval_ms": 1,  # a transaction for each batch
            "retry": {"initial_s": 0.2, "max_s": 2.0},
        }
        self.projector = started.start(
            "projector", environment={"HEADGATE_PROJECTOR_SESSION_TIMEOUT_MS": str(SESSION_TIMEOUT_MS)}
        )

    # Workers

    def worker(self, name: str) -> HeadgateProcess:
        """Start a worker, or start it again."""
        behind = int(name.removeprefix("w")) % 2 == 1
        environment: Mapping[str, str] = {
            "HEADGATE_BOOTSTRAP_SERVERS": self._behind_proxy if behind else self.servers,
            "HEADGATE_WORKER_HEARTBEAT_INTERVAL_MS": "300",
            "HEADGATE_WORKER_SESSION_TIMEOUT_MS": str(SESSION_TIMEOUT_MS),
            "HEADGATE_WORKER_SHUTDOWN_TIMEOUT_S": "15",
            **self.target.environment,
        }
        process = self._started.start("worker", "--name", name, environment=environment)
        self.workers[name] = process
        return process

    def scale(self, count: int) -> None:
        """Let `count` workers run: the missing are started, those too many are asked to leave."""
        wanted = {f"w{number}" for number in range(count)}
        for name in sorted(wanted - self.workers.keys()):
            self.worker(name)
        for name in sorted(self.workers.keys() - wanted):
            self.workers[name].wait_for_output(READY, WAIT_S)
            self.workers.pop(name).signal(signal.SIGTERM)

    def end(self, name: str) -> int:
        """Ask a worker to end; return its exit code. One that only starts up has nothing to end in order."""
        self.workers[name].wait_for_output(READY, WAIT_S)
        return self.workers[name].stop(60)

    def victim(self) -> str:
        """Draw a worker that has come as far as following the stream."""

        def ready() -> list[str]:
            return sorted(name for name, each in self.workers.items() if READY in each.output())

        return self.draw.choice(eventually(ready, WAIT_S, "a worker is ready"))

    # Commands and state

    def now(self) -> StreamState:
        """Return the stream's present state."""
        self.state.refresh(ANSWER_S)
        state = self.state.get(STREAM)
        assert state is not None
        return state

    def until(self, holds: Callable[[StreamState], bool], what: str, timeout_s: float = WAIT_S) -> StreamState:
        """Wait for the stream to come to what was asked for; AssertionError with what it says of itself."""

        def look() -> StreamState | None:
            try:
                state = self.now()
            except HeadgateError as error:
                raise AssertionError(str(error)) from error
            said = {key: error.message for key, error in state.errors.items()}
            assert holds(state), f"{state.status} with {sorted(state.conditions)}, {said}, {state.drain}"
            return state

        found = eventually(look, timeout_s, what, every_s=0.1)
        assert found is not None
        return found

    def until_status(self, status: str) -> StreamState:
        """Wait for a status."""
        return self.until(lambda state: state.status == status, f"the stream is {status}")

    def accepted(self, handle: Any) -> None:
        """Wait for the acceptance of a command that the status allows."""
        outcome = handle.outcome(ANSWER_S)
        assert outcome.outcome == "accepted", f"{outcome.code}: {outcome.message}"

    def modify(self, **changes: Any) -> None:
        """Change the definition; a label tells each from the one before, since the same once more is refused."""
        self.config |= changes
        self.config["labels"] = {"revision": str(int(self.config.get("labels", {}).get("revision", "1")) + 1)}
        self.accepted(self.commands.modify(STREAM, self.config))

    def begin(self, workers: int) -> None:
        """Start workers and the stream."""
        self.scale(workers)
        self.accepted(self.commands.create(STREAM, self.config))
        self.accepted(self.commands.start(STREAM))
        self.until_status("RUNNING")

    def paused(self) -> None:
        """Note what is visible, now that the stream is PAUSED and nobody may write."""
        self.samples.append((self.target.seen(), None))

    def resume(self) -> None:
        """Note what is visible, and let the stream go on."""
        self.samples[-1] = (self.samples[-1][0], self.target.seen())
        self.accepted(self.commands.resume(STREAM))
        self.until_status("RUNNING")

    # The end

    def heal(self, workers: int) -> None:
        """Take every fault back, and have so many workers."""
        if self.proxy is not None:
            self.proxy.heal()
        for name, each in list(self.workers.items()):
            if each.exit_code is not None:
                self.worker(name)
        self.scale(workers)

    def run(self) -> Run:
        """Return what the judge needs."""
        history = Namespace(self.namespace).history
        return Run(
            sent=in_kafka.sent(self.servers, self.source),
            delivered=self.target.delivered(),
            pauses=in_kafka.pauses(self.servers, history, STREAM, self.samples),
            partitions={self.source: self.partitions},
        )

    def close(self) -> None:
        """Let go of the clients."""
        self.commands.close()
        self.state.close()
