"""The transaction coordinator: who may write under an id, what is open, and when it ends.

As in version 1 of Kafka's protocol, an epoch is raised by each `init` and each time-out, and by nothing else, so a late
end of a transaction can meet a later transaction of the same producer. A transaction begins with its first record or
its first positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from headgate.ports.errors import ProducerFenced, TransactionInDoubt
from headgate.ports.log import Committed, TopicPartition

Offsets = dict[str, dict[TopicPartition, Committed]]
"""Positions by group."""


@dataclass(slots=True)
class OpenTransaction:
    """What a transaction has touched so far. `outcome` is None until its end is decided."""

    began_ms: int
    partitions: set[TopicPartition] = field(default_factory=set)
    offsets: Offsets = field(default_factory=dict)
    outcome: bool | None = None


@dataclass(slots=True)
class Identity:
    """One transactional id: its producer's number, epoch and time-out, and its transaction."""

    number: int
    timeout_ms: int
    epoch: int = -1
    transaction: OpenTransaction | None = None


class TransactionCoordinator:
    """Holds the identities. `finish` is called for a transaction whose outcome becomes visible."""

    def __init__(self, finish: Callable[[Identity, OpenTransaction, bool], None]) -> None:
        self._finish = finish
        self.identities: dict[str, Identity] = {}

    def init(self, transactional_id: str, timeout_ms: int) -> int:
        """Fence earlier producers of this id, end what they left open, and return the new epoch."""
        identity = self.identities.setdefault(transactional_id, Identity(len(self.identities), timeout_ms))
        identity.timeout_ms = timeout_ms
        identity.epoch += 1
        self._end(identity, committed=False)
        return identity.epoch

    def checked(self, transactional_id: str, epoch: int) -> Identity:
        """Return the identity, or raise ProducerFenced when `epoch` is not its newest."""
        identity = self.identities[transactional_id]
        if identity.epoch != epoch:
            raise ProducerFenced(
                f"The producer {transactional_id} has epoch {epoch}, and {identity.epoch} is the newest."
            )
        return identity

    def open(self, transactional_id: str, epoch: int, now_ms: int) -> OpenTransaction:
        """Return the open transaction, beginning one if need be; the one before it becomes visible first."""
        identity = self.checked(transactional_id, epoch)
        if identity.transaction is not None and identity.transaction.outcome is not None:
            self._end(identity, committed=identity.transaction.outcome)
        if identity.transaction is None:
            identity.transaction = OpenTransaction(now_ms)
        return identity.transaction

    def decide(self, transactional_id: str, epoch: int) -> None:
        """Decide that the transaction is committed; its markers are not written yet."""
        transaction = self.checked(transactional_id, epoch).transaction
        if transaction is not None:
            transaction.outcome = True

    def write_markers(self) -> None:
        """Make every decided transaction visible."""
        for identity in self.identities.values():
            if identity.transaction is not None and identity.transaction.outcome is not None:
                self._end(identity, committed=identity.transaction.outcome)

    def expire(self, now_ms: int) -> None:
        """Abort and fence what has been open for longer than its time-out."""
        for identity in self.identities.values():
            transaction = identity.transaction
            if transaction is None or transaction.outcome is not None:
                continue
            if now_ms - transaction.began_ms >= identity.timeout_ms:
                identity.epoch += 1
                self._end(identity, committed=False)

    def pending(self, group: str, partition: TopicPartition) -> bool:
        """Say whether some transaction may still change a group's committed position."""
        return any(
            identity.transaction is not None and partition in identity.transaction.offsets.get(group, {})
            for identity in self.identities.values()
        )

    def _end(self, identity: Identity, *, committed: bool) -> None:
        transaction, identity.transaction = identity.transaction, None
        if transaction is not None:
            self._finish(identity, transaction, transaction.outcome if transaction.outcome is not None else committed)


def in_doubt(transactional_id: str) -> TransactionInDoubt:
    """Return the error of a commit whose answer never came."""
    return TransactionInDoubt(
        f"Whether the transaction of {transactional_id} was committed is not known.",
        hint="Build the producers anew and go on from the committed positions.",
    )
