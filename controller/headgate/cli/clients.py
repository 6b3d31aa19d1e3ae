"""The real clients, on the cluster that was meant and with the administrator's settings for reaching it."""

from __future__ import annotations

from headgate.cli.connection import Connection
from headgate.cli.target import Target
from headgate.settings import load_settings


def connect(target: Target) -> Connection:
    """Return a connection; each client contacts the cluster when it is first used.

    Raises InvalidRequest for a bad HEADGATE_ variable, such as HEADGATE_KAFKA, whose security settings are used.
    """
    settings = load_settings(bootstrap_servers=target.bootstrap_servers, namespace=target.namespace)
    servers, namespace, kafka = settings.bootstrap_servers, settings.namespace, settings.kafka

    def commands() -> CommandClient:
        return CommandClient(servers, namespace, kafka=kafka)

    def state() -> StateReader:
        return StateReader(servers, namespace, kafka=kafka)

    def history() -> HistoryReader:
        return HistoryReader(servers, namespace, kafka=kafka)

    from headgate_events.client.commands import CommandClient
    from headgate_events.client.history import HistoryReader
    from headgate_events.client.state import StateReader

    return Connection(commands, state, history)
