"""The judge: a run in, findings out, and no finding for a run that kept its promises. Pure.

It judges streams that hand each record on as it is (one in, one out), which is what proofs run, and these promises:

| finding | what was found |
|---|---|
| `lost` | a committed record of the source that neither arrived nor was set aside |
| `doubled` | a record that arrived more than once, or arrived and was set aside too |
| `reordered` | a record that arrived after a later one of its key and partition |
| `phantom` | a record that is the output of no committed record of the source |
| `altered` | a record that arrived with another key or content |
| `outside_epoch` | a record that became visible while nobody may write: after PAUSED and before the resume, or later |
| `wrong_receipt` | a receipt that source and destination contradict, or one that is missing or leaves a gap |

A straggler that writes into a later epoch writes a record of its own, ended one; so a record below a pause's final
position that was not visible at that pause is one outside its epoch, whenever it turns up.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tests.checker.model import Delivered, Pause, Place, Receipt, Run, Seen, Sent

Kind = Literal["lost", "doubled", "reordered", "phantom", "altered", "outside_epoch", "wrong_receipt"]
Partition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that should not be."""

    kind: Kind
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def judge(run: Run) -> list[Finding]:
    """Return everything that is wrong with a run, by kind and then in the order of the source."""
    return list(_judged(run))


def _judged(run: Run) -> Iterator[Finding]:
    source = {each.record: each for each in run.sent}
    assert len(source) == len(run.sent), "the sender itself sent a record twice; nothing can be said of such a run"
    arrived = Counter(each.record for each in run.delivered if each.record in source)
    aside = Counter(run.set_aside)
    for record, sent in source.items():
        if not arrived[record] and not aside[record]:
            yield Finding("lost", f"record {record} at {_at(sent.place)}")
    for record, sent in source.items():
        if arrived[record] + aside[record] > 1:
            also = f" and was set aside {aside[record]} times" if aside[record] else ""
            yield Finding("doubled", f"record {record} at {_at(sent.place)} arrived {arrived[record]} times{also}")
    yield from _reordered(run, source)
    for each in run.delivered:
        if each.record is None or each.record not in source:
            yield Finding("phantom", f"record {each.record} in {each.lane} at {each.index} is of no committed source")
        elif (sent := source[each.record]) and (sent.key, sent.content) != (each.key, each.content):
            yield Finding("altered", f"record {each.record} in {each.lane} at {each.index} is not what was sent")
    for record in sorted(aside.keys() - source.keys()):
        yield Finding("phantom", f"record {record} was set aside and is of no committed source")
    yield from _outside(run, source)
    yield from _receipts(run, source)


def _at(place: Place) -> str:
    return f"{place.topic}-{place.partition}:{place.offset}"


def _reordered(run: Run, source: dict[int, Sent]) -> Iterator[Finding]:
    """Look, lane by lane, at the first arrival of each record: what comes again is doubled and has no order."""
    latest: dict[tuple[str, Partition, bytes | None], Sent] = {}
    known: set[int] = set()
    for each in sorted(run.delivered, key=lambda each: (each.lane, each.index)):
        sent = None if each.record is None else source.get(each.record)
        if sent is None or sent.record in known:
            continue
        known.add(sent.record)
        key = (each.lane, sent.place[:2], sent.key)
        before = latest.get(key)
        if before is not None and before.place.offset > sent.place.offset:
            yield Finding("reordered", f"record {sent.record} in {each.lane} arrived after record {before.record}")
        else:
            latest[key] = sent


def _visible(each: Delivered, seen: Seen) -> bool:
    return each.index < seen.get(each.lane, 0)


def _outside(run: Run, source: dict[int, Sent]) -> Iterator[Finding]:
    for pause in run.pauses:
        ends = {(each.topic, each.partition): each.end for each in pause.receipts}
        for each in run.delivered:
            if _visible(each, pause.seen):
                continue
            where = f"record {each.record} in {each.lane} at {each.index}"
            if pause.until is None or _visible(each, pause.until):
                yield Finding("outside_epoch", f"{where} became visible while epoch {pause.epoch} was paused")
                continue
            sent = None if each.record is None else source.get(each.record)
            if sent is not None and sent.place.offset < ends.get(sent.place[:2], -1):
                yield Finding("outside_epoch", f"{where} belongs before epoch {pause.epoch}'s end and came after it")


def _receipts(run: Run, source: dict[int, Sent]) -> Iterator[Finding]:
    offsets: defaultdict[Partition, list[int]] = defaultdict(list)
    for sent in sorted(run.sent, key=lambda each: each.place):
        offsets[sent.place[:2]].append(sent.place.offset)
    ended: dict[Partition, int] = {}
    for pause in run.pauses:
        if pause.forced:
            ended.clear()  # it says nothing of where it ended, so nothing can be said of where the next begins
            continue
        found = {(each.topic, each.partition): each for each in pause.receipts}
        if len(found) != len(pause.receipts):
            yield Finding("wrong_receipt", f"epoch {pause.epoch} has two receipts for one partition")
        for topic, count in run.partitions.items():
            for number in range(count):
                if (topic, number) not in found:
                    yield Finding("wrong_receipt", f"epoch {pause.epoch} has none for {topic}-{number}")
        visible = _visible_offsets(run, source, pause)
        for partition, receipt in found.items():
            yield from _contradictions(pause, receipt, offsets[partition], visible[partition], ended.get(partition))
            ended[partition] = receipt.end
        yield from _beyond(pause, found, visible)


def _visible_offsets(run: Run, source: dict[int, Sent], pause: Pause) -> defaultdict[Partition, list[int]]:
    """Return, by source partition and in order, the offsets whose records were visible at a pause."""
    visible: defaultdict[Partition, list[int]] = defaultdict(list)
    for each in run.delivered:
        if each.record in source and _visible(each, pause.seen):
            place = source[each.record].place
            visible[place[:2]].append(place.offset)
    for offsets in visible.values():
        offsets.sort()
    return visible


def _within(offsets: list[int], receipt: Receipt) -> int:
    return bisect_left(offsets, receipt.end) - bisect_left(offsets, receipt.start)


def _contradictions(
    pause: Pause, receipt: Receipt, sent: list[int], visible: list[int], ended: int | None
) -> Iterator[Finding]:
    said = f"epoch {pause.epoch}, {receipt.topic}-{receipt.partition} from {receipt.start} to {receipt.end}"
    if (read := _within(sent, receipt)) != receipt.read:
        yield Finding("wrong_receipt", f"{said}: says {receipt.read} read, the source has {read}")
    if (written := _within(visible, receipt)) != receipt.written:
        yield Finding("wrong_receipt", f"{said}: says {receipt.written} written, the destination showed {written}")
    if ended is not None and receipt.start != ended:
        yield Finding("wrong_receipt", f"{said}: the one before ended at {ended}")


def _beyond(
    pause: Pause, found: dict[Partition, Receipt], visible: defaultdict[Partition, list[int]]
) -> Iterator[Finding]:
    for partition, receipt in found.items():
        beyond = len(visible[partition]) - bisect_left(visible[partition], receipt.end)
        if beyond:
            said = f"epoch {pause.epoch}, {receipt.topic}-{receipt.partition} to {receipt.end}"
            yield Finding("wrong_receipt", f"{said}: {beyond} records beyond its end were visible")
