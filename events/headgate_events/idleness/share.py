"""A share: the partitions that one member of a consumer group has, as one, and what its program was told of each.

Partitions come and go as the group rebalances. What the member has is one valve over partitions: a new one holds event
time until it reports (R23), one that went away takes its watermark along (R24), and a member without any is IDLE, which
flushes nothing (R22). A change is taken as a whole, what came before what left, so that nothing shows of a state in
between: neither an IDLE nor a watermark that a partition still to come, or still to leave, would have held back.

A partition that comes back is read anew. For the program it goes on: what it was told last was IDLE, so ACTIVE is told
before anything else, and no watermark below the last one is told. One that is as high is, since the program may have
given its state away with the partition.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from headgate_events.idleness.signals import MAX, MIN, TO_ACTIVE, Edge, Signal, Status, Watermark
from headgate_events.idleness.valve import WatermarkValve


class Share:
    """What a member has of one topic. Pure; belongs to one thread. Every partition begins ACTIVE and is so until told.

    A partition that has ended counts as IDLE, and its MAX does not count: another one may be inherited later (R17).
    """

    def __init__(self, *, flush_on_all_idle: bool = True) -> None:
        self._valve: WatermarkValve[int] = WatermarkValve((), flush_on_all_idle=flush_on_all_idle)
        self._valve.open()
        self._partitions: frozenset[int] = frozenset()
        self._told: dict[int, Status] = {}
        self._watermarks: dict[int, int] = {}

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions of the share."""
        return self._partitions

    @property
    def status(self) -> Status:
        """ACTIVE while a partition is; IDLE also without any."""
        return self._valve.status

    @property
    def watermark(self) -> int:
        """How far event time has come in all of them, in milliseconds; never goes back, MIN before any."""
        return self._valve.watermark

    def change(self, partitions: Iterable[int]) -> None:
        """Have exactly these partitions from now on."""
        wanted = frozenset(partitions)
        for each in wanted - self._partitions:
            self._valve.add(each)
        for each in self._as_they_leave(self._partitions - wanted):
            self._valve.remove(each)
        self._partitions = wanted

    def begin(self, partition: int, *, gone_back: bool = False) -> list[Signal]:
        """Begin a partition anew, and return what the program has to be told for it, before all else.

        `gone_back` says that the program itself went back in it, so that its watermarks are to come again.
        """
        self._valve.input_status(partition, Status.ACTIVE)
        if gone_back:
            self._watermarks.pop(partition, None)
        return [TO_ACTIVE] if self._told.pop(partition, None) is Status.IDLE else []

    def tell(self, partition: int, signal: Signal) -> list[Signal]:
        """Take what leaves a partition, in order, and return what of it the program is told."""
        if isinstance(signal, Edge):
            self._told[partition] = signal.status
            self._valve.input_status(partition, signal.status)
            return [signal]
        if signal.value < self._watermarks.get(partition, MIN):
            return []
        self._watermarks[partition] = signal.value
        if signal.value == MAX:
            self._valve.input_status(partition, Status.IDLE)
        else:
            self._valve.input_watermark(partition, signal.value)
        return [Watermark(signal.value)]

    def _as_they_leave(self, partitions: Collection[int]) -> list[int]:
        """Return them in the order in which none sets free what a later one holds."""

        def place(partition: int) -> tuple[bool, int]:
            one = self._valve.channel(partition)
            assert one is not None
            return one.status is Status.ACTIVE, -one.watermark

        return sorted(partitions, key=place)
