"""The second level: one watermark from several inputs that each have a valve of their own (rule R18).

Two things differ from the valve. A resumed input that lags takes part at once and *stalls* the output until it has
caught up, where the valve would skip it: records of a join's late side must not become late by the other side's lead.
And a watermark clears its input's idle flag, where the valve drops it. So Flink does it in CombinedWatermarkStatus,
with the flush of the maximum since FLINK-38454.

An input that follows R26 says ACTIVE before its watermark, so the flag is cleared by the status; only for one that does
not, the edge ACTIVE comes out after the watermark that caused it.
"""

from __future__ import annotations

from headgate_events.idleness.channel_heap import NOWHERE, ChannelHeap
from headgate_events.idleness.signals import MIN, TO_ACTIVE, TO_IDLE, Signal, Status, Watermark


class _Input:
    __slots__ = ("idle", "place", "watermark")

    def __init__(self) -> None:
        self.watermark = MIN
        self.idle = False
        self.place = NOWHERE


class WatermarkCombiner:
    """Combines `inputs` inputs, numbered from 0. O(log n) per step; one thread owns it.

    `flush_on_all_idle=False` is Flink 1.20's behaviour: the maximum is not emitted when the last input goes idle.
    An input's number outside the range is the caller's fault (IndexError).
    """

    def __init__(self, inputs: int, *, flush_on_all_idle: bool = True) -> None:
        if inputs < 1:
            raise ValueError(f"a combiner has one input at least, and this one was asked for {inputs}")
        self._inputs = [_Input() for _ in range(inputs)]
        self._flush = flush_on_all_idle
        self._active: ChannelHeap[_Input] = ChannelHeap()
        for each in self._inputs:
            self._active.add(each, MIN)
        self._maximum = MIN
        self._watermark = MIN
        self._idle = False

    @property
    def watermark(self) -> int:
        """The watermark emitted last; MIN before any."""
        return self._watermark

    @property
    def status(self) -> Status:
        """ACTIVE while any input is, else IDLE."""
        return Status.IDLE if self._idle else Status.ACTIVE

    def input_watermark(self, number: int, value: int) -> list[Signal]:
        """Take a watermark of one input; it wakes the input, even when it brings nothing new."""
        one = self._at(number)
        news = value > one.watermark
        if news:
            one.watermark = value
            self._maximum = max(self._maximum, value)
        if one.idle:
            one.idle = False
            self._active.add(one, one.watermark)
        elif news:
            self._active.raise_key(one, value)
        return self._settled()

    def input_status(self, number: int, status: Status) -> list[Signal]:
        """Take a status of one input, ACTIVE or IDLE; a status that it has already changes nothing (R3)."""
        assert status is not Status.FINISHED
        one = self._at(number)
        if status is Status.IDLE and not one.idle:
            one.idle = True
            self._active.remove(one)
        elif status is Status.ACTIVE and one.idle:
            one.idle = False
            self._active.add(one, one.watermark)
        return self._settled()

    def _at(self, number: int) -> _Input:
        if not 0 <= number < len(self._inputs):
            raise IndexError(f"there is no input {number}: the combiner has inputs 0 to {len(self._inputs) - 1}")
        return self._inputs[number]

    def _settled(self) -> list[Signal]:
        least = self._active.least()
        candidate = least if least is not None else self._maximum if self._flush else MIN
        out: list[Signal] = []
        if candidate > self._watermark:
            self._watermark = candidate
            out.append(Watermark(candidate))
        if self._idle is not (least is None):
            self._idle = least is None
            out.append(TO_IDLE if self._idle else TO_ACTIVE)
        return out
