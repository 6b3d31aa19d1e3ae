"""`DefinedConnections`: the connections of one worker, looked up in its file whenever a connector is opened.

The file and the secrets are read at each look, so both may change while the worker runs: what is open stays as it is,
and the next opening takes the new values. A cluster's `Log` is kept as long as its settings stay the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from headgate.connections.file import Definition, read_connections
from headgate.connections.references import Secrets, Unresolved
from headgate.ports.connectors import ConnectionUnusable
from headgate.ports.log import Log
from headgate_events.findings import explain

Model = TypeVar("Model", bound=BaseModel)

SHORTEST_HIDDEN: Final = 4
"""Texts shorter than this are no secrets, and hiding them would cut words apart."""


class KafkaConnection(BaseModel):
    """Settings of a connection of the kind `kafka`: where another cluster is, and the librdkafka settings for it.

    `kafka` is the administrator's and may hold any setting, security above all; it is left out of `repr`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    bootstrap_servers: Annotated[str, Field(min_length=1, max_length=4_096)]
    kafka: Annotated[dict[str, str | int | float | bool], Field(max_length=100)] = Field(
        default_factory=dict, repr=False
    )


class DefinedConnections:
    """Implements `Connections` over a file. Any thread may ask.

    `make_log` makes the log of a cluster from a connection's name and settings. Without a file there are none.
    """

    def __init__(self, path: Path | None, secrets: Secrets, make_log: Callable[[str, KafkaConnection], Log]) -> None:
        self._path = path
        self._secrets = secrets
        self._make_log = make_log
        self._lock = threading.Lock()
        self._logs: dict[str, tuple[KafkaConnection, Log]] = {}

    def check(self) -> None:
        """Read the file once, for the start of a worker; secrets are not looked at. Raises ConnectionUnusable."""
        if self._path is not None:
            read_connections(self._path)

    def find(self, name: str, kind: str, model: type[Model]) -> Model:
        """Return the settings of a connection of that kind, validated, its secrets resolved."""
        definition = self._definition(name, kind)
        section: Any = None
        problem = ""
        try:
            section = self._secrets.resolve(dict(definition.section))
            return model.model_validate(section)
        except Unresolved as error:
            problem = str(error)
        except ValidationError as error:
            problem = _without(section, explain(error, model))
        # Raised here, outside of the handlers: what pydantic raised holds the settings, and would travel along.
        raise ConnectionUnusable(
            f"The connection {name!r} is not usable on this worker: {problem}.",
            hint=f"Correct it at {definition.place}, or give the worker what it refers to.",
        )

    def cluster(self, name: str) -> Log:
        """Return the log of another cluster."""
        settings = self.find(name, "kafka", KafkaConnection)
        with self._lock:
            kept = self._logs.get(name)
            if kept is None or kept[0] != settings:
                kept = self._logs[name] = (settings, self._make_log(name, settings))
            return kept[1]

    def _definition(self, name: str, kind: str) -> Definition:
        defined = {} if self._path is None else read_connections(self._path)
        definition = defined.get(name)
        if definition is not None and definition.kind == kind:
            return definition
        known = sorted(each for each, other in defined.items() if other.kind == kind)
        if definition is not None:
            message = f"The connection {name!r} is of the kind {definition.kind}, and {kind} is needed."
        else:
            message = f"No connection {name!r} of the kind {kind} is defined on this worker."
        if self._path is None:
            hint = "Define it in a file that HEADGATE_CONNECTIONS names."
        elif known:
            hint = f"Defined with this kind: {', '.join(known[:10])}."
        else:
            hint = f"Define it in {self._path}."
        raise ConnectionUnusable(message, hint=hint)


def _without(section: Any, sentence: str) -> str:
    """Return a sentence in which no value of the section stands: a validator's own words may quote one."""
    for text in sorted(set(_texts(section)), key=len, reverse=True):
        if len(text) >= SHORTEST_HIDDEN:
            sentence = sentence.replace(text, "…")
    return sentence


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
