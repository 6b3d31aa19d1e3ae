"""Which broker is taken, in which order, and what is said about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from headgate.broker.choose import ChosenBroker, Offers, choose_broker
from headgate.broker.errors import ArtifactsMissing, BrokerNotReady, BrokerRefused, NoBroker
from headgate.broker.progress import Progress
from headgate_events.errors import ClusterUnreachable


@dataclass
class Fake:
    """A broker that starts at once, or fails."""

    said: str
    bootstrap_servers: str
    failure: Exception | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    running: bool = False

    def start(self) -> None:
        if self.failure:
            raise self.failure
        self.running = True

    def stop(self) -> None:
        self.running = False

    restart = kill = pause = resume = stop


@dataclass
class Machine:
    """What a machine has; every question that is put to it is noted."""

    given: str | None = None
    no_container: str | None = None
    container_failure: Exception | None = None
    embedded_failure: Exception | None = None
    asked: list[str] = field(default_factory=list)
    container: Fake | None = None
    embedded: Fake | None = None

    def choose(self, **variables: str) -> ChosenBroker:
        offers = Offers(self._given, self._no_container, self._container, self._embedded)
        return choose_broker(environ=variables, properties={"a": "b"}, offers=offers)

    def _given(self, servers: str) -> str | None:
        self.asked.append(f"given {servers}")
        return self.given

    def _no_container(self, progress: Progress) -> str | None:
        self.asked.append("docker")
        return self.no_container

    def _container(self, properties: Mapping[str, str]) -> Fake:
        self.container = Fake("a container", "127.0.0.1:1", self.container_failure, properties)
        return self.container

    def _embedded(self, properties: Mapping[str, str], progress: Progress) -> Fake:
        self.embedded = Fake("Kafka on Java 17", "127.0.0.1:2", self.embedded_failure, properties)
        return self.embedded


def test_nothing_is_asked_before_the_context_is_entered() -> None:
    machine = Machine()
    machine.choose()
    assert machine.asked == []


def test_a_given_cluster_comes_first_and_nothing_else_is_asked() -> None:
    machine = Machine()
    with machine.choose(HEADGATE_BOOTSTRAP_SERVERS="there:9092") as chosen:
        assert (chosen.kind, chosen.bootstrap_servers, chosen.own) == ("given", "there:9092", None)
        assert chosen.said == "Broker: the cluster at there:9092, because HEADGATE_BOOTSTRAP_SERVERS names it."
    assert machine.asked == ["given there:9092"]


def test_a_given_cluster_that_does_not_answer_is_an_error_and_not_passed_over() -> None:
    machine = Machine(given="connection refused")
    with pytest.raises(ClusterUnreachable, match="there:9092 and no broker there answers: connection refused"):
        machine.choose(HEADGATE_BOOTSTRAP_SERVERS="there:9092").__enter__()
    assert machine.embedded is None


def test_a_container_comes_before_the_embedded_broker_and_is_given_back() -> None:
    machine = Machine()
    with machine.choose() as chosen:
        assert (chosen.kind, chosen.bootstrap_servers) == ("container", "127.0.0.1:1")
        assert chosen.said == "Broker: a container, because a Docker engine answers and has the image."
        assert machine.container is not None
        assert machine.container.running
        assert machine.container.properties == {"a": "b"}
    assert not machine.container.running
    assert machine.embedded is None


def test_without_docker_the_embedded_broker_is_taken_and_the_reason_said() -> None:
    machine = Machine(no_container="no Docker engine answers")
    with machine.choose() as chosen:
        assert chosen.kind == "embedded"
        assert chosen.said == "Broker: the embedded broker, Kafka on Java 17, because no Docker engine answers."
        assert machine.embedded is not None
        assert machine.embedded.running
        assert machine.embedded.properties == {"a": "b"}
    assert not machine.embedded.running


def test_a_container_that_does_not_become_ready_is_passed_over_and_that_is_said() -> None:
    machine = Machine(container_failure=BrokerNotReady("no"))
    with machine.choose() as chosen:
        assert chosen.kind == "embedded"
        assert "because the container did not become ready" in chosen.said


def test_where_the_last_way_fails_its_error_is_the_answer() -> None:
    machine = Machine(no_container="no Docker engine answers", embedded_failure=ArtifactsMissing("46 jars …"))
    with pytest.raises(ArtifactsMissing):
        machine.choose().__enter__()


def test_insisting_on_a_container_fails_where_there_can_be_none() -> None:
    machine = Machine(no_container="no Docker engine answers")
    with pytest.raises(NoBroker) as caught:
        machine.choose(HEADGATE_BROKER="container").__enter__()
    assert caught.value.message == "HEADGATE_BROKER asks for a container, and no Docker engine answers."
    assert caught.value.code == "environment.no_broker"
    assert machine.embedded is None


def test_insisting_on_a_container_does_not_fall_back_when_it_fails_to_start() -> None:
    machine = Machine(container_failure=BrokerNotReady("no"))
    with pytest.raises(BrokerNotReady):
        machine.choose(HEADGATE_BROKER="container").__enter__()
    assert machine.embedded is None


def test_insisting_on_the_embedded_broker_asks_no_docker_and_no_given_cluster() -> None:
    machine = Machine()
    with machine.choose(HEADGATE_BROKER="embedded", HEADGATE_BOOTSTRAP_SERVERS="there:9092") as chosen:
        assert chosen.kind == "embedded"
        assert "HEADGATE_BOOTSTRAP_SERVERS is set and not used" in chosen.said
    assert machine.asked == []


@pytest.mark.parametrize("value", ["docker", "Container", "embedded,container"])
def test_a_value_that_names_no_kind_is_refused_and_nothing_is_started(value: str) -> None:
    machine = Machine()
    with pytest.raises(BrokerRefused, match="Set it to container or embedded, or unset it") as caught:
        machine.choose(HEADGATE_BROKER=value).__enter__()
    assert repr(value) in caught.value.message
    assert machine.asked == []


def test_empty_variables_count_as_unset() -> None:
    with Machine().choose(HEADGATE_BROKER="", HEADGATE_BOOTSTRAP_SERVERS=" ") as chosen:
        assert chosen.kind == "container"
