"""A namespace with its topics, and something that answers in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from headgate_events.topics import Topics as Names
from tests.integration.events.small_projector import SmallProjector
from tests.support.kafka import Topics

PARTITIONS = 3


@pytest.fixture
def names(topics: Topics, namespace: str) -> Names:
    found = Names(namespace)
    for spec in found.specs:
        if spec.co_partitioned:
            topics.create(spec.name.removeprefix(f"{namespace}."), PARTITIONS, dict(spec.config))
    return found


@pytest.fixture
def projector(broker: Any, names: Names) -> Iterator[SmallProjector]:
    with SmallProjector(broker.bootstrap_servers, names, PARTITIONS) as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def broker_is_chosen_first(broker: Any) -> None:
    """Choose the broker before a test hides the settings that say which one is meant."""
