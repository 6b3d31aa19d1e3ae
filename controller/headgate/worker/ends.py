"""Ends: where a bounded stream (`source.until`) stops, partition by partition.

`until: end` and a time are resolved once, when the stream is validated at its start, before its first record is read.
What was found goes into the state with the start (`ends`), so whoever inherits a partition, in whichever run, stops at
the same place. Explicit offsets need no resolving: they are taken from the definition, and a modify can move them.

A partition is at its end when its position is not below it. The position is moved up to the end where the last offsets
hold no record (marks of transactions, what compaction took out, aborted records), so the committed position alone says
whether a partition has finished, to whoever takes it on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from headgate.ports.log import TopicPartition
from headgate.ports.source import SourceCatalogue
from headgate.worker.accounts import partition_of
from headgate.worker.positions import Positions
from headgate.worker.view import View
from headgate_events.errors import HeadgateError
from headgate_events.records import Record
from headgate_events.schema.config import UntilOffsets, UntilTime

NOTHING_TO_READ: Final = 0
"""The end of a partition that was not there yet when the ends were found."""

Until = str | UntilTime | UntilOffsets


class UntilInFuture(HeadgateError):
    """A stream is to stop at a time that has not come: where that is cannot be told yet. Whoever defined it is."""

    code: ClassVar[str] = "source.until_in_future"


class UntilUnknownPartition(HeadgateError):
    """A stream is to stop at an offset of a partition that its source does not have."""

    code: ClassVar[str] = "position.unknown_partition"


def resolve(catalogue: SourceCatalogue, until: Until, partitions: Sequence[TopicPartition], now_ms: int) -> Positions:
    """Return the ends that a stream which starts now will keep; none where the definition has them as offsets.

    Raises UntilInFuture, UntilUnknownPartition or what the source raises.
    """
    if isinstance(until, UntilOffsets):
        known = set(partitions)
        for each in sorted(_given(until)):
            if each not in known:
                raise UntilUnknownPartition(
                    f"The source has no partition {each.partition} of a topic {each.topic}.",
                    hint="Correct the offsets in `source.until`.",
                )
        return {}
    if isinstance(until, UntilTime):
        if until.timestamp_ms > now_ms:
            raise UntilInFuture(
                "The time in `source.until` has not come yet, so where it lies in the source cannot be told.",
                hint="Start the stream once that time has passed, or give `until: end` or offsets.",
            )
        return dict(catalogue.at_time(partitions, until.timestamp_ms))
    return {each: catalogue.range(each).end for each in partitions}


class UntilEnd:
    """The ends of one task's partitions. Its thread owns it. `ended` are those owned that are not to be read on."""

    def __init__(self, until: Until) -> None:
        self.ended: set[TopicPartition] = set()
        self._until = until
        self._ends: dict[TopicPartition, int] = {}
        self._met: set[TopicPartition] = set()

    def take_on(self, view: View, positions: Mapping[TopicPartition, int]) -> None:
        """Take partitions on, or begin them anew, at these positions."""
        self.forget(positions)
        for each, position in positions.items():
            end = self._end_of(view, each)
            if end is None:
                continue
            self._ends[each] = end
            if position >= end:
                self.ended.add(each)

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Let partitions go."""
        for each in partitions:
            self._ends.pop(each, None)
            self.ended.discard(each)
            self._met.discard(each)

    def within(self, records: Sequence[Any]) -> Sequence[Any]:
        """Leave out those records of a batch that stand at or behind their partition's end."""
        self._met.clear()
        kept: list[Record] = []
        for record in records:
            place = partition_of(record)
            end = self._ends.get(place)
            if end is None or (record.offset() or 0) < end:
                kept.append(record)
            else:
                self._met.add(place)
        return kept

    def newly_ended(
        self, positions: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        """Return the partitions that have come to their end, with it. Ask after each batch, when it was moved.

        `positions` are those of the partitions that go on; of one that stands still in front of a record that failed,
        what lies behind it in the batch says nothing. `ends` are the ends of the log that the batch met.
        """
        found = {}
        for place, position in positions.items():
            end = self._ends.get(place)
            if end is None or place in self.ended:
                continue
            if position >= end or place in self._met or ends.get(place, -1) >= end:
                found[place] = end
        self.ended.update(found)
        return found

    def _end_of(self, view: View, place: TopicPartition) -> int | None:
        if isinstance(self._until, UntilOffsets):
            return _given(self._until).get(place)
        return view.ends.get(place.topic, {}).get(str(place.partition), NOTHING_TO_READ)


def _given(until: UntilOffsets) -> Positions:
    return {
        TopicPartition(topic, int(number)): offset
        for topic, numbers in until.offsets.items()
        for number, offset in numbers.items()
    }
