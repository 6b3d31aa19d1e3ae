"""What sources and destinations have in common: how they are found, and what they are given.

A connector is a *kind*: an object with a name, a pydantic model for its settings, and functions that open it. Kinds are
found through the entry points `headgate.sources` and `headgate.destinations`, so that a third party's package adds one
by being installed. Nothing of a kind is imported before a stream names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, ClassVar, Generic, Literal, TypeVar

from headgate.ports.log import Clock, Log
from headgate_events.errors import HeadgateError

Delivery = Literal["exactly_once", "at_least_once"]
Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class ConnectorContext:
    """What a connector is opened with: the cluster, the clock, and for whom it works.

    `transactional_id` is stable for this worker and stream over restarts; whoever takes over initialises it.
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
