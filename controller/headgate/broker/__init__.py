"""A broker for development and tests: the real Kafka, without Docker where there is none.

`EmbeddedBroker` runs Kafka from its Maven artifacts on a Java of the machine or of PyPI; `choose_broker` takes a given
cluster, a container or the embedded broker, in this order, and says which. Nothing of this runs in production.
"""

from __future__ import annotations

from headgate.broker.choose import ChosenBroker, choose_broker
from headgate.broker.embedded import EmbeddedBroker

__all__ = ["ChosenBroker", "EmbeddedBroker", "choose_broker"]
