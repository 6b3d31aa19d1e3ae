"""The discarding destination: takes everything and keeps nothing. For measuring a source and a transform alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from headgate.ports.connectors import ConnectorContext, Delivery
from headgate.ports.destination import Destination, Output, PositionsIn, Token
from headgate.ports.log import Committed, TopicPartition
from headgate_events.records import Record
from headgate_events.schema.common import Check


class DiscardSettings(BaseModel):
    """Settings of `destination: {kind: discard}`: there are none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DiscardDestination:
    """Keeps nothing; the positions are committed to the source."""

    positions_in: PositionsIn = "source"
    transactional_ids: tuple[str, ...] = ()

    def open(self) -> None:
        """Nothing to open."""

    def forward(self, records: Sequence[Record]) -> None:
        """Let records go."""

    def write(self, outputs: Sequence[Output]) -> None:
        """Let outputs go."""

    def positions(self, claims: Mapping[TopicPartition, Token]) -> Mapping[TopicPartition, Committed]:
        """Return nothing: the positions are the source's."""
        return {}

    def commit(self, positions: Mapping[TopicPartition, Committed], proof: Any) -> None:
        """Nothing to make durable."""

    def close(self) -> None:
        """Nothing to close."""


class Discard:
    """The kind `discard`. With nothing kept, either delivery holds; what is measured is the rest of the task."""

    name: Final = "discard"
    settings: Final = DiscardSettings
    promises: Sequence[Delivery] = ("exactly_once", "at_least_once")

    def check(self, settings: DiscardSettings, context: ConnectorContext) -> Sequence[Check]:
        """Warn that nothing is kept."""
        return [
            Check(
                name="destination",
                result="warning",
                code="destination.discards",
                message="The destination discard keeps nothing: every record is read and thrown away.",
            )
        ]

    def destination(self, settings: DiscardSettings, context: ConnectorContext) -> Destination:
        """Make the destination."""
        return DiscardDestination()
