"""A broker of the test's own behind a proxy, besides its direct address: who is given which decides whom a fault hits.

A Kafka client connects to where the broker says that it is, so the broker has a second listener that advertises the
proxy's port. Everything else is the product's own broker, as a container or embedded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from headgate.broker import ports
from headgate.broker.choose import KIND_VARIABLE, FaultyBroker, real_offers
from headgate.broker.embedded import EmbeddedBroker
from headgate.broker.progress import Progress
from tests.support.proxy import Proxy


@dataclass(frozen=True, slots=True)
class ProxiedBroker:
    """`direct` is the address that no fault of the proxy touches, `proxied` the one behind it."""

    broker: FaultyBroker
    proxy: Proxy
    direct: str
    proxied: str


@contextmanager
def proxied_broker(
    environ: Mapping[str, str] | None = None, properties: Mapping[str, str] | None = None
) -> Iterator[ProxiedBroker]:
    """Start a broker of our own and a proxy before it; both end with the block."""
    wanted = (os.environ if environ is None else environ).get(KIND_VARIABLE, "")
    own, behind, front = _free_ports(3)
    without = "the embedded one is asked for" if wanted == "embedded" else real_offers().container_why_not(Progress())
    broker: Any = (
        _container(own, behind, front, properties or {})
        if without is None
        else _embedded(own, behind, front, properties or {})
    )
    broker.start()
    try:
        with Proxy(front, behind, kafka=True) as proxy:
            yield ProxiedBroker(broker, proxy, f"{ports.HOST}:{own}", f"{ports.HOST}:{front}")
    finally:
        broker.stop()


def _free_ports(count: int) -> list[int]:
    found: set[int] = set()
    while len(found) < count:
        found.add(ports.free_port())
    return sorted(found)


def _advertised(own: int, front: int) -> str:
    return f"PLAINTEXT://{ports.HOST}:{own},PROXIED://{ports.HOST}:{front}"


def _embedded(own: int, behind: int, front: int, properties: Mapping[str, str]) -> EmbeddedBroker:
    controller = ports.free_port(besides=own)
    broker = EmbeddedBroker(port=own, properties=properties)
    # Listeners are the node's own business, which callers are refused; what is put in here wins over the node's.
    broker._settings.properties.update(  # type: ignore[attr-defined]
        {
            "listeners": f"PLAINTEXT://{ports.HOST}:{own},PROXIED://{ports.HOST}:{behind},"
            f"CONTROLLER://{ports.HOST}:{controller}",
            "advertised.listeners": _advertised(own, front),
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": f"1@{ports.HOST}:{controller}",
        }
    )
    return broker


def _container(own: int, behind: int, front: int, properties: Mapping[str, str]) -> FaultyBroker:
    from headgate.broker.container import KafkaContainer

    class Container(KafkaContainer):
        def _configure_for(self, port: int) -> None:
            super()._configure_for(port)
            self.ports[f"{behind}/tcp"] = (ports.HOST, behind)  # type: ignore[assignment]
            self.env["KAFKA_LISTENERS"] += f",PROXIED://0.0.0.0:{behind}"
            self.env["KAFKA_ADVERTISED_LISTENERS"] += f",PROXIED://{ports.HOST}:{front}"
            self.env["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"] += ",PROXIED:PLAINTEXT"

    return Container(port=own, properties=properties)
