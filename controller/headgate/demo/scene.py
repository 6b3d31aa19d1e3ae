"""What the steps of the story are played on: the cluster, the processes, the clients, and bounded waiting for facts.

Every wait looks at the same time whether the parts still run and whether reading and producing still work, so a broken
part ends the story with its name instead of a timeout.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from headgate.demo.cluster import Cluster
from headgate.demo.flights import AIRPORTS, Flight, by_airport
from headgate.demo.processes import Processes
from headgate.demo.traffic import Traffic
from headgate.demo.view import Lane, Picture
from headgate.demo.watch import Watch
from headgate_events.client.activity import ActivityReader
from headgate_events.client.commands import CommandClient
from headgate_events.client.state import StateReader
from headgate_events.errors import HeadgateError
from headgate_events.schema.history import Outcome
from headgate_events.schema.state import StreamState

STREAM: Final = "departures"
OUTCOME_TIMEOUT_S: Final = 20.0
SESSION_TIMEOUT_S: Final = 6.0
"""How long a dead worker keeps its partitions: the least that brokers take unless they are told otherwise."""
LOOK_EVERY_S: Final = 0.05
CLASSES: Final = ("early", "on time", "late", "very late")


class StoryBroke(HeadgateError):
    """Something did not happen without which the story cannot go on: a failed check, not the environment's fault."""

    code = "demo.story_broke"


@dataclass(slots=True)
class Scene:
    """Everything that a step needs. The main thread owns it; `look` alone is called from the view's thread."""

    cluster: Cluster
    namespace: str
    source: str
    destination: str
    flights: list[Flight]
    processes: Processes
    commands: CommandClient
    states: StateReader
    activity: ActivityReader
    traffic: Traffic
    watch: Watch
    by_airport: list[list[Flight]] = field(init=False)
    killed: set[str] = field(default_factory=set)
    """The parts that the story itself has ended."""
    state: StreamState | None = None

    def __post_init__(self) -> None:
        self.by_airport = by_airport(self.flights)

    def ask(
        self, kind: str, actor: str, payload: Mapping[str, Any] | None = None, reason: str | None = None
    ) -> Outcome:
        """Send a command and return its outcome, which was accepted. Raises StoryBroke for any other."""
        handle = self.commands.send(kind, STREAM, payload, actor=actor, reason=reason)
        outcome = handle.outcome(OUTCOME_TIMEOUT_S)
        if outcome.outcome != "accepted":
            raise StoryBroke(
                f"{kind} was {outcome.outcome} ({outcome.code}): {outcome.message} {outcome.hint}".rstrip()
            )
        return outcome

    def wait_for_state(self, what: str, holds: Callable[[StreamState], bool], timeout_s: float) -> StreamState:
        """Wait until the stream's state is as `holds` says, and return it. Raises StoryBroke past the bound."""
        deadline = time.monotonic() + timeout_s
        while True:
            self.refresh()
            if self.state is not None and holds(self.state):
                return self.state
            if time.monotonic() > deadline:
                raise StoryBroke(f"{what} did not happen within {timeout_s:g} s; the stream {self._stands()}.")

    def wait_until(self, what: str, holds: Callable[[], bool], timeout_s: float) -> None:
        """Wait until `holds`. Raises StoryBroke when it does not within the bound."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > deadline:
                raise StoryBroke(f"{what} did not happen within {timeout_s:g} s; the stream {self._stands()}.")
            self.refresh()

    def watch_for(self, seconds: float) -> None:
        """Let time pass, looking at everything."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.refresh()

    def refresh(self) -> None:
        """Take in what is new, for a moment. Raises StoryBroke when a part has ended or a stream failed for good."""
        for _ in self.states.follow(LOOK_EVERY_S):
            pass
        self.state = self.states.get(STREAM)
        self.traffic.check()
        self.watch.check()
        for part in self.processes.parts.values():
            if part.name not in self.killed and not part.running():
                raise StoryBroke(
                    f"`{part.command_line}` ended by itself with exit status {part.exit_status}. "
                    f"The end of what it wrote:\n{part.tail()}"
                )
        if self.state is not None and self.state.status == "FAILED_PERMANENTLY":
            raise StoryBroke(f"The stream {self._stands()}.")

    def look(self) -> Picture:
        """Return the traffic as it is now."""
        owners = self.watch.owners()
        running = self.state is not None and self.state.status in {"RUNNING", "DRAINING", "FAILED"}
        lanes = [
            Lane(
                airport,
                len(self.by_airport[partition]),
                self.traffic.sent[partition],
                self.watch.arrived[partition],
                owners.get(partition, "") if running else "",
            )
            for partition, airport in enumerate(AIRPORTS)
        ]
        judged = [(name, self.watch.classes.get(name, 0)) for name in CLASSES]
        return Picture(self.state.status if self.state else "", self.traffic.date, lanes, judged)

    def _stands(self) -> str:
        if self.state is None:
            return "does not exist"
        state = self.state
        said = (
            f"is {state.status} at version {state.version}, revision {state.revision.applied}/{state.revision.desired}"
        )
        errors = "; ".join(f"{error.code}: {error.message}" for error in state.errors.values())
        failed = "; ".join(f"{check.name}: {check.message}" for check in state.checks if check.result == "failed")
        return said + "".join(f" ({more})" for more in (errors, failed) if more)
