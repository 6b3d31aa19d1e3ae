"""The discarding destination keeps what it promises, which is nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headgate.destinations.discard import Discard
from headgate.testing import DestinationConformance, Seen


class TestDiscard(DestinationConformance):
    kind = Discard()
    keeps_records = False

    def settings(self) -> Mapping[str, Any]:
        return {}

    def read(self) -> Sequence[Seen]:
        return []
