"""What sources and destinations have in common: how they are found, and what they are given.

A connector is a *kind*: an object with a name, a pydantic model for its settings, and functions that open it. Kinds are
found through the entry points `headgate.sources` and `headgate.destinations`, so that a third party's package adds one
by being installed. Nothing of a kind is imported before a stream names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel, StringConstraints

from headgate.ports.log import Clock, Log
from headgate_events.errors import HeadgateError

Delivery = Literal["exactly_once", "at_least_once"]
CONNECTION_NAME_PATTERN: Final = r"^[a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$"
ConnectionName = Annotated[str, StringConstraints(pattern=CONNECTION_NAME_PATTERN)]
"""The name of a connection, as a stream's settings hold it."""
Kind = TypeVar("Kind")
Settings = TypeVar("Settings", bound=BaseModel)


class Connections(Protocol):
    """The connections that the administrator of this worker defined, by name. A stream only ever names one."""

    def find(self, name: str, kind: str, model: type[Settings]) -> Settings:
        """Return the settings of a connection of that kind, validated by `model`, its secrets resolved.

        A field of the model that may hold a secret is a `SecretStr`. Everything is looked up anew at each call, so
        call it whenever the connector is opened, and a rotated secret is taken on. Raises ConnectionUnusable, one
        sentence without any secret, when there is none of that name and kind, when its settings are not valid, or when
        a secret that it refers to cannot be read.
        """
        ...

    def cluster(self, name: str) -> Log:
        """Return the `Log` of a connection of the kind `kafka`: another cluster. Raises ConnectionUnusable."""
        ...


class ConnectionUnusable(HeadgateError):
    """A connection that is not defined on this worker, or not usable as it is. The administrator's to mend.

    Nobody has to decide anything about the stream, so it retries, and goes on by itself once the connection is mended.
    """

    code: ClassVar[str] = "connection.unusable"
    retriable = True


class NoConnections:
    """No connections at all: what a worker has whose administrator defined none."""

    def find(self, name: str, kind: str, model: type[Settings]) -> Settings:  # noqa: ARG002 - none is there to validate
        """Refuse: there are none."""
        raise ConnectionUnusable(
            f"No connection {name!r} of the kind {kind} is defined on this worker.",
            hint="Define it in the file that HEADGATE_CONNECTIONS names.",
        )

    def cluster(self, name: str) -> Log:
        """Refuse: there are none."""
        raise ConnectionUnusable(
            f"No connection {name!r} of the kind kafka is defined on this worker.",
            hint="Define it in the file that HEADGATE_CONNECTIONS names.",
        )


@dataclass(frozen=True, slots=True)
class ConnectorContext:
    """What a connector is opened with: the cluster, the clock, and for whom it works.

    `transactional_id` is stable for this worker and stream over restarts; whoever takes over initialises it.
    `connections` are the administrator's: a stream's settings hold a name, never an address or a secret.
    """

    log: Log
    clock: Clock
    stream: str
    incarnation: int
    worker: str
    group: str
    transactional_id: str
    delivery: Delivery
    commit_interval_ms: int
    session_timeout_ms: int
    connections: Connections = field(default_factory=NoConnections)
    source_connection: str | None = None
    """The connection of the stream's source, where that is on another cluster than the stream."""

    @property
    def namespace(self) -> str:
        """The namespace in which the stream lives."""
        return self.group.removesuffix(f".{self.stream}.{self.incarnation}")


class ConnectorUnavailable(HeadgateError):
    """A connector's other side did not answer, or asked to slow down: the stream retries with backoff."""

    code: ClassVar[str] = "connector.unavailable"
    retriable = True


class ConnectorRefused(HeadgateError):
    """A connector's other side cannot take this, now or later (it is gone, a schema conflicts): a person has to act."""

    code: ClassVar[str] = "connector.refused"


class UnknownKind(HeadgateError):
    """No connector of this kind is installed in this worker."""

    code: ClassVar[str] = "config.unknown_kind"


class Kinds(Generic[Kind]):
    """The installed connectors of one sort: those that were handed in, then those that entry points name."""

    def __init__(self, sort: str, group: str, builtin: Mapping[str, Callable[[], Kind]]) -> None:
        self._sort = sort
        self._group = group
        self._builtin = builtin
        self._loaded: dict[str, Kind] = {}

    def names(self) -> list[str]:
        """Return the names of all installed kinds, sorted."""
        return sorted({*self._builtin, *(point.name for point in entry_points(group=self._group))})

    def find(self, name: str) -> Kind:
        """Return a kind by its name, loading it when it is asked for first.

        Raises UnknownKind when it is not installed, or when its package cannot be imported.
        """
        if (kind := self._loaded.get(name)) is not None:
            return kind
        self._loaded[name] = found = self._load(name)
        return found

    def _load(self, name: str) -> Kind:
        if (make := self._builtin.get(name)) is not None:
            return make()
        for point in entry_points(group=self._group, name=name):
            try:
                loaded: Any = point.load()
                kind: Kind = loaded() if isinstance(loaded, type) else loaded
            except Exception as error:
                raise UnknownKind(
                    f"The {self._sort} {name!r} is installed but cannot be loaded: {type(error).__name__}: {error}.",
                    hint="Repair or reinstall its package on the workers.",
                ) from error
            return kind
        raise UnknownKind(
            f"No {self._sort} of the kind {name!r} is installed.", hint=f"Installed: {', '.join(self.names())}."
        )
