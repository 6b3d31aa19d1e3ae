"""Auditing receipts: what a drain said that it read and wrote, computed again from the source and the destination.

The source is read once more over each receipt's range, as the stream read it; counts must agree, and the digest where
the receipt has one. What was written can be told where the destination is a topic of the same cluster: every record of
the ranges, or what the transform makes of it where that may be loaded here, must stand there, as often as it came.
More may stand there, from other runs or from dead letters that were sent again. A transform that is not loaded here
leaves the counts, which is said; and so is a range that the source no longer holds, which is no difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, Literal

from headgate.core.receipts import BEGINNING, chain
from headgate.ports.log import Clock, Isolation, Log, TopicPartition
from headgate.worker.transforms import Transform, TransformRefused, load_transform
from headgate_events.markers import is_in_band
from headgate_events.records import Record

REQUEST_S: Final = 30.0
QUIET_S: Final = 30.0
"""How long a range may bring no record before it is given up."""
MAX_BATCH: Final = 2_000
Expect = Callable[[Sequence[Record]], list[bytes]]
"""What records of the source must have left in the destination, as hashes of key and value."""
Verdict = Literal["holds", "differs", "unchecked"]


@dataclass(frozen=True, slots=True)
class Audit:
    """What came of one receipt. `told` says what was and what was not looked at, in one sentence."""

    topic: str
    partition: int
    start: int
    end: int
    read: int
    written: int
    verdict: Verdict
    told: str


def audit(log: Log, clock: Clock, state: Mapping[str, Any], modules: Sequence[str] = ()) -> list[Audit]:
    """Check every receipt of a stream's last drain, in the order of topics and partitions. Raises LogError.

    `modules` are those from which a transform may be loaded here.
    """
    drain = state.get("drain") or {}
    config = state["config"]
    isolation: Isolation = config["source"].get("isolation", "read_committed")
    receipts = [
        receipt
        for _, numbers in sorted((drain.get("receipts") or {}).items())
        for _, receipt in sorted(numbers.items(), key=lambda each: int(each[0]))
    ]
    if config["source"]["kind"] != "kafka":
        return [_audit(each, "unchecked", f"The source is {config['source']['kind']}, not Kafka.") for each in receipts]
    if config["source"].get("connection") is not None:
        return [_audit(each, "unchecked", "The source is on another cluster.") for each in receipts]
    expect, why_not = _expectation(config, modules)
    found, awaited, passed_over = [], Counter[bytes](), 0
    for receipt in receipts:
        one, hashes = _audit_source(log, clock, receipt, isolation, expect)
        if one.verdict == "holds" and expect is not None and config.get("transform") is not None:
            one = _compare_counts(one, sum(hashes.values()))
        if one.verdict == "holds":
            awaited += hashes
            passed_over += sum(hashes.values()) - one.written
        found.append(one)
    if expect is None:
        return [_with(each, "holds", why_not) for each in found]
    missing = _missing(log, clock, config["destination"]["topic"], awaited) if awaited else 0
    if missing > passed_over:
        said = f"{missing:,} record(s) of the ranges do not stand in the destination; {passed_over:,} were not written."
        return [_with(each, "differs", said) for each in found]
    came = "Every record of the range" if config.get("transform") is None else "All that the transform makes of it"
    more = "" if missing == passed_over else " So do some that the run set aside."
    less = f", but for {missing:,} that were set aside" if missing else ""
    return [_with(each, "holds", f"{came} stands in the destination{less}.{more}") for each in found]


def _compare_counts(one: Audit, made: int) -> Audit:
    """Judge a receipt by how many records the transform makes of its range now."""
    if made == one.written:
        return one
    said = f"The transform, as it is here now, makes {made:,} records of the range; the receipt says {one.written:,}."
    return _with(one, "differs", said)


def _expectation(config: Mapping[str, Any], modules: Sequence[str]) -> tuple[Expect | None, str]:
    """Return what must stand in the destination; or None, with the sentence that says why that is not compared."""
    destination = config["destination"]
    if destination["kind"] != "kafka" or "topic" not in destination:
        return None, f"What {destination['kind']} holds is not looked at."
    if destination.get("connection") is not None:
        return None, "The destination is on another cluster, and is not looked at."
    if (wanted := config.get("transform")) is None:
        return _hashes, ""
    try:
        transform = load_transform(wanted["function"], wanted.get("settings") or {}, modules)
    except TransformRefused as error:
        return None, f"Counts alone, since the transform is not loaded here: {error.message}"
    return lambda records: _transformed(transform, records), ""


def _transformed(transform: Transform, records: Sequence[Record]) -> list[bytes]:
    """Return the hashes of what a transform makes of records; those that it cannot process give nothing."""
    found: list[bytes] = []
    left = list(records)
    while left:
        ran = transform.run(left)
        found += [_hash(output.key, output.value) for output in ran.outputs]
        if ran.failure is None:
            break
        left = left[len(ran.counts) + 1 :]
    return found


def _hashes(records: Sequence[Record]) -> list[bytes]:
    return [_hash(record.key(), record.value()) for record in records]


def _audit_source(
    log: Log, clock: Clock, receipt: Mapping[str, Any], isolation: Isolation, expect: Expect | None
) -> tuple[Audit, Counter[bytes]]:
    place = TopicPartition(receipt["topic"], receipt["partition"])
    hashes: Counter[bytes] = Counter()
    read, digest = 0, BEGINNING
    consumer = log.consumer(isolation=isolation, ends=True)
    try:
        held = consumer.range(place, REQUEST_S)
        if held.start > receipt["start"] and receipt["end"] > receipt["start"]:
            gone = min(held.start, receipt["end"]) - receipt["start"]
            return _audit(receipt, "unchecked", f"The source no longer holds {gone:,} of its positions."), hashes
        if held.end < receipt["end"]:
            return _audit(receipt, "differs", f"The source ends at {held.end:,}, before the receipt does."), hashes
        for found in _range(consumer, clock, place, receipt["start"], receipt["end"]):
            records = [each for each in found if not is_in_band(each)]  # a marker is no record, and was not counted
            read += len(records)
            if receipt.get("digest") is not None:
                digest = chain(digest, records)
            if expect is not None:
                hashes.update(expect(records))
    finally:
        consumer.close()
    if read != receipt["read"]:
        return _audit(receipt, "differs", f"The source has {read:,} records there; the receipt says other."), Counter()
    if receipt.get("digest") is None:
        return _audit(receipt, "holds", "As many records were read as the source has; it carries no digest."), hashes
    if digest.hex() != receipt["digest"]:
        return _audit(receipt, "differs", "The digest of the source's records is another."), Counter()
    return _audit(receipt, "holds", "Count and digest are those of the source."), hashes


def _range(consumer: Any, clock: Clock, place: TopicPartition, start: int, end: int) -> Iterator[list[Record]]:
    """Yield the records of a range. Ends at the range's end, at the partition's, or after a long silence."""
    if end <= start:
        return
    consumer.assign({place: start})
    heard_s = clock.monotonic_s()
    while clock.monotonic_s() - heard_s < QUIET_S:
        batch = consumer.poll(MAX_BATCH, 0.1)
        if batch.records:
            heard_s = clock.monotonic_s()
            wanted = [record for record in batch.records if (record.offset() or 0) < end]
            if wanted:
                yield wanted
            if len(wanted) < len(batch.records) or (batch.records[-1].offset() or 0) + 1 >= end:
                return
        if place in batch.ends:
            return


def _missing(log: Log, clock: Clock, topic: str, awaited: Counter[bytes]) -> int:
    """Return how many of the records do not stand in a topic, as often as they were counted."""
    left = Counter(awaited)
    for number in range(log.partitions(topic, REQUEST_S) or 0):
        place = TopicPartition(topic, number)
        consumer = log.consumer(isolation="read_committed", ends=True)
        try:
            held = consumer.range(place, REQUEST_S)
            for records in _range(consumer, clock, place, held.start, held.end):
                left.subtract(hash_ for hash_ in _hashes(records) if hash_ in awaited)
        finally:
            consumer.close()
    return sum(count for count in left.values() if count > 0)


def _hash(key: bytes | None, value: bytes | None) -> bytes:
    return blake2b(repr((key, value)).encode(), digest_size=16).digest()


def _audit(receipt: Mapping[str, Any], verdict: Verdict, told: str) -> Audit:
    place, counts = (receipt["topic"], receipt["partition"]), (receipt["read"], receipt["written"])
    return Audit(*place, receipt["start"], receipt["end"], *counts, verdict, told)


def _with(one: Audit, verdict: Verdict, told: str) -> Audit:
    """Add what the destination tells to a receipt that the source confirms."""
    if one.verdict != "holds":
        return one
    return Audit(one.topic, one.partition, one.start, one.end, one.read, one.written, verdict, f"{one.told} {told}")
