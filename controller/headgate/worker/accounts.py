"""The accounts of a task: one per source partition that it owns, moved on batch by batch.

The hot path is `advance`: it looks at each record twice, in loops that run in C, and at each partition once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headgate.core.drain import Account
from headgate.core.receipts import chain
from headgate.ports.log import Committed, TopicPartition
from headgate_events.records import Record


class Accounts:
    """What a task knows of its partitions. Its thread owns it."""

    def __init__(self) -> None:
        self.of: dict[TopicPartition, Account] = {}
        self.partitions: tuple[TopicPartition, ...] = ()
        self._only_topic: str | None = None

    def take_on(self, accounts: Mapping[TopicPartition, Account]) -> None:
        """Add partitions, or begin them anew."""
        self.of.update(accounts)
        self._note_topics()

    def give_up(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget partitions; those that are not known are passed over."""
        for partition in partitions:
            self.of.pop(partition, None)
        self._note_topics()

    def owned(self, records: Sequence[Record]) -> list[Record]:
        """Leave out records of partitions that went away, and records before their partition's position.

        Needed after a rebalance or a rewind, when a batch may hold what was fetched before it.
        """
        kept = []
        for record in records:
            account = self.of.get(partition_of(record))
            if account is not None and (record.offset() or 0) >= account.position:
                kept.append(record)
        return kept

    def advance(self, records: Sequence[Record], written: Sequence[int] | None) -> None:
        """Move on past records; `written` has one count for each, None means one for each.

        A partition that is not owned is our bug (KeyError).
        """
        places: list[Any]
        if (topic := self._only_topic) is not None:
            places = [record.partition() for record in records]
        else:
            places = [partition_of(record) for record in records]
        last = dict(zip(places, records, strict=True))
        read = Counter(places)
        wrote = read if written is None else _sums(places, written)
        for place, record in last.items():
            partition = TopicPartition(topic, place) if topic is not None else place
            account = self.of[partition]
            account.advance((record.offset() or 0) + 1, read[place], wrote[place])
            if account.digest is not None:
                theirs = (each for each, at in zip(records, places, strict=True) if at == place)
                account.digest = chain(account.digest, theirs)

    def set_aside(self, record: Record) -> None:
        """Move on past one record that could not be processed."""
        account = self.of[partition_of(record)]
        account.advance((record.offset() or 0) + 1, 1, 0)
        account.set_aside += 1
        if account.digest is not None:
            account.digest = chain(account.digest, (record,))

    def uncommitted(self, started_epoch: int) -> dict[TopicPartition, Committed]:
        """Return what the next commit has to cover."""
        return {
            partition: Committed(account.position, account.metadata(started_epoch))
            for partition, account in self.of.items()
            if account.dirty
        }

    def note_watermarks(self, reached: Mapping[TopicPartition, int]) -> set[TopicPartition]:
        """Take on how far the event time of partitions has come; return those where it is news."""
        news = {each for each, at in reached.items() if each in self.of and self.of[each].watermark != at}
        for each in news:
            self.of[each].watermark = reached[each]
        return news

    def committed(self, partitions: Iterable[TopicPartition]) -> None:
        """Note that a commit covered these partitions as they stand."""
        for partition in partitions:
            self.of[partition].dirty = False

    def positions(self) -> dict[TopicPartition, int]:
        """Return where each partition stands."""
        return {partition: account.position for partition, account in self.of.items()}

    def _note_topics(self) -> None:
        self.partitions = tuple(sorted(self.of))
        topics = {partition.topic for partition in self.of}
        self._only_topic = topics.pop() if len(topics) == 1 else None


def watermarks_of(accounts: Mapping[TopicPartition, Account]) -> dict[TopicPartition, int]:
    """Return how far the event time of partitions has come, where that is known."""
    return {each: account.watermark for each, account in accounts.items() if account.watermark is not None}


def partition_of(record: Record) -> TopicPartition:
    """Return where a record was read."""
    return TopicPartition(record.topic() or "", record.partition() or 0)


def _sums(places: Sequence[Any], counts: Sequence[int]) -> Counter[Any]:
    sums: Counter[Any] = Counter()
    for place, count in zip(places, counts, strict=True):
        sums[place] += count
    return sums
