"""A namespace on a broker of the test's own, for tests that let faults happen between it and the workers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from tests.integration.worker.conftest import Headgate
from tests.support.kafka import Topics
from tests.support.proxied import ProxiedBroker


class Own:
    """A broker of the test's own, as the fixtures of a broker know it."""

    def __init__(self, address: str) -> None:
        self.bootstrap_servers = address
        self.said = "a broker behind a proxy"


@contextmanager
def headgate_on(own: ProxiedBroker, name: str) -> Iterator[Headgate]:
    """Give a namespace of this name on it, reached past the proxy, which is healed in the end."""
    namespace = f"{name}-{uuid.uuid4().hex[:8]}"
    made = Headgate(Own(own.direct), namespace, Topics(own.direct, namespace))
    try:
        yield made
    finally:
        own.proxy.heal()
        made.close()
