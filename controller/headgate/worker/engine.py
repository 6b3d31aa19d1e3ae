"""The engine of a task: a reader, a destination and the accounts between them. It moves records and keeps the order.

Read a batch → transform → write → make durable → commit positions: a position is never committed before what it covers
is durable, and what was written is never let go of without a commit while one is still possible. After any error the
owner calls `reopen` and `rewind`: everything uncommitted is forgotten and read again from the committed positions.

Rebalances are heard inside the poll. What they raise is kept and raised by the poll's caller, when the client is whole
again. A batch of a poll with a rebalance may hold records of partitions that went away meanwhile; they are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import structlog

from headgate.core.drain import Account, begin
from headgate.ports.destination import Destination, Token
from headgate.ports.errors import LogError, TransactionInDoubt
from headgate.ports.log import Clock, Committed, TopicPartition
from headgate.ports.source import SourceReader
from headgate.worker.accounts import Accounts
from headgate.worker.fencing import fence
from headgate.worker.pipeline import Pipeline
from headgate.worker.positions import start_positions
from headgate.worker.view import View

POLL_S = 0.1

logger = structlog.get_logger("headgate.worker")


class Engine:
    """Moves records for a task, whose thread owns it. `open` → (`pump` | `stand`) … → `let_go`."""

    def __init__(self, clock: Clock, run: Callable[[], View]) -> None:
        self.pipeline: Pipeline | None = None
        self.accounts = Accounts()
        self.records_read = 0
        self.records_written = 0
        self.uncommitted = 0
        self.transactional_ids: tuple[str, ...] = ()
        self.doing: Literal["opening", "reading", "writing"] = "opening"
        self._clock = clock
        self._run = run
        self._reader: SourceReader | None = None
        self._destination: Destination | None = None
        self._owned: set[TopicPartition] = set()
        self._fresh: set[TopicPartition] = set()
        self._held = False
        self._to_hold: set[TopicPartition] = set()
        self._rebalanced = False
        self._may_commit = False
        self._in_transaction = False
        self._raised: Exception | None = None
        self._commit_due_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether there are clients, so that `reopen` is enough after an error."""
        return self._reader is not None and self._destination is not None

    # Opening and closing

    def open(self, pipeline: Pipeline) -> None:
        """Make and open the parts, and join the readers of the stream; nothing is read before `pump`."""
        self.doing = "opening"
        self.pipeline = pipeline
        self._destination = pipeline.make_destination()
        self.transactional_ids = self._destination.transactional_ids
        self._reader = pipeline.make_reader()
        self._held = True
        self._reader.open(self)  # joining goes on beside the opening of the destination; it is heard of in `stand`
        self._destination.open()

    def reopen(self) -> None:
        """Open the destination again after an error; what was uncommitted is gone."""
        assert self._destination is not None
        self.doing = "opening"
        self._may_commit = False
        self.uncommitted = 0
        self._destination.open()
        self._in_transaction = False

    def rewind(self) -> None:
        """Go back to what is committed, for every partition that is still owned."""
        assert self._reader is not None
        self._raised = None
        accounts = self._begin(sorted(self._owned))
        self.accounts.take_on(accounts)
        self._fresh = {partition for partition, account in accounts.items() if account.dirty}
        self.uncommitted = 0
        self._rebalanced = True
        self._may_commit = True
        self._reader.seek(self.accounts.positions())

    def let_go(self) -> None:
        """Close everything at once; what is uncommitted is given up."""
        self._may_commit = False
        left_open, self._in_transaction = self._in_transaction, False
        reader, self._reader = self._reader, None
        destination, self._destination = self._destination, None
        for part in (destination, reader):
            try:
                if part is not None:
                    part.close()
            except LogError as error:
                logger.warning("a client did not close in good order", action="task.close", error=str(error))
        if left_open:
            self._end_transaction()
        self.accounts.give_up(list(self.accounts.of))
        self._owned.clear()
        self._fresh.clear()
        self._to_hold.clear()
        self._raised = None
        self.uncommitted = 0
        self._held = False

    def _end_transaction(self) -> None:
        """End what was begun and will not be committed, or it holds every read_committed reader until it times out."""
        assert self.pipeline is not None
        try:
            fence(self.pipeline.context.log, self.transactional_ids)
        except LogError as error:
            logger.warning("a transaction was left to its timeout", action="task.close", error=str(error))

    # Moving

    def pump(self) -> bool:
        """Move one batch, and commit when it is time; say whether records were moved or committed."""
        assert self.pipeline is not None
        assert self._reader is not None
        if self._held:
            self._release()
        self.doing = "reading"
        wait_s = POLL_S
        if self.uncommitted:
            wait_s = min(POLL_S, max(0.0, self._commit_due_s - self._clock.monotonic_s()))
        try:
            batch = self._reader.read(self.pipeline.config.max_batch_records, wait_s)
        except LogError:
            self._commit_before_failing()
            raise
        self._raise_what_was_heard()
        records: Sequence[Any] = batch.records
        if self._rebalanced:
            records = self.accounts.owned(records)
            self._rebalanced = False
        if records:
            if not self.uncommitted:
                self._commit_due_s = self._clock.monotonic_s() + self.pipeline.config.commit_interval_ms / 1000
            self._move(records)
        if self._fresh or (self.uncommitted and self._clock.monotonic_s() >= self._commit_due_s):
            self.commit()
            return True
        return bool(records)

    def _move(self, records: Sequence[Any]) -> None:
        """Transform and write a batch. Before a record that cannot be processed, all others are committed."""
        assert self.pipeline is not None
        assert self._destination is not None
        self.doing = "writing"
        self.uncommitted += len(records)
        self._in_transaction = True
        transform = self.pipeline.transform
        if transform is None:
            self._destination.forward(records)
            self.accounts.advance(records, None)
            self.records_read += len(records)
            self.records_written += len(records)
            return
        ran = transform.run(records)
        if ran.counts:
            done = records if len(ran.counts) == len(records) else records[: len(ran.counts)]
            self._destination.write(ran.outputs)
            self.accounts.advance(done, ran.counts)
            self.records_read += len(done)
            self.records_written += len(ran.outputs)
        if ran.failure is not None:
            self.commit()
            raise ran.failure

    def commit(self) -> None:
        """Make everything written durable and commit every position that moved, as one where the destination can."""
        assert self._reader is not None
        assert self._destination is not None
        self.doing = "writing"
        positions = self.accounts.uncommitted(self._run().started_epoch)
        if positions:
            self._destination.commit(positions, self._reader.proof())
            if self._destination.positions_in != "source_transaction":
                self._reader.commit(positions)
            self.accounts.committed(positions)
        self._in_transaction = False
        self.uncommitted = 0
        self._fresh.clear()

    def settle(self) -> None:
        """Commit what is in flight or was just taken on, if anything was."""
        if self._may_commit and self._reader is not None and (self.uncommitted or self._fresh):
            self.commit()

    def _commit_before_failing(self) -> None:
        """Keep what was written before an error of the source: it has nothing to do with the destination."""
        if self.uncommitted and self._may_commit:
            try:
                self.commit()
            except Exception as error:  # noqa: BLE001 - the source's error is the one to tell; this is read again
                logger.warning("not committed before an error", action="task.commit", error=str(error))

    def give_up_in_flight(self) -> None:
        """Forget what was written and not committed: it never counts, or is read again. `reopen` must follow."""
        self._may_commit = False
        self.uncommitted = 0

    # Standing still

    def hold(self) -> None:
        """Stop reading; the partitions stay ours as long as `stand` is called."""
        if not self._held and self._reader is not None:
            self._held = True
            self._reader.hold(sorted(self._owned))

    def stand(self, wait_s: float) -> None:
        """Stay a member without reading. What a poll still brings is read again later."""
        if self._reader is None:
            return
        self.hold()
        self._reader.read(1, wait_s)
        if self._to_hold:
            held, self._to_hold = sorted(self._to_hold & self._owned), set()
            self._reader.hold(held)
        self._raise_what_was_heard()

    def _release(self) -> None:
        assert self._reader is not None
        self._held = False
        self._rebalanced = True
        self._to_hold.clear()
        self._reader.seek(self.accounts.positions())
        self._reader.release(sorted(self._owned))

    # The source's rebalances

    def assigned(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Take partitions on where this run, the state, or the group's commit says that they stand.

        When that cannot be found out now, they are ours all the same, and `rewind` finds it out later.
        """
        self._rebalanced = True
        self._owned.update(partitions)
        accounts = self._begin(partitions)
        self.accounts.take_on(accounts)
        self._fresh.update(partition for partition, account in accounts.items() if account.dirty)
        if self._held:
            self._to_hold.update(partitions)  # what was just assigned can be held after this poll only
        logger.info("partitions taken on", action="task.assigned", partitions=len(partitions))
        return {partition: account.position for partition, account in accounts.items()}

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Commit what is in flight while this generation still can, then give the partitions up."""
        self._rebalanced = True
        if self._may_commit and self.uncommitted:
            try:
                self.commit()
            except Exception as error:  # noqa: BLE001 - raised again by the step that polled
                self._raised = error
        self._forget(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Another member may own them already: drop what is in flight and go back on what remains."""
        self._rebalanced = True
        if self._may_commit and self.uncommitted:
            self._raised = TransactionInDoubt("The group took partitions away while records were in flight.")
        self._forget(partitions)

    def _forget(self, partitions: Sequence[TopicPartition]) -> None:
        self.accounts.give_up(partitions)
        self._owned.difference_update(partitions)
        self._fresh.difference_update(partitions)
        self._to_hold.difference_update(partitions)

    def _raise_what_was_heard(self) -> None:
        if self._raised is not None:
            error, self._raised = self._raised, None
            raise error

    def _begin(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Account]:
        """Decide where partitions begin, by the rule of `core/drain`."""
        if not partitions:
            return {}
        assert self.pipeline is not None
        assert self._reader is not None
        assert self._destination is not None
        view = self._run()
        committed: Mapping[TopicPartition, Committed]
        if self._destination.positions_in == "destination":
            token = Token(view.incarnation, view.started_epoch, 0)
            committed = self._destination.positions(dict.fromkeys(partitions, token))
        else:
            committed = self._reader.committed(partitions)
        accounts: dict[TopicPartition, Account] = {}
        unknown = []
        for each in partitions:
            explicit = view.positions.get(each.topic, {}).get(str(each.partition))
            account = begin(view.started_epoch, committed.get(each), explicit)
            if account == "unknown":
                unknown.append(each)
            else:
                accounts[each] = account
        if unknown:
            starts = start_positions(self.pipeline, unknown, known_topics=view.positions)
            accounts |= {each: Account(start=at, position=at) for each, at in starts.items()}
        return accounts
