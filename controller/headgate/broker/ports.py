"""Free ports on the loopback address, from below the range out of which the kernel serves outgoing connections.

A port of the ephemeral range can be taken by anybody's outgoing connection while a broker restarts; one below it is
only taken by another server.
"""

from __future__ import annotations

import random
import socket
from pathlib import Path

from headgate.broker.errors import PortUnavailable

HOST = "127.0.0.1"
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_EPHEMERAL_DEFAULT = 32768
_WIDTH = 12_000
_ATTEMPTS = 200


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a connection that lingers after its server has ended does not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port(*, besides: int | None = None) -> int:
    """Return a port that is free now and is not `besides`. Nothing reserves it: the taker must be ready to lose it."""
    top = _ephemeral_start()
    bottom = max(1024, top - _WIDTH)
    # Seeded by the system, so that two processes that start together draw different ports.
    draw = random.SystemRandom()
    for _ in range(_ATTEMPTS):
        port = draw.randrange(bottom, top)
        if port != besides and port_is_free(port):
            return port
    raise PortUnavailable(
        f"No free port was found on {HOST} in {_ATTEMPTS} attempts between {bottom} and {top}.",
        hint="Give one with --port, or end some of the servers on this machine.",
    )


def _ephemeral_start() -> int:
    try:
        start = int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _EPHEMERAL_DEFAULT
    # A machine may serve outgoing connections from nearly all ports; then there is no better range than the default's.
    return start if start >= 1024 + 1000 else _EPHEMERAL_DEFAULT
