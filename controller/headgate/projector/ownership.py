"""Who owns what: follows the group's rebalances, and notes which partitions of the inputs are this process's now.

The listener is called in the middle of a poll, where nothing can be done in peace. So it only notes, and names the
positions to begin at; the projector draws the consequences after the poll. No transaction is ever open across a poll,
which is why giving partitions up needs no work here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from headgate.ports.errors import LogError
from headgate.ports.log import Committed, LogConsumer, TopicPartition
from headgate.projector.setup import NotColocated
from headgate_events.topics import Topics

HALF_S: Final = 10.0
"""How long one topic's partition may be ours without the other's: an incremental rebalance hands them over in turn."""
COMMITTED_TIMEOUT_S: Final = 5.0

log = structlog.get_logger(__name__)


class Ownership:
    """Implements `RebalanceListener`. `witness` reads committed positions without being a member of the group."""

    def __init__(self, topics: Topics, witness: LogConsumer) -> None:
        self._topics = topics
        self._witness = witness
        self._held: set[TopicPartition] = set()
        self._fresh: set[int] = set()
        self._half_since_s: float | None = None
        self.left: dict[TopicPartition, Committed] = {}
        """The positions that the last owners committed, with their transactional ids as the text beside them."""

    def assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Note them. They are read from the committed positions at first; the projector seeks once it has the state."""
        self._held.update(partitions)
        self._fresh.update(each.partition for each in partitions)
        try:
            found = self._witness.committed(partitions, COMMITTED_TIMEOUT_S)
        except LogError as error:
            # Only a hint is lost: the positions that count stand in the state topic.
            log.warning("projector.committed_positions_unknown", error=str(error))
            found = {}
        for each in partitions:
            self.left.pop(each, None)
        self.left.update(found)
        return {each: found[each].position if each in found else 0 for each in partitions}

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Note that they are ours no longer; everything that was folded is committed."""
        self._held.difference_update(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Note that they are another's already."""
        self._held.difference_update(partitions)

    def owned(self) -> set[int]:
        """Return the partitions of which commands and reports are both ours."""
        commands = {each.partition for each in self._held if each.topic == self._topics.commands}
        return {
            each.partition for each in self._held if each.topic == self._topics.reports and each.partition in commands
        }

    def take_fresh(self) -> set[int]:
        """Return the partitions that were assigned since the last call, also those that had been ours before."""
        fresh, self._fresh = self._fresh & self.owned(), self._fresh - self.owned()
        return fresh

    def check_colocation(self, now_s: float) -> None:
        """Raise NotColocated when a partition has been ours in one of the two topics only, for too long."""
        owned = self.owned()
        half = sorted(f"{each.topic}-{each.partition}" for each in self._held if each.partition not in owned)
        if not half:
            self._half_since_s = None
        elif self._half_since_s is None:
            self._half_since_s = now_s
        elif now_s - self._half_since_s > HALF_S:
            raise NotColocated(
                f"This process was assigned {', '.join(half[:3])} without the same partition of the other topic.",
                hint="Let only Headgate's projectors join this group, and give both topics equally many partitions.",
            )
