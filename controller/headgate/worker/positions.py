"""Positions: what a start policy, a resume or a recover means, in explicit positions for every partition of the source.

All of it is asked of the source's catalogue by one worker that takes no part in the reading. A position that the source
no longer holds is never moved silently: the check does not pass, and says how many records are missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headgate.ports.log import Range, TopicPartition
from headgate.ports.source import SourceCatalogue
from headgate.worker.pipeline import Pipeline
from headgate.worker.view import View

Positions = dict[TopicPartition, int]
Nested = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Checked:
    """The answer to a check: positions where the run is told where to begin, or what is wrong with them.

    `gap` counts the records that are gone. Against where the stream stands, `reread` counts those that the positions
    have it read again, and `skipped` those that it will never read. All three count positions of the log, where the
    marks of transactions take up some and compaction has taken some out.
    """

    passed: bool
    positions: Nested = field(default_factory=dict)
    gap: int = 0
    reread: int = 0
    skipped: int = 0
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
        policy: Mapping[str, Any] = view.checking["payload"].get("positions") or {"policy": "committed"}
        return _check(Stand.of(catalogue, view), policy, view, kept_there=_kept_by_destination(pipeline))
    finally:
        catalogue.close()


def where_it_stands(pipeline: Pipeline, view: View) -> Checked:
    """Return the positions at which a stream that was paused by itself goes on, or what is missing there."""
    catalogue = pipeline.make_catalogue()
    try:
        stand = Stand.of(catalogue, view)
        return _check(stand, {"policy": "committed"}, view, kept_there=_kept_by_destination(pipeline))
    finally:
        catalogue.close()


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a stream stands, and what its source holds, partition by partition."""

    catalogue: SourceCatalogue
    ranges: Mapping[TopicPartition, Range]
    positions: Positions
    """The group's commits; where those have expired, the receipts, then the state's, then the source's beginning."""

    @classmethod
    def of(cls, catalogue: SourceCatalogue, view: View) -> Stand:
        """Ask the source and its group."""
        partitions = partitions_of(catalogue)
        ranges = {each: catalogue.range(each) for each in partitions}
        committed = catalogue.committed(partitions)
        positions: Positions = {}
        for each in partitions:
            number = str(each.partition)
            receipt = view.receipts.get(each.topic, {}).get(number)
            stated = view.positions.get(each.topic, {}).get(number)
            if each in committed:
                positions[each] = committed[each].position
            elif receipt is not None:
                positions[each] = receipt["end"]
            else:
                positions[each] = ranges[each].start if stated is None else stated
        return cls(catalogue, ranges, positions)


def _check(stand: Stand, policy: Mapping[str, Any], view: View, *, kept_there: bool) -> Checked:
    """Return where each partition is to begin, all of them or those that the policy moves.

    Partitions that go on where they stand are named too, because the group's commits expire. Not named are those that
    move while this is asked (of a stream that carries on), and those whose positions the destination keeps, since the
    group's may be behind: either would be wound back.
    """
    moved = _moved(stand, policy, view)
    if isinstance(moved, Checked):
        return moved
    wanted = moved if view.carries_on else {**stand.positions, **moved}
    if (wrong := _not_there(stand, wanted)) is not None:
        return wrong
    told = {
        each: position
        for each, position in wanted.items()
        if not kept_there or (each in moved and (each not in view.failed or position != stand.positions[each]))
    }
    steps = [position - stand.positions[each] for each, position in wanted.items()]
    return Checked(
        True,
        nested(told),
        reread=sum(-step for step in steps if step < 0),
        skipped=sum(step for step in steps if step > 0),
    )


def _moved(stand: Stand, policy: Mapping[str, Any], view: View) -> Positions | Checked:
    """Return the positions that the policy names, or why it cannot be followed; failed partitions are always named."""
    ranges, name = stand.ranges, policy["policy"]
    if name == "earliest":
        return {each: held.start for each, held in ranges.items()}
    if name == "latest":
        return {each: held.end for each, held in ranges.items()}
    if name == "timestamp":
        return dict(stand.catalogue.at_time(list(ranges), policy["timestamp_ms"]))
    moved = {each: position for each, position in stand.positions.items() if each in view.failed}
    if name == "offsets":
        given = {
            TopicPartition(topic, int(number)): position
            for topic, numbers in policy["offsets"].items()
            for number, position in numbers.items()
        }
        if unknown := sorted(set(given) - set(ranges)):
            return _unknown_partition(unknown[0])
        moved |= given
    elif name == "skip":
        skipped = TopicPartition(policy["topic"], int(policy["partition"]))
        if skipped not in ranges:
            return _unknown_partition(skipped)
        moved[skipped] = min(stand.positions[skipped] + policy["records"], ranges[skipped].end)
    return moved


def _not_there(stand: Stand, wanted: Mapping[TopicPartition, int]) -> Checked | None:
    """Return what the source no longer holds, or never held, of the positions; None when it holds them all."""
    ranges = stand.ranges
    missing = {
        each: ranges[each].start - position for each, position in wanted.items() if position < ranges[each].start
    }
    if missing:
        gap = sum(missing.values())
        where = ", ".join(f"{each.topic}[{each.partition}]" for each in sorted(missing)[:3])
        message = f"The source no longer holds {gap:,} record(s) from the positions on: {where}."
        return Checked(False, gap=gap, code="position.lost", message=message)
    beyond = [each for each, position in wanted.items() if position > ranges[each].end]
    if not beyond:
        return None
    first = min(beyond)
    message = (
        f"{first.topic}[{first.partition}] ends at {ranges[first].end:,}, before the position {wanted[first]:,}:"
        " the topic was cut short or made anew."
    )
    return Checked(False, code="position.lost", message=message)


def _kept_by_destination(pipeline: Pipeline) -> bool:
    destination = pipeline.make_destination()
    try:
        return destination.positions_in == "destination"
    finally:
        destination.close()


def _unknown_partition(partition: TopicPartition) -> Checked:
    message = f"The source has no partition {partition.partition} of a topic {partition.topic}."
    return Checked(False, code="position.unknown_partition", message=message)
