"""A stream's definition file: the stream's name, then its configuration, as a person writes it in YAML.

    stream: departures
    source: {kind: kafka, topic: flights}
    destination: {kind: kafka, topic: departures}

It is the configuration of create and modify with the name beside it, so that one short file says all.
"""

from __future__ import annotations

from pydantic import Field

from headgate_events.schema.common import StreamName
from headgate_events.schema.config import StreamConfig


class StreamDefinition(StreamConfig):
    """One stream as its file defines it."""

    stream: StreamName = Field(description="The stream's name: lower-case letters, digits and inner hyphens.")

    @property
    def config(self) -> StreamConfig:
        """The configuration without the name: what create and modify carry, with only what the file sets as set."""
        given = {name: getattr(self, name) for name in self.model_fields_set if name != "stream"}
        return StreamConfig.model_validate(given)
