"""The channels of one valve, and what its rules ask of them: the least, the largest, and whether any is active.

Each channel is ACTIVE (aligned or not), at rest (IDLE), or outside (FINISHED, or about to be placed). Two heaps keep
the answers at hand, so a channel that changes costs O(log n) and never a walk over all.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from headgate_events.idleness.channel_heap import NOWHERE, ChannelHeap
from headgate_events.idleness.signals import Status

Epoch: TypeAlias = tuple[int, ...]
"""A fencing token, compared in order: (incarnation, lifecycle epoch, claim) in production."""

Id = TypeVar("Id", bound=Hashable)


@dataclass(frozen=True, slots=True)
class ChannelState:
    """One channel for readers. `aligned`: it counts in the minimum; `epoch` is None when no marker gave one."""

    watermark: int
    status: Status
    aligned: bool
    epoch: Epoch | None


class Channel:
    """One channel of a set. Only the set changes its status, alignment and watermark."""

    __slots__ = ("aligned", "epoch", "place", "status", "watermark")

    def __init__(self, watermark: int, epoch: Epoch | None) -> None:
        self.watermark = watermark
        self.status = Status.FINISHED
        self.aligned = False
        self.epoch = epoch
        self.place = NOWHERE

    def seen(self) -> ChannelState:
        return ChannelState(self.watermark, self.status, self.aligned, self.epoch)


class ChannelSet(Generic[Id]):
    """Channels by id. Each change is O(log n)."""

    def __init__(self) -> None:
        self._by_id: dict[Id, Channel] = {}
        self._aligned: ChannelHeap[Channel] = ChannelHeap()  # by watermark
        self._idle: ChannelHeap[Channel] = ChannelHeap()  # by negated watermark: the largest is on top
        self._active = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, channel: Id) -> bool:
        return channel in self._by_id

    def __iter__(self) -> Iterator[Channel]:
        return iter(self._by_id.values())

    def get(self, channel: Id) -> Channel | None:
        """Return the channel of this id, or None."""
        return self._by_id.get(channel)

    @property
    def any_active(self) -> bool:
        """Whether a channel is ACTIVE, aligned or not."""
        return self._active > 0

    @property
    def all_finished(self) -> bool:
        """Whether no channel is ACTIVE or IDLE; also true of no channels at all."""
        return not self._active and not len(self._idle)

    def least_aligned(self) -> int | None:
        """Return the smallest watermark that counts, or None when no channel is aligned."""
        return self._aligned.least()

    def largest_idle(self) -> int | None:
        """Return the largest watermark of an idle channel, or None when none is idle."""
        least = self._idle.least()
        return None if least is None else -least

    def create(self, channel: Id, watermark: int, epoch: Epoch | None) -> Channel:
        """Return a new channel of this id, still outside."""
        assert channel not in self._by_id
        self._by_id[channel] = one = Channel(watermark, epoch)
        return one

    def discard(self, channel: Id) -> None:
        """Forget a channel for good."""
        self.leave(self._by_id[channel])
        del self._by_id[channel]

    def join(self, one: Channel, *, aligned: bool) -> None:
        """Make a channel ACTIVE that is outside or at rest."""
        self.leave(one)
        one.status = Status.ACTIVE
        self._active += 1
        if aligned:
            self.align(one)

    def align(self, one: Channel) -> None:
        """Let an active channel count in the minimum."""
        one.aligned = True
        self._aligned.add(one, one.watermark)

    def rest(self, one: Channel) -> None:
        """Make a channel IDLE."""
        self.leave(one)
        one.status = Status.IDLE
        self._idle.add(one, -one.watermark)

    def leave(self, one: Channel) -> None:
        """Take a channel outside: it is FINISHED until it is placed again."""
        if one.status is Status.IDLE:
            self._idle.remove(one)
        elif one.status is Status.ACTIVE:
            self._active -= 1
            if one.aligned:
                one.aligned = False
                self._aligned.remove(one)
        one.status = Status.FINISHED

    def advance(self, one: Channel, watermark: int) -> None:
        """Raise an active channel's watermark."""
        one.watermark = watermark
        if one.aligned:
            self._aligned.raise_key(one, watermark)
