"""Folding a batch: from consumed records to all that one transaction has to hold. No I/O, and nothing is changed.

Inputs are decoded, decided and folded one after the other; the new states stand in a draft beside the committed ones
until the transaction is over, so a transaction in doubt leaves nothing behind in memory. A state is written once per
transaction, however often it changed in it. An input that lies in another partition than its key's is written again in
the right one; one that cannot be decoded is answered with a refusal that names its offset. So is one on which our own
code fails: it would fail again at every start, and every stream of its partition would stand still behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from headgate.core.decider import fold, forwarded, refuse_unreadable
from headgate.core.evolve import State
from headgate.core.policy import Policy
from headgate.projector.states import PartitionStates
from headgate_events.codec import (
    PROGRESS_TYPE,
    SOURCE_PROJECTOR,
    STATE_TYPE,
    decode_input,
    encode,
    history_headers,
)
from headgate_events.envelope import CONTENT_TYPE, FORWARDED_HEADER, SPEC_VERSION, header
from headgate_events.names import is_stream_name, progress_key
from headgate_events.partitioner import partition_of
from headgate_events.records import Family, HistoryRecord, Input, Record, Unreadable
from headgate_events.topics import Topics

MAX_STATE_BYTES: Final = 900_000
"""Below what brokers and clients take by default (1 MB), so that no state can ever block its partition."""

Headers = list[tuple[str, bytes | str | None]]
Outgoing = tuple[str, bytes | None, bytes | None, Headers, int]
"""Topic, value, key, headers, partition."""

_place = lru_cache(maxsize=65_536)(partition_of)


@dataclass(slots=True)
class Draft:
    """What one transaction is going to hold.

    `states` are the streams that changed, by partition: the state and its bytes, None for a tombstone. `positions` are
    the next offsets to read, by partition and family, of the partitions that had inputs.
    """

    outgoing: list[Outgoing] = field(default_factory=list)
    states: dict[int, dict[str, tuple[State | None, bytes | None]]] = field(default_factory=dict)
    positions: dict[int, dict[str, int]] = field(default_factory=dict)
    inputs: int = 0
    records: int = 0
    unreadable: int = 0
    forwarded: int = 0
    faults: list[tuple[Unreadable, Exception]] = field(default_factory=list)
    """Inputs that were refused because our own code failed on them: for the log of the process."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Folds batches of one namespace, whose topics have `partitions` partitions each."""

    topics: Topics
    partitions: int
    policy: Policy
    families: Mapping[str, Family]

    def fold(self, records: Sequence[Record], owned: Mapping[int, PartitionStates]) -> Draft:
        """Fold records of owned partitions, in the order given; those below a partition's positions are dropped."""
        draft = Draft()
        for record in records:
            partition = record.partition()
            assert partition is not None and partition in owned
            states = owned[partition]
            assert states.positions is not None
            positions = draft.positions.get(partition)
            if positions is None:
                positions = draft.positions[partition] = dict(states.positions)
            family = self.families[record.topic() or ""]
            offset = record.offset() or 0
            if offset < positions[family]:
                continue
            positions[family] = offset + 1
            draft.inputs += 1
            self._one(draft, family, partition, record, states)
        for partition, changed in draft.states.items():
            for stream, (state, value) in changed.items():
                draft.outgoing.append(
                    (self.topics.state, value, stream.encode(), _state_headers(stream, state), partition)
                )
        for partition, positions in draft.positions.items():
            draft.outgoing.append(_progress(self.topics.state, partition, positions))
        return draft

    def _one(self, draft: Draft, family: Family, partition: int, record: Record, states: PartitionStates) -> None:
        item = decode_input(family, record)
        stream = item.stream
        if isinstance(item, Unreadable) and (stream is None or not is_stream_name(stream)):
            return self._refuse(draft, item, partition)
        assert stream is not None
        changed = draft.states.setdefault(partition, {})
        if stream not in changed and stream not in states.values:
            belongs = _place(stream, self.partitions)
            if belongs != partition:
                return self._misplaced(draft, item, record, belongs)
        if isinstance(item, Unreadable):
            return self._refuse(draft, item, partition)
        state = changed[stream][0] if stream in changed else states.get(stream)
        try:
            folded = fold(state, item, self.policy)
            value = encode(folded.state) if folded.changed and folded.state is not None else None
        except Exception as error:  # noqa: BLE001 - a fault of ours; the input must not stop all that come after it
            refusal = _refused(item, "internal", *_FAULT)
            draft.faults.append((refusal, error))
            return self._refuse(draft, refusal, partition)
        if folded.changed:
            if value is not None and len(value) > MAX_STATE_BYTES:
                return self._refuse(draft, _refused(item, "state_too_large", *_TOO_LARGE), partition)
            changed[stream] = (folded.state, value)
        for each in folded.records:
            self._say(draft, each, stream.encode(), partition)
        return None

    def _refuse(self, draft: Draft, item: Unreadable, partition: int) -> None:
        draft.unreadable += 1
        key = item.stream.encode() if item.stream is not None and is_stream_name(item.stream) else None
        self._say(draft, refuse_unreadable(item), key, partition)

    def _misplaced(self, draft: Draft, item: Input | Unreadable, record: Record, belongs: int) -> None:
        """Write an input again where its key belongs, once; its answer will stand there."""
        partition = item.partition
        if header(record.headers(), FORWARDED_HEADER) is not None:
            return self._refuse(draft, _refused(item, "misplaced", *_MISPLACED), partition)
        value = record.value()
        headers: Headers = [*(record.headers() or ()), (FORWARDED_HEADER, b"1")]
        if (size := _size(value, headers)) > MAX_STATE_BYTES:
            message = f"With its headers it has {size:,} bytes: too many to forward it to its key's partition."
            return self._refuse(draft, _refused(item, "too_large", message, _TOO_LARGE_TO_FORWARD), partition)
        assert item.stream is not None
        draft.forwarded += 1
        draft.outgoing.append((item.topic, value, record.key(), headers, belongs))
        return self._say(draft, forwarded(item, belongs), item.stream.encode(), partition)

    def _say(self, draft: Draft, record: HistoryRecord, key: bytes | None, partition: int) -> None:
        draft.records += 1
        headers: Headers = list(history_headers(record))
        draft.outgoing.append((self.topics.history, record.value, key, headers, partition))


_TOO_LARGE: Final = (
    f"With it the stream's state would be larger than {MAX_STATE_BYTES:,} bytes.",
    "Use fewer partitions per stream, or smaller settings.",
)
_TOO_LARGE_TO_FORWARD: Final = "Send less, or let the key decide on the partition (murmur2, as Java clients do)."
_FAULT: Final = (
    "Headgate failed to decide it, which is a fault in Headgate.",
    "The projector's log has the details; please report them.",
)
_MISPLACED: Final = (
    "It was forwarded already, and lies again in a partition that is not its key's.",
    "Send it without the header headgate_forwarded, and let the key decide on the partition.",
)


def _refused(item: Input | Unreadable, code: str, message: str, hint: str) -> Unreadable:
    return Unreadable(
        family=item.family,
        topic=item.topic,
        partition=item.partition,
        offset=item.offset,
        at_ms=item.at_ms,
        code=f"{item.family[:-1]}.{code}",
        message=message,
        hint=hint,
        id=item.id,
        type=item.type,
        stream=item.stream,
        actor=item.actor,
    )


def _size(value: bytes | None, headers: Headers) -> int:
    """Return about how many bytes a record of ours takes; its key is a stream's name."""
    return len(value or b"") + sum(len(name) * 4 + len(content or b"") + 10 for name, content in headers)


_STATE_HEADERS: Final[Headers] = [
    SPEC_VERSION,
    CONTENT_TYPE,
    ("ce_type", STATE_TYPE.encode()),
    ("ce_source", SOURCE_PROJECTOR.encode()),
]
_PROGRESS_HEADERS: Final[Headers] = [
    SPEC_VERSION,
    CONTENT_TYPE,
    ("ce_type", PROGRESS_TYPE.encode()),
    ("ce_source", SOURCE_PROJECTOR.encode()),
]


def _state_headers(stream: str, state: State | None) -> Headers:
    headers = list(_STATE_HEADERS)
    if state is not None:
        headers.append(("ce_id", f"state-{stream}-{state['incarnation']}-{state['version']}".encode()))
    else:
        headers.append(("ce_id", f"state-{stream}-forgotten".encode()))
    headers.append(("ce_subject", stream.encode()))
    return headers


def _progress(topic: str, partition: int, positions: Mapping[str, int]) -> Outgoing:
    payload = {"kind": "progress", "partition": partition, **positions}
    key = progress_key(partition)
    headers: Headers = [*_PROGRESS_HEADERS, ("ce_id", f"{key}-{positions['commands']}-{positions['reports']}".encode())]
    return topic, encode(payload), key.encode(), headers, partition
