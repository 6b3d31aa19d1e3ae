"""Positions: what a start policy, a resume or a recover means, in explicit positions for every partition of the source.

All of it is asked of the source's catalogue by one worker that takes no part in the reading. A position that the source
no longer holds is never moved silently: the check does not pass, and says how many records are missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headgate.ports.log import TopicPartition
from headgate.ports.source import SourceCatalogue
from headgate.worker.pipeline import Pipeline
from headgate.worker.view import View

Positions = dict[TopicPartition, int]
Nested = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Checked:
    """The answer to a check: positions for every partition, or what is wrong with them (`gap` in records)."""

    passed: bool
    positions: Nested = field(default_factory=dict)
    gap: int = 0
    code: str | None = None
    message: str = ""


def partitions_of(catalogue: SourceCatalogue) -> list[TopicPartition]:
    """Return every partition of the source."""
    return [TopicPartition(topic, number) for topic, count in catalogue.partitions().items() for number in range(count)]


def nested(positions: Mapping[TopicPartition, int]) -> Nested:
    """Return positions as records carry them."""
    found: Nested = {}
    for partition, position in sorted(positions.items()):
        found.setdefault(partition.topic, {})[str(partition.partition)] = position
    return found


def by_start_policy(catalogue: SourceCatalogue, start: Any, partitions: Sequence[TopicPartition]) -> Positions:
    """Return where a new stream begins: `earliest`, `latest`, or an object with `timestamp_ms`."""
    if start == "earliest":
        return {each: catalogue.range(each).start for each in partitions}
    if start == "latest":
        return {each: catalogue.range(each).end for each in partitions}
    return dict(catalogue.at_time(partitions, start.timestamp_ms))


def start_positions(
    pipeline: Pipeline, partitions: Sequence[TopicPartition], *, known_topics: Mapping[str, object]
) -> Positions:
    """Return where partitions begin of which nothing is known.

    One that appeared later in a topic that the run knew begins at its beginning; one of a topic that is new to the
    stream begins by the start policy.
    """
    catalogue = pipeline.make_catalogue()
    try:
        later = [each for each in partitions if each.topic in known_topics]
        new = [each for each in partitions if each.topic not in known_topics]
        return {each: catalogue.range(each).start for each in later} | by_start_policy(
            catalogue, pipeline.config.source.start, new
        )
    finally:
        catalogue.close()


def check_positions(pipeline: Pipeline, view: View) -> Checked:
    """Resolve what the waiting command's policy means and compare it with what the source holds."""
    assert view.checking is not None
    catalogue = pipeline.make_catalogue()
    try:
        partitions = partitions_of(catalogue)
        policy: Mapping[str, Any] = view.checking["payload"].get("positions") or {"policy": "committed"}
        return _resolve(catalogue, partitions, policy, view)
    finally:
        catalogue.close()


def _resolve(
    catalogue: SourceCatalogue, partitions: Sequence[TopicPartition], policy: Mapping[str, Any], view: View
) -> Checked:
    name = policy["policy"]
    ranges = {each: catalogue.range(each) for each in partitions}
    if name == "earliest":
        return Checked(True, nested({each: held.start for each, held in ranges.items()}))
    if name == "latest":
        return Checked(True, nested({each: held.end for each, held in ranges.items()}))
    if name == "timestamp":
        return Checked(True, nested(catalogue.at_time(partitions, policy["timestamp_ms"])))
    wanted = _standing(catalogue, partitions, view)
    wanted |= {each: held.start for each, held in ranges.items() if each not in wanted}
    moved = set(view.failed)
    if name == "offsets":
        given = {
            TopicPartition(topic, int(number)): position
            for topic, numbers in policy["offsets"].items()
            for number, position in numbers.items()
        }
        if unknown := sorted(set(given) - set(ranges)):
            return _unknown_partition(unknown[0])
        wanted |= given
        moved |= given.keys()
    elif name == "skip":
        skipped = TopicPartition(policy["topic"], int(policy["partition"]))
        if skipped not in ranges:
            return _unknown_partition(skipped)
        wanted[skipped] = min(wanted[skipped] + policy["records"], ranges[skipped].end)
        moved.add(skipped)
    if view.carries_on:
        # The others move on while this is asked: they go on from their own commits, and are not wound back to these.
        wanted = {each: position for each, position in wanted.items() if each in moved}
    missing = {
        each: ranges[each].start - position for each, position in wanted.items() if position < ranges[each].start
    }
    if missing:
        gap = sum(missing.values())
        where = ", ".join(f"{each.topic}[{each.partition}]" for each in sorted(missing)[:3])
        message = f"The source no longer holds {gap:,} record(s) from the positions on: {where}."
        return Checked(False, gap=gap, code="position.lost", message=message)
    beyond = [each for each, position in wanted.items() if position > ranges[each].end]
    if beyond:
        first = min(beyond)
        message = (
            f"{first.topic}[{first.partition}] ends at {ranges[first].end:,}, before the position {wanted[first]:,}:"
            " the topic was cut short or made anew."
        )
        return Checked(False, code="position.lost", message=message)
    return Checked(True, nested(wanted))


def _standing(catalogue: SourceCatalogue, partitions: Sequence[TopicPartition], view: View) -> Positions:
    """Return where the stream stands: the group's commits; where those have expired, the receipts, then the state's."""
    standing: Positions = {}
    committed = catalogue.committed(partitions)
    for each in partitions:
        number = str(each.partition)
        receipt = view.receipts.get(each.topic, {}).get(number)
        stated = view.positions.get(each.topic, {}).get(number)
        if each in committed:
            standing[each] = committed[each].position
        elif receipt is not None:
            standing[each] = receipt["end"]
        elif stated is not None:
            standing[each] = stated
    return standing


def _unknown_partition(partition: TopicPartition) -> Checked:
    message = f"The source has no partition {partition.partition} of a topic {partition.topic}."
    return Checked(False, code="position.unknown_partition", message=message)
