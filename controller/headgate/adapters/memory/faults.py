"""What a test or a seeded simulation can make go wrong in the in-memory cluster.

Nothing happens by chance here: whoever draws the lots does so outside, from a seed, and says what is to happen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from headgate.ports.errors import LogError, LogUnavailable

CommitFault = Literal["lost", "applied", "late"]
"""What becomes of a commit that is answered with TransactionInDoubt.

`lost`: it never reached the coordinator, and the transaction stays open until somebody ends it. `applied`: only the
answer was lost. `late`: it arrives when the test says so (`MemoryKafka.deliver_late_commits`), and then ends whatever
transaction that producer has open, which is what version 1 of the protocol allows.
"""

Operation = Literal[
    "fetch", "join", "commit", "committed", "range", "metadata", "produce", "init", "send_offsets", "commit_transaction"
]


class Call(NamedTuple):
    """A request to the cluster. `subject` is a topic, a group or a transactional id, as fits the operation."""

    operation: Operation
    process: str
    subject: str


@dataclass(slots=True)
class Faults:
    """The standing and the waiting faults of a cluster.

    `unavailable` fails every request with LogUnavailable. `interfere` is asked before each request and may return an
    error for it to fail with, without effect. `hold_markers` keeps ended transactions from becoming visible, until
    `MemoryKafka.write_markers()` or the next request that has to wait for them.
    """

    unavailable: bool = False
    hold_markers: bool = False
    interfere: Callable[[Call], LogError | None] | None = None
    commits: list[tuple[str, CommitFault]] = field(default_factory=list)

    def fail_commit(self, fault: CommitFault, transactional_id: str = "") -> None:
        """Let the next commit go wrong, of the ids that begin with `transactional_id`; several calls queue up."""
        self.commits.append((transactional_id, fault))

    def commit_fault(self, transactional_id: str) -> CommitFault | None:
        """Take the fault that waits for a commit of this id, if any."""
        for index, (prefix, fault) in enumerate(self.commits):
            if transactional_id.startswith(prefix):
                del self.commits[index]
                return fault
        return None

    def check(self, call: Call) -> None:
        """Raise what this request has to fail with, if anything."""
        if self.unavailable:
            raise LogUnavailable("No broker answers.", hint="The test has made the cluster unavailable.")
        error = self.interfere(call) if self.interfere is not None else None
        if error is not None:
            raise error
