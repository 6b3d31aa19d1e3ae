"""The real clients, on the cluster that was meant and with the administrator's settings for reaching it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from headgate.cli.connection import Connection
from headgate.cli.reaching import reach
from headgate.cli.target import Target
from headgate.settings import load_settings

if TYPE_CHECKING:
    from headgate_events.client.workers import WorkersClient

FETCH_WAIT_MS: Final = 50
"""How long a broker may hold a fetch that finds nothing. A command reads to the end once, partition by partition, and
with the default of 500 ms the empty ones alone made every `get` take a second."""


def connect(target: Target) -> Connection:
    """Return a connection to a cluster that answers; each client is made when it is first used.

    Raises ClusterUnreachable, or InvalidRequest for a bad HEADGATE_ variable, such as HEADGATE_KAFKA, whose security
    settings are used.
    """
    from headgate_events.client.activity import ActivityReader
    from headgate_events.client.commands import CommandClient
    from headgate_events.client.history import HistoryReader
    from headgate_events.client.state import StateReader

    settings = load_settings(bootstrap_servers=target.bootstrap_servers, namespace=target.namespace)
    reach(target)
    servers, namespace, kafka = settings.bootstrap_servers, settings.namespace, settings.kafka
    reading = {"fetch.wait.max.ms": FETCH_WAIT_MS, **kafka}

    def commands() -> CommandClient:
        return CommandClient(servers, namespace, kafka=kafka)

    def state() -> StateReader:
        return StateReader(servers, namespace, kafka=reading)

    def history() -> HistoryReader:
        return HistoryReader(servers, namespace, kafka=reading)

    def workers() -> WorkersClient:
        from headgate_events.client.workers import WorkersClient as Client

        return Client(servers, namespace, kafka=kafka)

    def activity() -> ActivityReader:
        return ActivityReader(servers, namespace, kafka=reading)

    def ends(topic: str, partitions: Iterable[int], timeout_s: float) -> dict[int, int]:
        from headgate_events.client.kafka import high_watermarks

        return high_watermarks(servers, kafka, topic, partitions, timeout_s)

    return Connection(commands, state, history, workers, activity, ends)


def connect_workers(target: Target) -> WorkersClient:
    """Return what reads the heartbeats of a cluster that answers. Raises as `connect` does."""
    from headgate_events.client.workers import WorkersClient

    settings = load_settings(bootstrap_servers=target.bootstrap_servers, namespace=target.namespace)
    reach(target)
    return WorkersClient(settings.bootstrap_servers, settings.namespace, kafka=settings.kafka)
