"""How records come in, alike for local files and for a store: sorted by partition, and counted for rolling."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from headgate.destinations.files.formats import Format, Values
from headgate.destinations.files.grouping import by_origin, by_partition
from headgate.destinations.files.rolling import Rolling
from headgate.destinations.files.settings import Roll
from headgate.ports.destination import Output, outputs_of
from headgate.ports.log import TopicPartition
from headgate_events.records import Record


class Taking(ABC):
    """The part of a files destination that takes records on."""

    def __init__(self, form: Format, roll: Roll) -> None:
        self._form = form
        self._rolling = Rolling(roll)
        self._only_topic: str | None = None

    def forward(self, records: Sequence[Record]) -> None:
        """Write records to the files of their partitions."""
        if self._form.enveloped:
            self.write(outputs_of(records))
            return
        for partition, group in by_partition(records, self._only_topic).items():
            self._take(partition, [record.value() for record in group], group)

    def write(self, outputs: Sequence[Output]) -> None:
        """Write outputs to the files of the partitions that they came from."""
        for partition, group in by_origin(outputs).items():
            values = self._form.values_of(group) if self._form.enveloped else [output.value for output in group]
            self._take(partition, values, [output.origin for output in group])

    def commit_due(self, waited_s: float) -> bool:
        """Say whether a file is full or old enough."""
        return self._rolling.due(waited_s)

    @abstractmethod
    def _take(self, partition: TopicPartition, values: Values, origins: Sequence[Record]) -> None:
        """Write values to the file of their partition."""
