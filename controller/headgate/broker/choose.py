"""Which broker a test run or the demo takes, and a sentence that says so.

    with choose_broker() as broker:
        print(broker.said)
        Producer({"bootstrap.servers": broker.bootstrap_servers})

In this order: the cluster of HEADGATE_BOOTSTRAP_SERVERS; a container, where a Docker engine answers and the image is
there or can be pulled; the embedded broker. HEADGATE_BROKER=container or =embedded insists on one, also against
HEADGATE_BOOTSTRAP_SERVERS, and what cannot be had is then an error instead of a step further. Every question that is
asked on the way has a bound.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from types import TracebackType
from typing import Literal, Protocol, Self

from headgate.broker.artifacts import KAFKA_VERSION
from headgate.broker.embedded import EmbeddedBroker
from headgate.broker.errors import BrokerRefused, NoBroker
from headgate.broker.progress import Progress
from headgate.broker.ready import answers
from headgate_events.errors import ClusterUnreachable, EnvironmentProblem

SERVERS_VARIABLE = "HEADGATE_BOOTSTRAP_SERVERS"
KIND_VARIABLE = "HEADGATE_BROKER"
GIVEN_TIMEOUT_S = 10.0
PULL_TIMEOUT_S = 180.0

Kind = Literal["given", "container", "embedded"]


class FaultyBroker(Protocol):
    """A broker of our own, with the faults that a test may ask of it."""

    @property
    def bootstrap_servers(self) -> str: ...
    @property
    def said(self) -> str: ...
    def start(self) -> object: ...
    def stop(self) -> None: ...
    def restart(self) -> None: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Offers:
    """What can be had on this machine, as functions, so that a test of the order needs none of it.

    `given` returns why a cluster does not answer, or None. `container_why_not` returns why there can be no container
    (it may pull the image), or None. The other two make a broker that is not started.
    """

    given: Callable[[str], str | None]
    container_why_not: Callable[[Progress], str | None]
    container: Callable[[Mapping[str, str]], FaultyBroker]
    embedded: Callable[[Mapping[str, str], Progress], FaultyBroker]


@dataclass(slots=True)
class ChosenBroker:
    """The broker that is taken when the context is entered, and given back when it is left.

    `kind`, `said` and `bootstrap_servers` are set on entering. `own` is the broker to inflict faults on, None for a
    given cluster, which nobody may stop. Entering raises `BrokerRefused` for a bad variable, `ClusterUnreachable` for
    a given cluster that does not answer, `NoBroker` where the one insisted on cannot be had, and the errors of the
    embedded broker where it is the last way.
    """

    environ: Mapping[str, str]
    properties: Mapping[str, str]
    progress: Progress
    offers: Offers
    kind: Kind | None = None
    bootstrap_servers: str = ""
    said: str = ""
    own: FaultyBroker | None = field(default=None)

    def __enter__(self) -> Self:
        wanted = self.environ.get(KIND_VARIABLE, "").strip()
        servers = self.environ.get(SERVERS_VARIABLE, "").strip()
        if wanted not in ("", "container", "embedded"):
            raise BrokerRefused(
                f"{KIND_VARIABLE} is {wanted!r}, which is no kind of broker.",
                hint="Set it to container or embedded, or unset it.",
            )
        aside = f"; {SERVERS_VARIABLE} is set and not used" if wanted and servers else ""
        if wanted == "container":
            self._take_container(f"{KIND_VARIABLE} asks for it{aside}")
        elif wanted == "embedded":
            self._take_embedded(f"{KIND_VARIABLE} asks for it{aside}")
        elif servers:
            self._take_given(servers)
        else:
            self._take_own()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.own is not None:
            self.own.stop()
            self.own = None

    def _take_given(self, servers: str) -> None:
        if reason := self.offers.given(servers):
            raise ClusterUnreachable(
                f"{SERVERS_VARIABLE} is {servers} and no broker there answers: {reason}.",
                hint="Start it, or unset the variable to get a broker of our own.",
            )
        self.kind, self.bootstrap_servers = "given", servers
        self.said = f"Broker: the cluster at {servers}, because {SERVERS_VARIABLE} names it."

    def _take_own(self) -> None:
        reason = self.offers.container_why_not(self.progress)
        if reason is None:
            try:
                self._start("container", self._container(), "a Docker engine answers and has the image")
                return
            except EnvironmentProblem as problem:
                # The engine may refuse for reasons that only starting shows; the other way is still open, and said.
                reason = "the container did not become ready"
                self.progress.say(problem.message)
        self._take_embedded(reason)

    def _take_container(self, because: str) -> None:
        if reason := self.offers.container_why_not(self.progress):
            raise NoBroker(
                f"{KIND_VARIABLE} asks for a container, and {reason}.",
                hint=f"Start a Docker engine that has or can pull apache/kafka:{KAFKA_VERSION}, or unset the variable.",
            )
        self._start("container", self._container(), because)

    def _container(self) -> FaultyBroker:
        return self.offers.container(self.properties)

    def _take_embedded(self, because: str) -> None:
        self._start("embedded", self.offers.embedded(self.properties, self.progress), because)

    def _start(self, kind: Kind, broker: FaultyBroker, because: str) -> None:
        broker.start()
        self.kind, self.own, self.bootstrap_servers = kind, broker, broker.bootstrap_servers
        what = "the embedded broker, " if kind == "embedded" else ""
        self.said = f"Broker: {what}{broker.said}, because {because}."


def choose_broker(
    *,
    environ: Mapping[str, str] | None = None,
    properties: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    offers: Offers | None = None,
) -> ChosenBroker:
    """Return a context that takes a broker as this module's description says; nothing happens before it is entered.

    `properties` are Kafka's, for a broker that we start; a given cluster keeps its own. `progress` shows downloads.
    """
    environ = os.environ if environ is None else environ
    return ChosenBroker(environ, dict(properties or {}), progress or Progress(), offers or real_offers())


def real_offers() -> Offers:
    """Return the ways of this machine."""
    return Offers(
        given=lambda servers: answers(servers, timeout_s=GIVEN_TIMEOUT_S),
        container_why_not=_container_why_not,
        container=_container,
        embedded=lambda properties, progress: EmbeddedBroker(properties=properties, progress=progress),
    )


def _container_why_not(progress: Progress) -> str | None:
    if find_spec("testcontainers") is None or find_spec("docker") is None:
        return "testcontainers is not installed"
    from headgate.broker.container import IMAGE, Engine

    engine = Engine()
    if reason := engine.why_not():
        return reason
    if engine.has_image(IMAGE):
        return None
    progress.say(f"Pulling the image {IMAGE}.")
    return engine.pull(IMAGE, timeout_s=PULL_TIMEOUT_S)


def _container(properties: Mapping[str, str]) -> FaultyBroker:
    from headgate.broker.container import KafkaContainer

    return KafkaContainer(properties=properties)
