"""The states of one partition at rest: encoded bytes by stream, with a small cache of parsed ones.

A million parsed states would cost ten times their bytes, and most of them nobody touches for hours. States are
immutable by convention (`evolve` changes nothing in place), so a parsed one may be shared.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import Final

import orjson

from headgate.core.evolve import State

MAX_DUE_GARBAGE: Final = 4
"""How many times more deadlines than streams may be remembered, outdated ones included, before they are sorted out."""


class PartitionStates:
    """One partition's streams, as they stand after the last clean commit, and the positions of its inputs then.

    `read_to` is the state topic's position up to which they were read (None: never). Reading on from there only repeats
    what was committed since, by us or by others.
    """

    def __init__(self, parsed_max: int) -> None:
        self.values: dict[str, bytes] = {}
        self.positions: dict[str, int] | None = None
        self.read_to: int | None = None
        self._parsed: OrderedDict[str, State] = OrderedDict()
        self._parsed_max = parsed_max
        self._due: list[tuple[int, str]] = []

    def __len__(self) -> int:
        return len(self.values)

    def clear(self) -> None:
        """Forget everything: the topic no longer holds the position up to which it was read."""
        self.values.clear()
        self._parsed.clear()
        self._due.clear()
        self.positions = self.read_to = None

    def get(self, stream: str) -> State | None:
        """Return a stream's state, or None when there is none."""
        state = self._parsed.get(stream)
        if state is not None:
            self._parsed.move_to_end(stream)
            return state
        value = self.values.get(stream)
        return None if value is None else self._keep(stream, orjson.loads(value))

    def put(self, stream: str, state: State, value: bytes) -> None:
        """Take over a state that was committed, with its bytes."""
        self.values[stream] = value
        self._keep(stream, state)

    def put_bytes(self, stream: str, value: bytes) -> None:
        """Take over a state that was read from the topic."""
        self.values[stream] = value
        if self._parsed:
            self._parsed.pop(stream, None)

    def remove(self, stream: str) -> None:
        """Forget a stream; nothing happens when it is not known."""
        self.values.pop(stream, None)
        self._parsed.pop(stream, None)

    def expect(self, stream: str, due_ms: int) -> None:
        """Remember that a stream has to be looked at when `due_ms` has passed."""
        heapq.heappush(self._due, (due_ms, stream))
        if len(self._due) > MAX_DUE_GARBAGE * (len(self.values) + 256):
            earliest: dict[str, int] = {}
            for at_ms, name in self._due:
                if name in self.values:
                    earliest[name] = min(at_ms, earliest.get(name, at_ms))
            self._due = [(at_ms, name) for name, at_ms in earliest.items()]
            heapq.heapify(self._due)

    def take_due(self, now_ms: int, at_most: int) -> list[str]:
        """Return the streams whose time has come, each once, and forget that they were expected."""
        found: dict[str, None] = {}
        while self._due and self._due[0][0] <= now_ms and len(found) < at_most:
            found[heapq.heappop(self._due)[1]] = None
        return list(found)

    @property
    def next_due_ms(self) -> int | None:
        """The earliest moment at which a stream has to be looked at."""
        return self._due[0][0] if self._due else None

    def _keep(self, stream: str, state: State) -> State:
        self._parsed[stream] = state
        self._parsed.move_to_end(stream)
        if len(self._parsed) > self._parsed_max:
            self._parsed.popitem(last=False)
        return state
