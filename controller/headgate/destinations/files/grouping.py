"""Records and outputs by the source partition that they came from, in order within each. Part of the hot path."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headgate.ports.destination import Output
from headgate.ports.log import TopicPartition
from headgate_events.records import Record


def by_partition(records: Sequence[Record], only_topic: str | None) -> Mapping[TopicPartition, list[Record]]:
    """Return records by their partition; `only_topic` is the topic of all of them, where that is known."""
    groups: defaultdict[Any, list[Record]] = defaultdict(list)
    if only_topic is None:
        for record in records:
            groups[record.topic(), record.partition()].append(record)
        return {TopicPartition(*place): group for place, group in groups.items()}
    for record in records:
        groups[record.partition()].append(record)
    return {TopicPartition(only_topic, place): group for place, group in groups.items()}


def by_origin(outputs: Sequence[Output]) -> Mapping[TopicPartition, list[Output]]:
    """Return outputs by the partition of the record that they came from."""
    groups: defaultdict[tuple[Any, Any], list[Output]] = defaultdict(list)
    for output in outputs:
        origin = output.origin
        groups[origin.topic(), origin.partition()].append(output)
    return {TopicPartition(*place): group for place, group in groups.items()}


def only_topic_of(partitions: Iterable[TopicPartition]) -> str | None:
    """Return the topic of all of them, or None when there are several, or no partitions."""
    topics = {partition.topic for partition in partitions}
    return topics.pop() if len(topics) == 1 else None
