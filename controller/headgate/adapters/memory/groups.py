"""The group coordinator: members, generations, eager rebalances, and committed positions.

A rebalance begins when a member joins, leaves or falls silent. Each member gives up its partitions at its next poll and
joins again; when all have, the generation rises and the partitions are shared out. Members that do not come are thrown
out by the clock: after the session timeout when their process is dead or suspended, after the poll interval otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from headgate.ports.errors import StaleMember
from headgate.ports.log import Committed, TopicPartition

Assignor = Literal["range", "cooperative-sticky"]
OUTSIDE = -1
"""The generation of whoever is no member."""


class Membership(NamedTuple):
    """The token by which a member proves its generation. Without a member it is `OUTSIDE`."""

    group: str
    member: str
    generation: int


@dataclass(slots=True)
class Member:
    """One member. `joined` says whether it takes part in the rebalance that is going on."""

    name: str
    topics: tuple[str, ...]
    session_timeout_ms: int
    max_poll_interval_ms: int
    assignor: Assignor
    silent_since_ms: Callable[[], int | None]
    polled_ms: int
    joined: bool = False
    partitions: list[TopicPartition] = field(default_factory=list)

    def gone(self, now_ms: int) -> bool:
        """Say whether the coordinator gives this member up."""
        silent = self.silent_since_ms()
        if silent is not None and now_ms - silent >= self.session_timeout_ms:
            return True
        return now_ms - self.polled_ms >= self.max_poll_interval_ms


class Group:
    """One consumer group. `partitions_of` says how many partitions a topic has (0 when there is none)."""

    def __init__(self, name: str, partitions_of: Callable[[str], int]) -> None:
        self.name = name
        self.generation = 0
        self.rebalancing = False
        self.members: dict[str, Member] = {}
        self.positions: dict[TopicPartition, Committed] = {}
        self._partitions_of = partitions_of
        self._shared: dict[str, int] = {}
        self._names = 0

    def join(self, member: Member) -> None:
        """Take a member on; its `name` is given here."""
        self._names += 1
        member.name = f"{self.name}-{self._names:06}"
        self.members[member.name] = member
        self.begin()

    def leave(self, name: str) -> None:
        """Let a member go; nothing happens when it is gone already."""
        if self.members.pop(name, None) is not None:
            self.begin()
            self.complete()

    def rejoin(self, member: Member) -> None:
        """Let a member that has given up its partitions take part in the rebalance."""
        member.joined = True
        self.complete()

    def expire(self, now_ms: int) -> None:
        """Throw out who is silent, and begin a rebalance when subscribed topics have changed."""
        for member in [member for member in self.members.values() if member.gone(now_ms)]:
            self.leave(member.name)
        if not self.rebalancing and any(self._partitions_of(topic) != count for topic, count in self._shared.items()):
            self.begin()

    def complete(self) -> None:
        """Share the partitions out when every member has joined."""
        if not self.rebalancing or not all(member.joined for member in self.members.values()):
            return
        self.rebalancing = False
        self.generation += 1
        topics = sorted({topic for member in self.members.values() for topic in member.topics})
        self._shared = {topic: self._partitions_of(topic) for topic in topics}
        members = sorted(self.members.values(), key=lambda member: member.name)
        sticky = any(member.assignor == "cooperative-sticky" for member in members)
        share = _share_sticky if sticky else _share_by_range
        for name, partitions in share(members, self._shared).items():
            self.members[name].partitions = partitions

    def check(self, proof: Membership) -> None:
        """Raise StaleMember when this proof is not of the present generation.

        Who is no member may commit only while nobody is.
        """
        if proof.generation == OUTSIDE:
            if self.members:
                raise StaleMember(f"The group {self.name} has members, and the commit did not come from one.")
            return
        if proof.member not in self.members or proof.generation != self.generation:
            raise StaleMember(
                f"The member {proof.member} of generation {proof.generation} was replaced: "
                f"the group {self.name} is at generation {self.generation}."
            )

    def begin(self) -> None:
        """Begin a rebalance: every member has to join again."""
        self.rebalancing = True
        for member in self.members.values():
            member.joined = False


def _share_by_range(members: Sequence[Member], topics: Mapping[str, int]) -> dict[str, list[TopicPartition]]:
    """Share topic by topic: the first members get one partition more where the number does not divide."""
    shares: dict[str, list[TopicPartition]] = {member.name: [] for member in members}
    for topic, count in topics.items():
        takers = [member.name for member in members if topic in member.topics]
        if not takers:
            continue
        each, more = divmod(count, len(takers))
        partition = 0
        for index, name in enumerate(takers):
            size = each + (1 if index < more else 0)
            shares[name] += [TopicPartition(topic, number) for number in range(partition, partition + size)]
            partition += size
    return shares


def _share_sticky(members: Sequence[Member], topics: Mapping[str, int]) -> dict[str, list[TopicPartition]]:
    """Let members keep what they had, up to an even share, and give the rest to who has least."""
    everything = [TopicPartition(topic, number) for topic, count in topics.items() for number in range(count)]
    shares: dict[str, list[TopicPartition]] = {member.name: [] for member in members}
    if not members:
        return shares
    each, more = divmod(len(everything), len(members))
    free = dict.fromkeys(everything)
    for member in sorted(members, key=lambda one: (-len(one.partitions), one.name)):
        kept = [part for part in member.partitions if part in free and part.topic in member.topics]
        room = each + (1 if more > 0 and len(kept) > each else 0)
        more -= room - each
        shares[member.name] = kept[:room]
        for part in kept[:room]:
            del free[part]
    for part in free:
        takers = [member.name for member in members if part.topic in member.topics]
        if takers:
            shares[min(takers, key=lambda name: (len(shares[name]), name))].append(part)
    return {name: sorted(parts) for name, parts in shares.items()}
