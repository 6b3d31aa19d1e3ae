"""One node of Kafka on this machine: its folder, its settings, its storage, and the command that runs it.

Everything that starts a broker from jars shares this, whoever then holds the process (a supervisor for as long as an
owner lives, or nobody, for a broker in the background). Preparing a folder twice is harmless: storage is formatted
only where it is not, and the settings are written anew at each start.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headgate.broker import ports
from headgate.broker.artifacts import ensure_jars
from headgate.broker.errors import BrokerNotReady, BrokerRefused, PortUnavailable
from headgate.broker.java import Java, find_java
from headgate.broker.logfile import tail
from headgate.broker.progress import Progress
from headgate.broker.properties import NODE_OWNED, SINGLE_NODE, log4j_text, properties_text
from headgate_events.errors import HeadgateError

DEFAULT_HEAP_MB = 512
_FORMAT_TIMEOUT_S = 60.0
_TAIL_LINES = 15
_HEAP_RANGE_MB = (128, 65_536)
_PROPERTY_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What a caller may choose about a node. Raises `BrokerRefused` for a value that cannot work.

    `port` None: a free one is chosen when the node is prepared. `heap_mb` is the Java heap's bound in MiB; the process
    takes about 200 MiB more. `properties` are Kafka's, by their own names, and win over those of `properties.py`.
    """

    port: int | None = None
    heap_mb: int = DEFAULT_HEAP_MB
    properties: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.port is not None and not 1 <= self.port <= 65_535:
            raise BrokerRefused(f"Port {self.port} is not between 1 and 65535.", hint="Give another, or none.")
        low, high = _HEAP_RANGE_MB
        if not low <= self.heap_mb <= high:
            raise BrokerRefused(f"A heap of {self.heap_mb} MB is not between {low} and {high}.", hint="512 does.")
        for name in self.properties:
            if name in NODE_OWNED:
                raise BrokerRefused(f"The property {name} is the embedded broker's own.", hint="Leave it out.")
            if not _PROPERTY_NAME.fullmatch(name):
                raise BrokerRefused(f"{name!r} is no name of a Kafka property.", hint="Names are like log.segment.ms.")


class Node:
    """A prepared node in `folder`: `command` runs it, `port` is where it will listen on the loopback address."""

    def __init__(self, folder: Path, settings: NodeSettings, java: Java, jars: list[Path]) -> None:
        self.folder = folder
        self.java = java
        self._settings = settings
        self._class_path = os.pathsep.join(str(jar) for jar in jars)
        self.port = settings.port or ports.free_port()

    @property
    def bootstrap_servers(self) -> str:
        return f"{ports.HOST}:{self.port}"

    @property
    def log_path(self) -> Path:
        """Kafka's own log."""
        return self.folder / "server.log"

    @property
    def console_path(self) -> Path:
        """What the Java machine wrote beside the log: the reason when it did not get as far as logging."""
        return self.folder / "console.log"

    @property
    def command(self) -> list[str]:
        return [*self._java("kafka.Kafka", self._settings.heap_mb, log=True), str(self._properties_path)]

    def draw_port(self) -> None:
        """Choose another port, where the caller did not choose it and the last one was taken in the meantime."""
        assert self._settings.port is None
        self.port = ports.free_port()

    @property
    def chose_port(self) -> bool:
        return self._settings.port is None

    def prepare(self) -> None:
        """Write the settings and format the storage where it is not; the node must not be running.

        Raises `PortUnavailable`, `BrokerRefused` for a folder that cannot be used, `BrokerNotReady`.
        """
        if not ports.port_is_free(self.port):
            raise PortUnavailable(
                f"Port {self.port} of {ports.HOST} is taken by another program.", hint="Give another port, or none."
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._properties_path.write_text(properties_text(self._all_properties()), encoding="latin-1")
            self._log4j_path.write_text(log4j_text(str(self.log_path)), encoding="utf-8")
        except OSError as problem:
            raise BrokerRefused(
                f"Cannot write the data folder {self.folder}: {problem.strerror or problem}.",
                hint="Give another folder, or access to this one.",
            ) from problem
        if not (self._storage_path / "meta.properties").exists():
            self._format()

    def log_tail(self, lines: int = _TAIL_LINES) -> str:
        """Return the last lines of the log, or of the console when there is no log; empty when there is neither."""
        return tail(self.log_path, lines) or tail(self.console_path, lines)

    @property
    def _storage_path(self) -> Path:
        return self.folder / "data"

    @property
    def _properties_path(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _log4j_path(self) -> Path:
        return self.folder / "log4j2.xml"

    def _all_properties(self) -> dict[str, str]:
        controller = ports.free_port(besides=self.port)
        listeners = f"PLAINTEXT://{self.bootstrap_servers}"
        return {
            **SINGLE_NODE,
            "listeners": f"{listeners},CONTROLLER://{ports.HOST}:{controller}",
            "advertised.listeners": listeners,
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.quorum.voters": f"1@{ports.HOST}:{controller}",
            "log.dirs": str(self._storage_path),
            **self._settings.properties,
        }

    def _format(self) -> None:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if cluster_id.startswith("-"):
            # The tool would take it for an option.
            cluster_id = "A" + cluster_id[1:]
        format_storage = ["format", "--cluster-id", cluster_id, "--config", str(self._properties_path)]
        command = [*self._java("kafka.tools.StorageTool", 128, log=False), *format_storage]
        try:
            run = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=_FORMAT_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as problem:
            raise BrokerNotReady(f"Kafka's storage was not formatted within {_FORMAT_TIMEOUT_S:.0f} s.") from problem
        if run.returncode != 0:
            raise _storage_problem(run.stderr + run.stdout, self._storage_path)

    def _java(self, main_class: str, heap_mb: int, *, log: bool) -> list[str]:
        # A formatting run is over before a better compiler pays.
        speed = [] if log else ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
        logging = [f"-Dlog4j2.configurationFile={self._log4j_path.as_uri()}"] if log else ["-Dlog4j2.level=OFF"]
        return [
            str(self.java.executable), f"-Xmx{heap_mb}m", *speed, *logging,
            "-Djava.awt.headless=true", "-XX:+ExitOnOutOfMemoryError", "-cp", self._class_path, main_class,
        ]  # fmt: skip


def make_node(folder: Path, settings: NodeSettings, progress: Progress) -> Node:
    """Find Java and the jars (which may be downloaded) and return a node in `folder` that is not prepared yet."""
    refuse_platform()
    java = find_java()
    return Node(folder, settings, java, ensure_jars(progress))


def refuse_platform() -> None:
    """Raise `BrokerRefused` where processes cannot be supervised as this module does it."""
    if os.name != "posix":
        raise BrokerRefused(
            f"The embedded broker runs on Linux and macOS, not on {sys.platform}.",
            hint="Use a Docker engine, or set HEADGATE_BOOTSTRAP_SERVERS to a Kafka that runs already.",
        )


def _storage_problem(said: str, storage: Path) -> HeadgateError:
    """Make an error of what Kafka's storage tool wrote, which is the first thing to read the settings."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("\tat ")]
    for line in lines:
        _, refused, reason = line.partition("ConfigException: ")
        if refused:
            return BrokerRefused(f"Kafka refuses its settings: {reason}", hint="Correct or leave out the property.")
    reason = lines[-1] if lines else "it said nothing"
    return BrokerNotReady(f"Kafka's storage in {storage} could not be formatted: {reason}")
