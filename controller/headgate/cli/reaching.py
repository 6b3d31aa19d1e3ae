"""Whether anybody answers at all, asked first: a wrong address is then said at once, with who named it.

The Kafka client tries for as long as it is let, since for a service that is right. A person who has forgotten to choose
a context should not wait half a minute to hear so.
"""

from __future__ import annotations

import socket
from typing import Final

from headgate.cli.target import Target
from headgate_events.errors import ClusterUnreachable

REACH_S: Final = 5.0
DEFAULT_PORT: Final = 9092


def reach(target: Target, timeout_s: float = REACH_S) -> None:
    """Return when one of the bootstrap servers takes a connection. Raises ClusterUnreachable, which says why not."""
    servers = [server.strip().rpartition("://")[2] for server in target.bootstrap_servers.split(",")]
    reasons: list[str] = []
    for server in servers:
        host, port = _address(server)
        try:
            socket.create_connection((host, port), timeout_s / len(servers)).close()
        except OSError as error:
            reasons.append(f"{server}: {_reason(error)}")
        else:
            return
    raise ClusterUnreachable(
        f"No broker answers ({'; '.join(reasons)}), as {target.servers_from} says."
        if target.servers_from != "the default"
        else f"No broker answers ({'; '.join(reasons)}), and no other cluster was named.",
        hint="Name the cluster with --bootstrap-servers or a context, or start one with `headgate broker start`.",
    )


def _address(server: str) -> tuple[str, int]:
    host, colon, port = server.rpartition(":")
    if not colon or not port.isdigit():
        return server.strip("[]"), DEFAULT_PORT
    return host.strip("[]"), int(port)


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "the name is not known"
    return (error.strerror or str(error)).lower()
