"""Consumers of the in-memory cluster: fetching, positions, ends, and the member's side of a rebalance.

A poll does all that can be done now and returns; it never waits, because nothing else runs meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from headgate.adapters.memory.cluster import MemoryKafka, MemoryProcess
from headgate.adapters.memory.faults import Operation
from headgate.adapters.memory.groups import OUTSIDE, Assignor, Member, Membership
from headgate.adapters.memory.record import MemoryRecord
from headgate.ports.errors import LogError, LogFatal, LogUnavailable, PositionLost, TopicMissing
from headgate.ports.log import Batch, Committed, Isolation, Range, RebalanceListener, TopicPartition

SESSION_TIMEOUT_MS: Final = 10_000
MAX_POLL_INTERVAL_MS: Final = 300_000
"""Both as with the real adapter."""


class MemoryConsumer:
    """Implements `LogConsumer`. Rebalances are eager with either assignor, so `assigned` names all partitions."""

    def __init__(
        self,
        cluster: MemoryKafka,
        process: MemoryProcess,
        *,
        group: str | None,
        isolation: Isolation,
        ends: bool,
        assignor: Assignor,
        session_timeout_ms: int,
        max_poll_interval_ms: int,
    ) -> None:
        self._cluster = cluster
        self._process = process
        self._group = group
        self._isolation = isolation
        self._says_ends = ends
        self._assignor = assignor
        self._session_timeout_ms = session_timeout_ms
        self._max_poll_interval_ms = max_poll_interval_ms
        self._listener: RebalanceListener | None = None
        self._topics: tuple[str, ...] = ()
        self._member: Member | None = None
        self._generation = OUTSIDE
        # None: to be looked up among the committed positions.
        self._positions: dict[TopicPartition, int | None] = {}
        self._highs: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._stuck: set[TopicPartition] = set()
        self._ended: set[TopicPartition] = set()
        self._missing: set[str] = set()
        self._turn = 0
        self._failure: BaseException | None = None
        self._closed = False

    def subscribe(self, topics: Sequence[str], listener: RebalanceListener) -> None:
        """Become a member of the group at the next poll."""
        assert self._group is not None, "a consumer without a group cannot join one"
        assert self._member is not None or not self._positions, "either given partitions or a group"
        self._topics = tuple(topics)
        self._listener = listener

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read exactly these partitions from these positions on."""
        assert self._listener is None, "either given partitions or a group"
        self._drop(list(self._positions))
        self._positions = dict(positions)

    def poll(self, max_records: int, timeout_s: float) -> Batch:  # noqa: ARG002 - nothing here waits
        """Do what a rebalance asks for, then take what is there."""
        self._check()
        self._raise_failure()
        self._request("fetch", self._group or "")
        if self._listener is not None:
            self._take_part()
        records: list[MemoryRecord] = []
        ends: dict[TopicPartition, int] = {}
        for each in self._in_turn():
            self._fetch(each, max_records - len(records), records, ends)
        if not records:
            self._raise_failure()
        return Batch(records, ends)

    def assignment(self) -> Sequence[TopicPartition]:
        """Return the partitions that this consumer reads now."""
        return sorted(self._positions)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop reading partitions."""
        self._paused.update(self._assigned(partitions))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Go on reading partitions; their ends are said again."""
        named = self._assigned(partitions)
        self._paused.difference_update(named)
        self._ended.difference_update(named)

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Go on at these positions."""
        named = self._assigned(positions)
        self._positions.update(positions)
        self._ended.difference_update(named)
        self._stuck.difference_update(named)

    def committed(self, partitions: Sequence[TopicPartition], timeout_s: float) -> Mapping[TopicPartition, Committed]:  # noqa: ARG002 - nothing here waits
        """Return the group's positions. Raises LogUnavailable while a transaction may still change one of them."""
        group = self._named_group()
        self._request("committed", group)
        if self._isolation == "read_committed":
            for each in partitions:
                if self._cluster.transactions.pending(group, each):
                    raise LogUnavailable(
                        f"A transaction that commits a position of {each.topic} partition {each.partition} is open.",
                        hint="It ends, or times out.",
                    )
        known = self._cluster.group(group).positions
        return {each: known[each] for each in partitions if each in known}

    def commit(self, positions: Mapping[TopicPartition, Committed], timeout_s: float) -> None:  # noqa: ARG002 - nothing here waits
        """Commit, if this member is of the present generation."""
        group = self._named_group()
        self._request("commit", group)
        self._cluster.group(group).check(self.group_metadata())
        self._cluster.group(group).positions.update(positions)

    def range(self, partition: TopicPartition, timeout_s: float) -> Range:  # noqa: ARG002 - nothing here waits
        """Return the first offset and the end."""
        self._request("range", partition.topic)
        log = self._cluster.partition(partition)
        return Range(log.start, log.limit(self._isolation))

    def ends(
        self,
        partitions: Sequence[TopicPartition],
        timeout_s: float,
    ) -> Mapping[TopicPartition, int]:
        """Return the ends."""
        return {each: self.range(each, timeout_s).end for each in partitions}

    def at_time(
        self,
        partitions: Sequence[TopicPartition],
        timestamp_ms: int,
        timeout_s: float,  # noqa: ARG002 - nothing here waits
    ) -> Mapping[TopicPartition, int]:
        """Return the first offsets at or after a time, or the ends where there are none."""
        found = {}
        for each in partitions:
            self._request("range", each.topic)
            found[each] = self._cluster.partition(each).at_time(timestamp_ms, self._isolation)
        return found

    def seen_high(self, partition: TopicPartition) -> int | None:
        """Return the end that the last fetch saw, past the last stable offset."""
        return self._highs.get(partition)

    def group_metadata(self) -> Membership:
        """Return the token of this membership."""
        self._check()
        name = self._member.name if self._member is not None else ""
        return Membership(self._named_group(), name, self._generation)

    def close(self) -> None:
        """Give the partitions up and leave the group. Raises what the listener raised."""
        if self._closed:
            return
        self._process.check()
        if self._listener is not None and self._member is not None:
            self._give_up()
            if not self._cluster.faults.unavailable:
                self._cluster.group(self._named_group()).leave(self._member.name)
        self._closed = True
        self._raise_failure()

    def _take_part(self) -> None:
        """Do the member's part of a rebalance, as far as it can be done now."""
        self._say_missing()
        group = self._cluster.group(self._named_group())
        now_ms = self._cluster.clock.now_ms()
        if self._member is not None and self._member.name not in group.members:
            held = self.assignment()
            self._member, self._generation = None, OUTSIDE
            if held:
                self._tell(lambda listener: listener.lost(held))
                self._drop(held)
        if self._member is None:
            self._member = Member(
                "",
                self._topics,
                self._session_timeout_ms,
                self._max_poll_interval_ms,
                self._assignor,
                lambda: self._process.silent_since_ms,
                now_ms,
            )
            group.join(self._member)
        self._member.polled_ms = now_ms
        if self._member.topics != self._topics:
            self._member.topics = self._topics
            group.begin()
        if group.rebalancing and not self._member.joined:
            self._give_up()
            group.rejoin(self._member)
        if not group.rebalancing and self._generation != group.generation:
            self._generation = group.generation
            self._take_on(list(self._member.partitions))

    def _say_missing(self) -> None:
        """Let poll raise once for each subscribed topic that does not exist."""
        missing = {topic for topic in self._topics if self._cluster.partition_count(topic) == 0}
        for topic in sorted(missing - self._missing):
            self._failure = self._failure or TopicMissing(
                f"The subscribed topic {topic} does not exist.", hint="Create it, or correct its name."
            )
        self._missing = missing

    def _take_on(self, partitions: list[TopicPartition]) -> None:
        self._positions = dict.fromkeys(partitions)
        starts: Mapping[TopicPartition, int] = {}
        assert self._listener is not None, "only a member is assigned partitions"
        try:
            starts = self._listener.assigned(partitions)
        except BaseException as error:  # noqa: BLE001 - raised by poll, as with the real one
            # Its owner is not ready, so nothing may be delivered before the error has been dealt with.
            self._failure = error
            self._paused.update(partitions)
        self._positions.update({each: position for each, position in starts.items() if each in self._positions})

    def _give_up(self) -> None:
        held = self.assignment()
        if held:
            self._tell(lambda listener: listener.revoked(held))
            self._drop(held)

    def _tell(self, call: Callable[[RebalanceListener], None]) -> None:
        assert self._listener is not None, "only a member hears of rebalances"
        try:
            call(self._listener)
        except BaseException as error:  # noqa: BLE001 - raised by poll, as with the real one
            self._failure = error

    def _fetch(
        self, each: TopicPartition, room: int, records: list[MemoryRecord], ends: dict[TopicPartition, int]
    ) -> None:
        if each in self._paused or each in self._stuck or room <= 0:
            return
        try:
            position = self._resolve(each)
            if position is None:
                return
            log = self._cluster.partition(each)
            if not log.start <= position <= log.end:
                raise lost(each, position)
            found, after = log.read(position, room, self._isolation)
        except LogError as error:
            self._stuck.add(each)
            self._failure = self._failure or error
            return
        if found:
            records.extend(found)
            self._ended.discard(each)
        if after != position:
            self._ended.discard(each)
        self._positions[each] = after
        self._highs[each] = log.end
        if self._says_ends and after >= log.limit(self._isolation) and each not in self._ended:
            self._ended.add(each)
            ends[each] = after

    def _resolve(self, each: TopicPartition) -> int | None:
        """Return the position, looked up if need be; None while a transaction may still change the committed one."""
        position = self._positions[each]
        if position is None:
            try:
                known = self.committed([each], 0)
            except LogUnavailable:
                return None
            if each not in known:
                raise lost(each, None)
            position = self._positions[each] = known[each].position
        return position

    def _in_turn(self) -> list[TopicPartition]:
        """Return the partitions, beginning with another one each time, so that none starves."""
        ordered = self.assignment()
        if not ordered:
            return []
        self._turn = (self._turn + 1) % len(ordered)
        return [*ordered[self._turn :], *ordered[: self._turn]]

    def _drop(self, partitions: Iterable[TopicPartition]) -> None:
        for each in list(partitions):
            self._positions.pop(each, None)
            self._paused.discard(each)
            self._stuck.discard(each)
            self._ended.discard(each)

    def _assigned(self, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        named = list(partitions)
        for each in named:
            if each not in self._positions:
                raise LogError(
                    f"{each.topic} partition {each.partition} is not assigned to this consumer.",
                    hint="Only assigned partitions can be paused, resumed or sought in.",
                )
        return named

    def _named_group(self) -> str:
        if self._group is None:
            raise LogError("This consumer has no group.", hint="Give it one where positions are committed.")
        return self._group

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _request(self, operation: Operation, subject: str) -> None:
        self._check()
        self._cluster.request(operation, self._process, subject)

    def _check(self) -> None:
        self._process.check()
        if self._closed:
            raise LogFatal("This consumer was closed.", hint="Build a new one.")


def lost(each: TopicPartition, position: int | None) -> PositionLost:
    """Return the error of a position that the log does not hold."""
    seen = "has no committed position" if position is None else f"does not hold position {position}"
    return PositionLost(
        f"{each.topic} partition {each.partition} {seen}.",
        topic=each.topic,
        partition=each.partition,
        position=position,
        hint="Say where to go on: `headgate recover` with a position.",
    )
