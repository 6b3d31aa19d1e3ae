"""A single-node Kafka in a container, from the image apache/kafka, through testcontainers.

testcontainers' own Kafka class knows another image's layout only, so this one follows the conventions of apache/kafka:
the whole configuration as KAFKA_* variables, because the first of them replaces the image's own file as a whole. The
port is chosen beforehand and bound to the loopback address, so that a restart keeps it and the advertised address is
known without a script inside. Ryuk, testcontainers' reaper, is an image more to pull and is switched off; containers
that a killed process left are found by their label and removed when the next one starts.

Importing this module needs testcontainers; `choose` looks for it first.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import docker  # type: ignore[import-untyped]
from docker.errors import APIError, DockerException, NotFound  # type: ignore[import-untyped]
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from headgate.broker import ports
from headgate.broker.artifacts import KAFKA_VERSION
from headgate.broker.errors import BrokerNotReady, BrokerNotRunning, NoBroker
from headgate.broker.node import DEFAULT_HEAP_MB, NodeSettings
from headgate.broker.owner import is_alive, token
from headgate.broker.properties import SINGLE_NODE, environment_name
from headgate.broker.ready import wait_ready

# testcontainers reads this once, at its import, which may lie before ours.
testcontainers_config.ryuk_disabled = True

IMAGE = f"apache/kafka:{KAFKA_VERSION}"
OWNER_LABEL = "io.headgate.broker.owner"
START_TIMEOUT_S = 90.0
_STOP_TIMEOUT_S = 10
_PORT_ATTEMPTS = 5
_BROKER_PORT, _CONTROLLER_PORT = 9093, 9094


class KafkaContainer(DockerContainer):
    """A single-node Kafka of `image`, ready when started. The same verbs as `EmbeddedBroker`.

    Raises `BrokerNotReady` with the tail of its log, and `NoBroker` where the engine refuses.
    """

    def __init__(
        self,
        image: str = IMAGE,
        *,
        port: int | None = None,
        heap_mb: int = DEFAULT_HEAP_MB,
        properties: Mapping[str, str] | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self._settings = NodeSettings(port, heap_mb, dict(properties or {}))
        self._start_timeout_s = start_timeout_s
        self._host_port = port
        super().__init__(image, labels={OWNER_LABEL: token()})

    @property
    def bootstrap_servers(self) -> str:
        """host:port for clients; known once started, and kept over restarts."""
        if self._host_port is None:
            raise BrokerNotRunning("The container has not been started.", hint="Enter its context first.")
        return f"{ports.HOST}:{self._host_port}"

    @property
    def said(self) -> str:
        return f"a container of {self.image}, listening on {self.bootstrap_servers}"

    def start(self) -> Self:
        try:
            remove_leftovers()
            self._launch()
        except DockerException as problem:
            raise NoBroker(f"The Docker engine refused to run {self.image}: {problem}.") from problem
        try:
            self._wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def _launch(self) -> None:
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            self._configure_for(self._settings.port or ports.free_port())
            try:
                super().start()
                break
            except APIError as problem:
                lost_port = "already allocated" in str(problem) or "already in use" in str(problem)
                if self._container is not None:
                    self._container.remove(force=True, v=True)
                    self._container = None
                if not lost_port or self._settings.port or attempt == _PORT_ATTEMPTS:
                    raise

    def stop(self, force: bool = True, delete_volume: bool = True) -> None:
        super().stop(force=force, delete_volume=delete_volume)
        self._container = None

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def kill(self) -> None:
        """Kill the broker with SIGKILL; `restart` starts it again with its data."""
        self.get_wrapped_container().kill()

    def restart(self) -> None:
        """Stop (when it runs) and start again with the same data, on the same port; return when it is ready."""
        self.get_wrapped_container().restart(timeout=_STOP_TIMEOUT_S)
        self._wait_ready()

    def pause(self) -> None:
        """Freeze its processes: connections stay open and nothing answers."""
        self.get_wrapped_container().pause()

    def resume(self) -> None:
        """Let a paused container go on."""
        self.get_wrapped_container().unpause()

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of what the container wrote; empty when it is not there."""
        if self._container is None:
            return ""
        return bytes(self._container.logs(tail=lines)).decode(errors="replace").rstrip()

    def _configure_for(self, port: int) -> None:
        self._host_port = port
        # testcontainers hands the address on to docker, but its annotation knows the port alone.
        bound: dict[str, Any] = {f"{port}/tcp": (ports.HOST, port)}
        self.ports = bound
        settings = {
            **SINGLE_NODE,
            "listeners": f"PLAINTEXT://0.0.0.0:{port},BROKER://localhost:{_BROKER_PORT},"
            f"CONTROLLER://localhost:{_CONTROLLER_PORT}",
            "advertised.listeners": f"PLAINTEXT://{ports.HOST}:{port},BROKER://localhost:{_BROKER_PORT}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "BROKER",
            "controller.quorum.voters": f"1@localhost:{_CONTROLLER_PORT}",
            "log.dirs": "/var/lib/kafka/data",
            **self._settings.properties,
        }
        self.env = {environment_name(name): value for name, value in settings.items()}
        self.env["KAFKA_HEAP_OPTS"] = f"-Xmx{self._settings.heap_mb}m"

    def _wait_ready(self) -> None:
        try:
            wait_ready(self.bootstrap_servers, timeout_s=self._start_timeout_s, ended=self._ended)
        except BrokerNotReady as problem:
            raise BrokerNotReady(f"{problem.message} The end of its log:\n{self.log_tail()}") from problem

    def _ended(self) -> str | None:
        container = self.get_wrapped_container()
        container.reload()
        return None if container.status in ("created", "running") else f"The container is {container.status}."


def remove_leftovers() -> int:
    """Remove the containers whose starting process is gone; return how many there were."""
    client = docker.from_env()
    removed = 0
    try:
        for container in client.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True):
            if is_alive(container.labels[OWNER_LABEL]):
                continue
            try:
                container.remove(force=True, v=True)
                removed += 1
            except (APIError, NotFound) as problem:
                # Somebody else removes it at this moment; gone is gone, and whatever still stands waits for the next.
                if getattr(problem, "status_code", None) not in (404, 409):
                    raise
    finally:
        client.close()
    return removed


class Engine:
    """The Docker engine of this machine, asked with a bound."""

    def __init__(self, *, answer_timeout_s: float = 5.0) -> None:
        self._answer_timeout_s = int(answer_timeout_s)

    def why_not(self) -> str | None:
        """Return None when the engine answers, else why it cannot be used."""
        try:
            client = docker.from_env(timeout=self._answer_timeout_s)
            try:
                client.ping()
            finally:
                client.close()
        except (DockerException, OSError):
            return "no Docker engine answers"
        return None

    def has_image(self, image: str) -> bool:
        client = docker.from_env(timeout=self._answer_timeout_s)
        try:
            client.images.get(image)
        except NotFound:
            return False
        finally:
            client.close()
        return True

    def pull(self, image: str, *, timeout_s: float) -> str | None:
        """Pull `image` within `timeout_s`. Return None when it is there, else why it is not."""
        deadline = time.monotonic() + timeout_s
        # The read timeout bounds a silent registry; the deadline bounds one that trickles.
        client = docker.from_env(timeout=min(60, int(timeout_s)))
        name, _, tag = image.partition(":")
        try:
            for event in client.api.pull(name, tag=tag or "latest", stream=True, decode=True):
                if "error" in event:
                    return f"the image {image} cannot be pulled"
                if time.monotonic() > deadline:
                    return f"the image {image} was not pulled within {timeout_s:.0f} s"
        except (DockerException, OSError):
            return f"the image {image} cannot be pulled"
        finally:
            client.close()
        return None if self.has_image(image) else f"the image {image} cannot be pulled"
