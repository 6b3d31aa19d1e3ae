"""What people who write a destination test it with: `DestinationConformance`, and made-up records and surroundings.

The suite is made of the promises of `headgate.ports.destination`, one test for each, and knows no destination. It needs
pytest beside Headgate's own dependencies, and no Kafka. Importing this package tells pytest to explain the suite's
assertions as it does those of a test file. How to use it: docs/writing-a-destination.md.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    *(f"headgate.testing.{name}" for name in ("definition", "owner", "ownership", "subject", "trouble", "visibility"))
)

from headgate.testing.destinations import DestinationConformance
from headgate.testing.owner import Owner
from headgate.testing.records import MadeRecord, output_of
from headgate.testing.subject import Seen
from headgate.testing.surroundings import GivenConnections, NoLog, context_for

__all__ = [
    "DestinationConformance",
    "GivenConnections",
    "MadeRecord",
    "NoLog",
    "Owner",
    "Seen",
    "context_for",
    "output_of",
]
