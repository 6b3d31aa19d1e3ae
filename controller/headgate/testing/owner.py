"""An owner of partitions: what a task does with a destination, in small and by hand.

It claims, hands records over, commits, and begins anew in the order in which the engine of a worker does, keeps the
positions of destinations that leave them to the source, and times every call: one that outlasts the bound would cost a
real task its partitions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from headgate.ports.destination import Destination, Output, Token
from headgate.ports.log import Committed, TopicPartition
from headgate_events.records import Record

BOUND_S: Final = 60.0
"""No call on a destination may take longer."""
Result = TypeVar("Result")
Positions = Mapping[TopicPartition, Committed]


class Owner:
    """Owns partitions of one source by one token. `begin` → (`forward` | `write` → `commit`) … → `close`.

    `source` holds what the source's group has committed, and is shared by an owner and its heirs; `proof` and
    `committed` are the source's for a destination that commits the source's positions in its own transaction.
    """

    def __init__(
        self,
        destination: Destination,
        token: Token,
        source: dict[TopicPartition, Committed],
        proof: Callable[[], Any],
        committed: Callable[[Sequence[TopicPartition]], Positions],
    ) -> None:
        self.destination = destination
        self.token = token
        self._source = source
        self._proof = proof
        self._committed = committed
        self._moved: dict[TopicPartition, Committed] = {}

    def begin(self, *partitions: TopicPartition) -> dict[TopicPartition, Committed]:
        """Open, or begin anew, and take partitions on; return the positions at which they stand (absent: none)."""
        self._moved.clear()
        self.timed(self.destination.open)
        return self.take_on(*partitions)

    def take_on(self, *partitions: TopicPartition, token: Token | None = None) -> dict[TopicPartition, Committed]:
        """Take on (further) partitions, by the owner's token or by another one."""
        if self.destination.positions_in == "destination":
            claims = dict.fromkeys(partitions, token or self.token)
            found = self.timed(lambda: self.destination.positions(claims))
        elif self.destination.positions_in == "source_transaction":
            found = self._committed(partitions)
        else:
            found = {each: self._source[each] for each in partitions if each in self._source}
        return dict(found)

    def forward(self, records: Sequence[Record]) -> None:
        """Hand records over unchanged."""
        self.timed(lambda: self.destination.forward(records))
        self.moved_past(records)

    def write(self, outputs: Sequence[Output]) -> None:
        """Hand a transform's outputs over."""
        self.timed(lambda: self.destination.write(outputs))
        self.moved_past([output.origin for output in outputs])

    def moved_past(self, records: Iterable[Record], metadata: str = "") -> None:
        """Move the positions past records, be it that nothing came of them."""
        for record in records:
            offset = record.offset()
            assert offset is not None
            self._moved[place_of(record)] = Committed(offset + 1, metadata or f"run=1 by {self.token.claim}")

    def give_up(self, *partitions: TopicPartition) -> None:
        """Let partitions go to another owner."""
        for each in partitions:
            self._moved.pop(each, None)

    def commit(self, positions: Positions | None = None) -> None:
        """Commit what was handed over with the positions past it, or with those given."""
        moved = dict(self._moved if positions is None else positions)
        proof = self._proof() if self.destination.positions_in == "source_transaction" else None
        self.timed(lambda: self.destination.commit(moved, proof))
        if self.destination.positions_in == "source":
            self._source.update(moved)
        self._moved.clear()

    def close(self) -> None:
        """Let go of the destination; that never raises."""
        self.timed(self.destination.close)

    @staticmethod
    def timed(call: Callable[[], Result]) -> Result:
        """Make a call, and assert that it ended within the bound, well or badly."""
        before_s = time.monotonic()
        try:
            return call()
        finally:
            took_s = time.monotonic() - before_s
            assert took_s < BOUND_S, f"a call took {took_s:.0f} s; a task would have lost its partitions meanwhile"


def place_of(record: Record) -> TopicPartition:
    """Return the partition of a record."""
    topic, partition = record.topic(), record.partition()
    assert topic is not None
    assert partition is not None
    return TopicPartition(topic, partition)


def not_covered(records: Iterable[Record], positions: Positions) -> list[Record]:
    """Return the records that a task which begins at these positions reads (from the start where there is none)."""
    return [
        record for record in records if (record.offset() or 0) >= positions.get(place_of(record), Committed(0)).position
    ]
