"""Verify: refold the whole history and compare it with the state topic, byte for byte; count the answers to each input.

What is checked, partition by partition: each stream's versions follow one another without gap or repeat, and each
transition carries the hash of the one before; folding the history gives exactly the states that stand on the state
topic; each input that was folded has exactly one final outcome (or one `forwarded`, or waits, visibly, in a state).

It may run while projectors work: the state topic's progress record says up to which inputs its states were folded, and
only what followed from those is refolded. Memory is bounded by one partition's states at rest and a byte per input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import orjson

from headgate.core.evolve import State, evolve
from headgate.ports.errors import LogUnavailable
from headgate.ports.log import Clock, Log, LogConsumer, Range, TopicPartition
from headgate.projector.setup import ASK_TIMEOUT_S
from headgate.projector.states import PartitionStates
from headgate_events.codec import decode_history, encode
from headgate_events.errors import TopicsMissing
from headgate_events.names import PROGRESS_KEY_PREFIX
from headgate_events.records import HistoryRecord, Record
from headgate_events.topics import Topics

MAX_DIFFERENCES: Final = 1_000
"""How many differences are listed; all are counted."""
PARSED_STATES: Final = 20_000
READ_RECORDS: Final = 10_000
FETCH_WAIT_MS: Final = 5
STUCK_S: Final = 60.0
"""How long a partition may bring nothing before its end; an open transaction is over by then."""

FAMILIES: Final = ("commands", "reports")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it must be.

    `code` is stable: `version_gap`, `version_repeated`, `chain_broken`, `state_differs`, `state_missing`,
    `state_unexpected`, `outcome_missing`, `outcome_repeated`, `outcome_of_nothing`, `record_unreadable`, `fold_failed`.
    """

    partition: int
    code: str
    message: str
    stream: str | None = None


@dataclass(slots=True)
class Verification:
    """What was looked at, and every difference. `ok` when there is none."""

    namespace: str
    partitions: int = 0
    streams: int = 0
    transitions: int = 0
    outcomes: int = 0
    inputs: int = 0
    unfolded: int = 0
    waiting: int = 0
    found: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return self.found == 0

    def add(self, difference: Difference) -> None:
        """Count a difference, and list it while there is room."""
        self.found += 1
        if len(self.differences) < MAX_DIFFERENCES:
            self.differences.append(difference)


def verify(
    log: Log, topics: Topics, clock: Clock, *, progress: Callable[[int, int], None] | None = None
) -> Verification:
    """Verify a namespace. `progress` is told (partitions done, partitions in all).

    Raises TopicsMissing, or another LogError when the cluster cannot be read; differences are values.
    """
    count = log.partitions(topics.history, ASK_TIMEOUT_S)
    if count is None:
        raise TopicsMissing(f"{topics.history} does not exist.", hint="Is this the right cluster and namespace?")
    result = Verification(topics.namespace, partitions=count)
    witness = log.consumer(isolation="read_uncommitted", queued_kbytes=64)
    try:
        for partition in range(count):
            _Partition(topics, partition, _Reader(log, witness, clock), result).verify()
            if progress is not None:
                progress(partition + 1, count)
    finally:
        witness.close()
    return result


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one partition from its start up to the end that it has when reading begins."""

    log: Log
    witness: LogConsumer
    clock: Clock

    def read(self, topic: str, partition: int) -> Iterator[Record]:
        """Yield the committed records; waits, bounded, for transactions that are open when it begins."""
        at = TopicPartition(topic, partition)
        held = self.witness.range(at, ASK_TIMEOUT_S)
        if held.start >= held.end:
            return
        consumer = self.log.consumer(
            isolation="read_committed", ends=True, queued_kbytes=32_768, fetch_wait_ms=FETCH_WAIT_MS
        )
        try:
            consumer.assign({at: held.start})
            yield from self._read(consumer, at, held)
        finally:
            consumer.close()

    def _read(self, consumer: LogConsumer, at: TopicPartition, held: Range) -> Iterator[Record]:
        position, moved_s = held.start, self.clock.monotonic_s()
        said_end: int | None = None
        while position < held.end:
            batch = consumer.poll(READ_RECORDS, 0.1)
            for record in batch.records:
                offset = record.offset() or 0
                if offset >= held.end:
                    return
                position = offset + 1
                yield record
            now_s = self.clock.monotonic_s()
            if batch.records:
                moved_s, said_end = now_s, None
            said_end = batch.ends.get(at, said_end)
            if said_end is None:
                pass
            elif said_end > position:
                position = said_end
            elif consumer.range(at, ASK_TIMEOUT_S).end > said_end:
                # What was aborted brings no record, and an end is said once only.
                said_end = None
                consumer.seek({at: position})
            if now_s - moved_s > STUCK_S:
                raise LogUnavailable(
                    f"{at.topic} partition {at.partition} could not be read beyond {position} of {held.end}.",
                    hint="A transaction is still open there; try again when it has ended.",
                )

    def start(self, topic: str, partition: int) -> int:
        """Return the first offset that a partition still holds."""
        return self.witness.range(TopicPartition(topic, partition), ASK_TIMEOUT_S).start


class _Partition:
    """Verifies one partition."""

    def __init__(self, topics: Topics, number: int, reader: _Reader, result: Verification) -> None:
        self._topics = topics
        self._number = number
        self._reader = reader
        self._result = result
        self._folded = PartitionStates(PARSED_STATES)
        self._positions: Mapping[str, int] = {"commands": 0, "reports": 0}
        self._answers = {family: bytearray() for family in FAMILIES}
        self._starts = {family: reader.start(getattr(topics, family), number) for family in FAMILIES}
        self._waiting: set[tuple[str, int]] = set()

    def verify(self) -> None:
        """Read the states, refold the history up to them, compare; then read the inputs and count their answers."""
        stored = self._read_states()
        for record in self._reader.read(self._topics.history, self._number):
            self._take(record)
        self._compare(stored)
        for family in FAMILIES:
            self._count(family)

    def _read_states(self) -> dict[str, bytes]:
        stored: dict[str, bytes] = {}
        for record in self._reader.read(self._topics.state, self._number):
            key, value = record.key().decode(), record.value()
            if key.startswith(PROGRESS_KEY_PREFIX):
                if value is not None:
                    self._positions = orjson.loads(value)
            elif value is None:
                stored.pop(key, None)
            else:
                stored[key] = value
        return stored

    def _take(self, record: Record) -> None:
        try:
            found = decode_history(record)
            if found is None:
                raise ValueError("its type is not known here")
            family, offset = _decided_by(found)
        except ValueError as error:
            self._say("record_unreadable", f"history offset {record.offset()}: {error}")
            return
        payload = found.payload
        if offset >= self._positions[family]:
            return  # folded after the states were read
        if found.kind in {"outcome", "forwarded"}:
            self._result.outcomes += 1
            self._answer(payload["input"])
        else:
            self._result.transitions += 1
        stream = payload.get("stream")
        if stream is not None and found.kind != "forwarded":
            self._evolve(stream, found)

    def _evolve(self, stream: str, record: HistoryRecord) -> None:
        before = self._folded.get(stream)
        if record.kind != "outcome" and not self._follows(stream, before, record):
            return
        try:
            after = evolve(before, record)
        except Exception as error:  # noqa: BLE001 - whatever a damaged history does to the fold is a finding
            self._say("fold_failed", f"{record.kind} ({record.id}): {type(error).__name__}: {error}", stream)
            return
        if after is None:
            self._folded.remove(stream)
        elif after is not before:
            self._folded.put(stream, after, encode(after))

    def _follows(self, stream: str, before: State | None, record: HistoryRecord) -> bool:
        """Say whether a transition may follow what was folded; a repeat is not folded again, a gap is."""
        payload = record.payload
        version, incarnation = payload["version"], payload["incarnation"]
        same = before is not None and before["incarnation"] == incarnation
        expected = before["version"] + 1 if before is not None and same else 1
        if version < expected:
            self._say("version_repeated", f"version {version} of incarnation {incarnation} stands twice", stream)
            return False
        if version > expected:
            self._say("version_gap", f"version {version} follows {expected - 1} (incarnation {incarnation})", stream)
        elif before is not None and payload["previous"] != before["head"]:
            self._say("chain_broken", f"version {version} does not carry the hash of the one before", stream)
        return True

    def _answer(self, at: Mapping[str, object]) -> None:
        family, offset, partition = _family(str(at["topic"])), at["offset"], at["partition"]
        assert isinstance(offset, int)
        index = offset - self._starts[family]
        if partition != self._number:
            self._say("outcome_of_nothing", f"an outcome names partition {partition} of {family}")
        elif index >= 0:
            answers = self._answers[family]
            if index >= len(answers):
                answers.extend(bytes(index + 1 - len(answers)))
            answers[index] = min(255, answers[index] + 1)

    def _compare(self, stored: Mapping[str, bytes]) -> None:
        folded = self._folded.values
        self._result.streams += len(folded)
        for stream, value in folded.items():
            if stream not in stored:
                self._say("state_missing", "the history has this stream, the state topic does not", stream)
            elif stored[stream] != value:
                self._say("state_differs", _first_difference(value, stored[stream]), stream)
            if b'"scheduled":{}' not in value or b'"checking":null' not in value:
                self._remember_waiting(orjson.loads(value))
        for stream in stored.keys() - folded.keys():
            self._say("state_unexpected", "the state topic has this stream, the history does not", stream)

    def _remember_waiting(self, state: State) -> None:
        pending = [*state["scheduled"].values(), *([state["checking"]] if state["checking"] is not None else [])]
        self._waiting.update((_family(each["topic"]), each["offset"]) for each in pending)

    def _count(self, family: str) -> None:
        """Compare the inputs that there are with the answers that there are."""
        answers, start, folded_to = self._answers[family], self._starts[family], self._positions[family]
        for record in self._reader.read(getattr(self._topics, family), self._number):
            offset = record.offset() or 0
            if offset >= folded_to:
                self._result.unfolded += 1
                continue
            self._result.inputs += 1
            index = offset - start
            given = answers[index] if index < len(answers) else 0
            if given == 1:
                pass
            elif given > 1:
                self._say("outcome_repeated", f"{family} offset {offset} has {given} final outcomes")
            elif (family, offset) in self._waiting:
                self._result.waiting += 1
            else:
                self._say("outcome_missing", f"{family} offset {offset} has no final outcome")
            if given:
                answers[index] = 0
        for index, given in enumerate(answers):
            if given:
                self._say("outcome_of_nothing", f"{family} offset {index + start} has an outcome and does not exist")

    def _say(self, code: str, message: str, stream: str | None = None) -> None:
        self._result.add(Difference(self._number, code, message, stream))


def _family(topic: str) -> str:
    return topic.rpartition(".")[2]


def _decided_by(record: HistoryRecord) -> tuple[str, int]:
    """Return family and offset of the input that a record followed from: its id derives from them (ids.history_id)."""
    family, _, offset, _ = record.id.rsplit("-", 3)
    return family, int(offset)


def _first_difference(folded: bytes, stored: bytes) -> str:
    """Name the fields in which two states differ, or say that only their bytes do."""
    ours, theirs = orjson.loads(folded), orjson.loads(stored)
    if not isinstance(theirs, dict):
        return "the state topic does not hold a JSON object"
    fields = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    if not fields:
        return "the same fields in other bytes"
    name = fields[0]
    more = f" and {len(fields) - 1} more" if len(fields) > 1 else ""
    return f"{name}{more}: the history says {_short(ours.get(name))}, the state topic {_short(theirs.get(name))}"


def _short(value: object) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 80 else f"{text[:77]}…"
