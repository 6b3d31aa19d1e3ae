"""What a connector is opened with, for tests that have no cluster: a context, a log that is none, given connections."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NoReturn

from pydantic import ValidationError

from headgate.ports.connectors import Connections, ConnectionUnusable, ConnectorContext, Delivery, Settings
from headgate.ports.log import Clock, Log


class MachineClock:
    """Implements `Clock` with the machine's time."""

    def now_ms(self) -> int:
        """Return the wall clock, in milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class NoLog:
    """Stands where a `Log` is wanted and there is no Kafka: whoever uses it is told so."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"There is no Kafka in this test, so context.log has no {name}; hand context_for() a log.")


class GivenConnections:
    """Implements `Connections` with what a test gives: `GivenConnections({"warehouse": {"kind": "acme", …}})`."""

    def __init__(self, connections: Mapping[str, Mapping[str, Any]], clusters: Mapping[str, Log] | None = None) -> None:
        self._connections = connections
        self._clusters = clusters or {}

    def find(self, name: str, kind: str, model: type[Settings]) -> Settings:
        """Return the settings of a connection of that kind, validated."""
        given = dict(self._connections.get(name, {}))
        if given.pop("kind", None) != kind:
            raise ConnectionUnusable(f"No connection {name!r} of the kind {kind} is defined in this test.")
        try:
            return model.model_validate(given)
        except ValidationError as error:
            raise ConnectionUnusable(f"The connection {name!r} is not valid: {error.error_count()} mistakes.") from None

    def cluster(self, name: str) -> Log:
        """Return another cluster's log."""
        if name not in self._clusters:
            raise ConnectionUnusable(f"No connection {name!r} of the kind kafka is defined in this test.")
        return self._clusters[name]


def context_for(
    delivery: Delivery,
    *,
    worker: str = "worker-a",
    stream: str = "conformance",
    namespace: str = "headgate",
    log: Log | None = None,
    clock: Clock | None = None,
    connections: Connections | None = None,
    commit_interval_ms: int = 100,
) -> ConnectorContext:
    """Return what a worker of that name opens a connector with, the names made as a real worker makes them."""
    nothing: Any = NoLog()
    return ConnectorContext(
        log=log if log is not None else nothing,
        clock=clock if clock is not None else MachineClock(),
        stream=stream,
        incarnation=1,
        worker=worker,
        group=f"{namespace}.{stream}.1",
        transactional_id=f"{namespace}.{worker}.{stream}.1",
        delivery=delivery,
        commit_interval_ms=commit_interval_ms,
        session_timeout_ms=6_000,
        connections=connections if connections is not None else GivenConnections({}),
    )
