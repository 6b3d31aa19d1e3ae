"""What a worker is told at its start: frozen, read once, each bound with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from headgate_events.names import check_namespace, check_worker_name

DEFAULT_TRANSFORM_MODULES: Final = ("headgate.demo.transforms",)


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """A worker's own settings.

    `name` is stable over restarts (transactional ids derive from it), `instance` is fresh at each start.
    """

    name: str
    instance: str
    namespace: str = "headgate"
    heartbeat_interval_s: float = 2.0
    silent_after_s: float = 6.0
    """Three missed heartbeats: about the group's session timeout, so an heir is there when partitions come free."""
    session_timeout_ms: int = 6_000
    """The broker's smallest default: a killed worker's partitions move after this time."""
    source_check_s: float = 30.0
    """How often the number of a running source's partitions is looked up."""
    position_check_s: float = 60.0
    """How often the positions of a paused or failed stream are compared with what its source still holds."""
    wake_check_s: float = 5.0
    """How often the source of a stream that auto-pause paused is looked at: what wakes it waits so long at most."""
    shutdown_timeout_s: float = 30.0
    """How long tasks may take to finish what is in flight when the worker is asked to end."""
    poll_s: float = 0.025
    """The longest wait of one supervisor step: what it adds to the way of a command or a report."""
    transform_modules: tuple[str, ...] = DEFAULT_TRANSFORM_MODULES

    def __post_init__(self) -> None:
        check_namespace(self.namespace)
        check_worker_name(self.name)
        assert 0 < self.heartbeat_interval_s < self.silent_after_s, "a worker is not silent between two heartbeats"
        assert 0 < self.poll_s <= 0.1, "no poll lasts longer than 100 ms"
