"""The valve: many channels' watermarks and statuses become one, as in Flink's StatusWatermarkValve and a little beyond.

The output watermark is the smallest of those channels that count; the output is ACTIVE while any channel is. An IDLE
channel does not count, nor does one that came back behind the output and has not caught up: it is ACTIVE but unaligned.
When the last channel goes idle, the largest watermark is emitted first, so the final one does not depend on the order
in which they left.

Flink's channel set is fixed for a valve's life. Ours changes as partitions move, so channels can be added, removed and
finished, and carry epochs that fence late markers of a former owner. The rules are cited by the numbers R1 to R28 that
docs/idleness.md explains. What Flink's releases up to 2.3.0 do differently from its main branch (FLINK-40475) is kept
in `Profile.RELEASED`, to compare with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import Enum
from typing import Final, Generic

from headgate_events.idleness.channel_set import Channel, ChannelSet, ChannelState, Epoch, Id
from headgate_events.idleness.signals import MAX, MIN, TO_ACTIVE, TO_IDLE, Signal, Status, Watermark

MAX_DEPARTED: Final = 65_536
"""How many removed channels' epochs are remembered, so that a former owner's late add is told from an heir's."""


class Profile(Enum):
    """Whose behaviour: Flink's main branch, or its releases up to 2.3.0 (for comparison; fixed channels only)."""

    MAIN = "main"
    RELEASED = "released"


class Join(Enum):
    """How a channel joins of which no watermark is known.

    HOLD stops the output's advance until the channel reports or goes idle. SKIP lets the output run on, so the
    channel's first records may be late: unsafe.
    """

    HOLD = "hold"
    SKIP = "skip"


class Ignored(Enum):
    """Why an input had no effect at all; each is counted (R25)."""

    UNKNOWN_CHANNEL = "unknown_channel"
    STALE_EPOCH = "stale_epoch"
    STALE_REMOVAL = "stale_removal"
    STALE_ADD = "stale_add"
    DUPLICATE_ADD = "duplicate_add"
    CHANNEL_FINISHED = "channel_finished"
    CLOSED = "closed"


class WatermarkValve(Generic[Id]):
    """Combines channels; each input returns what leaves in this step, in order: one watermark and one edge at most.

    Every step costs O(log n) over n channels, and memory is theirs alone. `flush_on_all_idle=False` leaves out R12's
    flush: laggards are then on time when they return, and the final watermark depends on the order of departure; it
    may be changed at any time. An epoch of None is that of a marker without one, which is never fenced. One thread owns
    a valve.
    """

    def __init__(
        self, channels: Iterable[Id], *, profile: Profile = Profile.MAIN, flush_on_all_idle: bool = True
    ) -> None:
        self._main = profile is Profile.MAIN
        self.flush_on_all_idle = flush_on_all_idle
        self._channels: ChannelSet[Id] = ChannelSet()
        self._watermark = MIN
        self._status = Status.ACTIVE
        self._closed = False
        self._departed: dict[Id, Epoch] = {}
        self._ignored: Counter[Ignored] = Counter()
        for each in channels:
            if each in self._channels:
                raise ValueError(f"channel {each!r} stands twice in the initial set")
            self._channels.join(self._channels.create(each, MIN, None), aligned=True)

    @property
    def watermark(self) -> int:
        """The watermark emitted last; MIN before any."""
        return self._watermark

    @property
    def status(self) -> Status:
        """The output's status, ACTIVE or IDLE; ACTIVE at the start (R1)."""
        return self._status

    @property
    def closed(self) -> bool:
        """Whether a finish ended the stream: MAX is out, and every further input is ignored."""
        return self._closed

    @property
    def ignored(self) -> Counter[Ignored]:
        """How many inputs had no effect, by reason: a copy."""
        return self._ignored.copy()

    def __len__(self) -> int:
        return len(self._channels)

    def channel(self, channel: Id) -> ChannelState | None:
        """Return what the valve holds of a channel, or None for one that it does not have."""
        one = self._channels.get(channel)
        return None if one is None else one.seen()

    def input_watermark(self, channel: Id, value: int, epoch: Epoch | None = None) -> list[Signal]:
        """Take a channel's watermark: dropped while the channel is idle (R6), ignored when not above its last (R5)."""
        one, renewed = self._admitted(channel, epoch)
        if one is None:
            return []
        out: list[Signal] = []
        if one.status is not Status.ACTIVE:
            if not renewed:
                self._count_if_finished(one)
                return out
            self._wake(one, out)
        elif value <= one.watermark:
            return out
        if value > one.watermark:
            self._channels.advance(one, value)
            if not one.aligned and value >= self._watermark:
                self._channels.align(one)  # R10
        self._emit_minimum(out)
        return out

    def input_status(self, channel: Id, status: Status, epoch: Epoch | None = None) -> list[Signal]:
        """Take a channel's status; one that it has already changes nothing (R3). FINISHED is the same as `finish`."""
        if status is Status.FINISHED:
            return self.finish(channel, epoch)
        one, renewed = self._admitted(channel, epoch)
        out: list[Signal] = []
        if one is None or one.status is status:
            return out
        if one.status is Status.FINISHED and not renewed:
            self._count_if_finished(one)
        elif status is Status.IDLE:
            was_active = one.status is Status.ACTIVE
            self._channels.rest(one)
            if was_active:
                # Releases look further only where the departing channel was at the output (R8, R12).
                self._after_departure(out, looks=self._main or one.watermark == self._watermark)
        else:
            self._wake(one, out)
            if self._main:
                self._emit_minimum(out)  # R11
        return out

    def open(self) -> list[Signal]:
        """Begin. Without any channel the output is IDLE and says so (R22), for silence would hold up everybody."""
        out: list[Signal] = []
        if not self._closed:
            self._emit_idle_if_none_active(out)
        return out

    def add(
        self,
        channel: Id,
        *,
        watermark: int | None = None,
        status: Status = Status.ACTIVE,
        join: Join = Join.HOLD,
        epoch: Epoch | None = None,
    ) -> list[Signal]:
        """Take in a new channel, ACTIVE or IDLE (R23).

        `watermark` is what its former owner had said; None or MIN mean that nothing is known, and then `join` decides.
        """
        if status is Status.FINISHED:
            raise ValueError("a channel joins as ACTIVE or IDLE; one that has finished has nothing to wait for")
        out: list[Signal] = []
        departed = self._departed.get(channel)
        if self._closed:
            self._ignored[Ignored.CLOSED] += 1
        elif channel in self._channels:
            self._ignored[Ignored.DUPLICATE_ADD] += 1
        elif epoch is not None and departed is not None and epoch < departed:
            self._ignored[Ignored.STALE_ADD] += 1
        else:
            self._departed.pop(channel, None)
            seed = MIN if watermark is None else watermark
            one = self._channels.create(channel, seed, departed if epoch is None else epoch)
            if status is Status.IDLE:
                self._channels.rest(one)
                self._emit_idle_if_none_active(out)
            else:
                holds = seed == MIN and join is Join.HOLD
                self._channels.join(one, aligned=holds or seed >= self._watermark)
                self._emit_active_if_idle(out)
                self._emit_minimum(out)
        return out

    def remove(self, channel: Id, epoch: Epoch | None = None) -> list[Signal]:
        """Let a channel go that moved away (R24). Its watermark goes with it, and MAX never follows from a removal."""
        out: list[Signal] = []
        one = self._channels.get(channel)
        if self._closed:
            self._ignored[Ignored.CLOSED] += 1
        elif one is None:
            self._ignored[Ignored.UNKNOWN_CHANNEL] += 1
        elif epoch is not None and one.epoch is not None and epoch < one.epoch:
            self._ignored[Ignored.STALE_REMOVAL] += 1
        else:
            was_active = one.status is Status.ACTIVE
            self._channels.discard(channel)
            self._remember_departed(channel, one.epoch if epoch is None else epoch)
            if was_active:
                self._after_departure(out, highest=MAX - 1)
        return out

    def finish(self, channel: Id, epoch: Epoch | None = None) -> list[Signal]:
        """End a channel (R17): it counts in neither minimum nor flush. The last one closes the stream with MAX."""
        one, _ = self._admitted(channel, epoch)
        out: list[Signal] = []
        if one is None:
            return out
        was_active = one.status is Status.ACTIVE
        if one.status is Status.FINISHED:
            self._count_if_finished(one)
            return out
        self._channels.leave(one)
        if self._channels.all_finished:
            self._emit_active_if_idle(out)  # R16: MAX would be lost on an idle output
            self._emit(MAX, out)
            self._closed = True
        elif was_active:
            self._after_departure(out)
        return out

    def _admitted(self, channel: Id, epoch: Epoch | None) -> tuple[Channel | None, bool]:
        """Return the channel that a marker may speak for, or None; and whether a new incarnation begins (R25)."""
        one = self._channels.get(channel)
        if self._closed:
            self._ignored[Ignored.CLOSED] += 1
        elif one is None:
            self._ignored[Ignored.UNKNOWN_CHANNEL] += 1
        elif epoch is None or epoch == one.epoch:
            return one, False
        elif one.epoch is None or epoch > one.epoch:
            one.epoch = epoch
            return one, True
        else:
            self._ignored[Ignored.STALE_EPOCH] += 1
        return None, False

    def _count_if_finished(self, one: Channel) -> None:
        if one.status is Status.FINISHED:
            self._ignored[Ignored.CHANNEL_FINISHED] += 1

    def _wake(self, one: Channel, out: list[Signal]) -> None:
        """Make an idle or finished channel active, aligned if not behind (R9); the first one back says so (R13)."""
        self._channels.join(one, aligned=one.watermark >= self._watermark)
        self._emit_active_if_idle(out)

    def _after_departure(self, out: list[Signal], *, looks: bool = True, highest: int = MAX) -> None:
        """Emit what an active channel's departure sets free: the minimum of the rest, or the flush and IDLE."""
        if self._channels.any_active:
            if looks:
                self._emit_minimum(out, highest)
            return
        largest = self._channels.largest_idle()
        if looks and self.flush_on_all_idle and largest is not None:
            self._emit(largest, out, highest)
        self._emit_idle_if_none_active(out)

    def _remember_departed(self, channel: Id, epoch: Epoch | None) -> None:
        if epoch is None:
            return
        if len(self._departed) >= MAX_DEPARTED:
            del self._departed[next(iter(self._departed))]
        self._departed[channel] = epoch

    def _emit_minimum(self, out: list[Signal], highest: int = MAX) -> None:
        least = self._channels.least_aligned()
        if least is not None:  # with none aligned there is no minimum (R14)
            self._emit(least, out, highest)

    def _emit(self, candidate: int, out: list[Signal], highest: int = MAX) -> None:
        if self._watermark < candidate <= highest:
            assert self._status is Status.ACTIVE
            self._watermark = candidate
            out.append(Watermark(candidate))

    def _emit_idle_if_none_active(self, out: list[Signal]) -> None:
        if self._status is Status.ACTIVE and not self._channels.any_active:
            self._status = Status.IDLE
            out.append(TO_IDLE)

    def _emit_active_if_idle(self, out: list[Signal]) -> None:
        if self._status is Status.IDLE:
            self._status = Status.ACTIVE
            out.append(TO_ACTIVE)
