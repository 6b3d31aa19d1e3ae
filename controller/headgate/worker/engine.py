"""The engine of a task: a reader, a destination and the accounts between them. It moves records and keeps the order.

Read a batch → transform → write → make durable → commit positions: a position is never committed before what it covers
is durable, and what was written is never let go of without a commit while one is still possible. After any error the
owner calls `reopen` and `rewind`: everything uncommitted is forgotten and read again from the committed positions.

A record that cannot be processed is treated where it stands. Set aside, it is passed over (as a dead letter, where the
stream asks for one) and counted; else its partition stops in front of it and the others go on (`isolate: partition`),
or everything stops. A destination that refuses one record says so when some of the batch may be written already, so the
owner goes back, and the record is treated when it comes again.

Rebalances are heard inside the poll. What they raise is kept and raised by the poll's caller, when the client is whole
again. A batch of a poll with a rebalance may hold records of partitions that went away meanwhile; they are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import structlog

from headgate.core.drain import Account
from headgate.ports.destination import BoundsBatches, Destination, PacesCommits
from headgate.ports.errors import LogError, PositionLost, TransactionInDoubt
from headgate.ports.log import Clock, Committed, TopicPartition
from headgate.ports.source import SourceReader
from headgate.worker.accounts import Accounts, partition_of, watermarks_of
from headgate.worker.among_records import MarkersAmong
from headgate.worker.bad_records import BadRecords
from headgate.worker.beginning import Beginning
from headgate.worker.ends import UntilEnd
from headgate.worker.failures import TransformFailed
from headgate.worker.fencing import fence
from headgate.worker.marking import Marking, announced_in, marks
from headgate.worker.pipeline import Pipeline
from headgate.worker.view import View
from headgate_events.errors import HeadgateError
from headgate_events.records import Payload, Record

POLL_S: Final = 0.1
QUIET_POLL_S: Final = 0.25
"""How long a poll waits where nothing is expected. A record ends it at once; only orders wait for it."""
LOOK_S: Final = 1.0
"""How often a task of which everything was said IDLE looks whether that is still its to say."""
RECOMMIT_S: Final = 3_600.0
"""How often an idle task commits its positions again: a group's positions expire when nobody commits them."""

logger = structlog.get_logger("headgate.worker")


class Engine:
    """Moves records for a task, whose thread owns it. `open` → (`pump` | `stand`) … → `let_go`."""

    def __init__(self, clock: Clock, run: Callable[[], View]) -> None:
        self.pipeline: Pipeline | None = None
        self.accounts = Accounts()
        self.records_read = 0
        self.records_written = 0
        self.bad = BadRecords()
        self.uncommitted = 0
        self.stopped: set[TopicPartition] = set()
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
        self._first_s = 0.0
        self._committed_s = 0.0
        self._look_s = 0.0
        self._paces: PacesCommits | None = None
        self._bounds: BoundsBatches | None = None
        self._beginning: Beginning | None = None
        self._marking: Marking | None = None
        self._newly_stopped: list[tuple[TopicPartition, HeadgateError]] = []
        self._ends: dict[TopicPartition, int] = {}
        self._until: UntilEnd | None = None
        self._among: MarkersAmong | None = None
        self.moved_ms = 0
        """When a record was last moved, or the source was last seen at its end; epoch milliseconds."""
        self.at_end = False
        """Whether the last batch left nothing to read: every partition that is read was seen at its end."""

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
        self._beginning = Beginning(pipeline, self._reader, self._destination)
        self._paces = self._destination if isinstance(self._destination, PacesCommits) else None
        self._bounds = self._destination if isinstance(self._destination, BoundsBatches) else None
        source, skips = pipeline.config.source, getattr(pipeline.source_settings, "skip_markers", False)
        self._among = MarkersAmong(pipeline.in_band_topics, source.model_dump(), always=skips)
        until = source.until
        self._until = None if until is None else UntilEnd(until)
        self._marking = Marking(pipeline, self._clock, self._reader, self._destination) if marks(pipeline) else None
        self.take_on_settings(pipeline)
        self._held = True
        self._reader.open(self)  # joining goes on beside the opening of the destination; it is heard of in `stand`
        self._destination.open()
        self.moved_ms = self._clock.now_ms()
        self._committed_s = self._clock.monotonic_s()

    def take_on_settings(self, pipeline: Pipeline) -> None:
        """Go on by another revision whose source and destination are the same. Raises LogError."""
        self.pipeline = pipeline
        if marks(pipeline) != (self._marking is not None):
            self._switch_marking(pipeline)
        elif self._marking is not None:
            self._marking.take_on(pipeline.config.idleness)
            self._say_what_ended()
        if self._destination is not None:
            self.bad.take_on(pipeline, self._destination)

    def _switch_marking(self, pipeline: Pipeline) -> None:
        """Begin to say something of the channels, which takes a claim and a new look at their ends, or end it."""
        before, self._marking = self._marking, None
        if before is not None:
            before.close()
            return
        assert self._reader is not None
        assert self._destination is not None
        self.settle()
        self._marking = Marking(pipeline, self._clock, self._reader, self._destination)
        if self._may_commit:  # else all begins anew before anything is read
            self.rewind()

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
        self._ends.clear()
        if self._among is not None:
            self._among.passed.clear()
        self._stop_what_failed(self._owned)
        self._reader.seek(self.accounts.positions())
        if self._unread:
            self._reader.hold(sorted(self._unread))

    def let_go(self) -> None:
        """Close everything at once; what is uncommitted is given up."""
        self._may_commit = False
        left_open, self._in_transaction = self._in_transaction, False
        reader, self._reader = self._reader, None
        destination, self._destination = self._destination, None
        beginning, self._beginning = self._beginning, None
        marking, self._marking = self._marking, None
        self._paces = None
        for part in (self.bad, beginning, marking, destination, reader):
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
        self.stopped.clear()
        self._newly_stopped.clear()
        self._ends.clear()
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
        wait_s = QUIET_POLL_S if self._is_quiet() else POLL_S
        interval_s = self.pipeline.config.commit_interval_ms / 1000
        if self.uncommitted and self._paces is None:
            wait_s = min(POLL_S, max(0.0, self._first_s + interval_s - self._clock.monotonic_s()))
        try:
            most = self.pipeline.config.max_batch_records
            batch = self._reader.read(min(most, self._bounds.most_records) if self._bounds else most, wait_s)
        except LogError as error:
            self._commit_before_failing()
            if not self._stops_one(error):
                raise
            return True
        self._raise_what_was_heard()
        records: Sequence[Any] = batch.records
        if self._rebalanced:
            records = self._after_a_rebalance(records)
        records, passed = self._data_in(records)
        marking = self._marking
        if records:
            self.at_end = False  # said at once: a transform may keep these for long, and heartbeats go on meanwhile
            if marking is not None and (woken := marking.activity.before_write(records, marking.now_ms())):
                self._say(woken)
            if not self.uncommitted:
                self._first_s = self._clock.monotonic_s()
            self._move(records)
        # Behind a record that cannot be processed, an end that was met says nothing.
        ends = {each: end for each, end in batch.ends.items() if each not in self.stopped}
        self._ends.update(ends)
        if marking is not None:
            marking.activity.moved(records, self.accounts.positions(), ends, marking.now_ms())
        if passed:
            self._pass(passed, records)
        if self._until is not None:
            self._end(self._until, ends)
        if self._fresh or (self.uncommitted and self._commit_is_due(interval_s)):
            self.commit()
            self._say_what_is_due()
            return True
        self._say_what_is_due()
        self._note_progress(bool(records))
        return bool(records)

    def channels(self) -> tuple[dict[str, Any], ...]:
        """Return what was said last about each channel, for a heartbeat. Any thread may ask."""
        marking = self._marking
        return () if marking is None else marking.activity.beat()

    @property
    def says(self) -> bool:
        """Whether anything is said of channels, so that of none there is something to say, too. Any thread may ask."""
        return self._marking is not None

    def _is_quiet(self) -> bool:
        """Say whether nothing is in flight, nothing is left to read, and everything was said that can be."""
        return self.at_end and not self.uncommitted and (self._marking is None or self._marking.activity.quiet)

    def _say_what_is_due(self) -> None:
        """Say IDLE and watermarks, after a commit of what they cover; a commit that is dear is not made for them."""
        if self._marking is None or (self.uncommitted and self._paces is not None):
            return
        if not self._marking.inherits and self._is_quiet():
            now_s = self._clock.monotonic_s()
            if now_s < self._look_s:
                return
            self._look_s = now_s + LOOK_S
        in_flight = {each for each, account in self.accounts.of.items() if account.dirty} if self.uncommitted else set()
        if self._among is not None:
            in_flight -= self._among.passed
        if due := self._marking.due(in_flight):
            self._say(due)

    def _say(self, markers: Sequence[Payload]) -> None:
        """Commit what came before the markers, and then them, with the positions of their channels."""
        assert self._marking is not None
        if self.uncommitted and self._paces is None:
            self.commit()  # where that is dear, only ACTIVE comes here, of channels of which nothing is in flight
        self._keep_what_is_said(markers)
        view = self._run()
        epoch = view.started_epoch
        places = [TopicPartition(each["channel"]["topic"], each["channel"]["partition"]) for each in markers]
        accounts = self.accounts.of
        self._in_transaction = True
        self._marking.say(
            markers,
            {each: Committed(accounts[each].position, accounts[each].metadata(epoch)) for each in places},
            None if view.partitions is None else sum(view.partitions.values()),
        )
        self._in_transaction = False

    def _keep_watermarks(self) -> set[TopicPartition]:
        """Have the next commit tell an heir how far event time has come; return the channels where that is news."""
        return set() if self._marking is None else self.accounts.note_watermarks(self._marking.activity.event_times())

    def _keep_what_is_said(self, markers: Sequence[Payload]) -> None:
        """See to it that no watermark is announced that an heir would not know of.

        Markers take their channels' positions along, with that beside them, but not to a destination that has its own.
        """
        assert self._destination is not None
        news = self._keep_watermarks()
        if self._destination.positions_in == "destination" and (behind := news & announced_in(markers)):
            for place in behind:
                self.accounts.of[place].dirty = True
            self.commit()

    def _commit_is_due(self, interval_s: float) -> bool:
        waited_s = self._clock.monotonic_s() - self._first_s
        return waited_s >= interval_s if self._paces is None else self._paces.commit_due(waited_s)

    def _after_a_rebalance(self, records: Sequence[Any]) -> Sequence[Any]:
        """Leave out records that are not ours to move, and hold partitions that were assigned while they stand."""
        assert self._reader is not None
        self._rebalanced = False
        if self._to_hold:
            held, self._to_hold = sorted(self._to_hold & self._owned & self._unread), set()
            self._reader.hold(held)
        records = self.accounts.owned(records)
        return [each for each in records if partition_of(each) not in self.stopped] if self.stopped else records

    def _stands_at_end(self) -> bool:
        """Say whether every partition that is read was seen at its end, with nothing after it."""
        accounts, ends = self.accounts.of, self._ends
        return all(each in ends and accounts[each].position <= ends[each] for each in accounts.keys() - self._unread)

    def _note_progress(self, moved: bool) -> None:
        self.at_end = not moved and self._stands_at_end()
        if moved or self.at_end:
            self.moved_ms = self._clock.now_ms()
        if not moved and not self.uncommitted and self._clock.monotonic_s() - self._committed_s >= RECOMMIT_S:
            self._recommit()

    def _recommit(self) -> None:
        """Commit the positions of an idle task again, before the group's memory of them expires."""
        assert self._reader is not None
        assert self._destination is not None
        self._committed_s = self._clock.monotonic_s()
        if self._destination.positions_in != "destination":
            started_epoch = self._run().started_epoch
            self._reader.commit(
                {each: Committed(one.position, one.metadata(started_epoch)) for each, one in self.accounts.of.items()}
            )

    def _move(self, records: Sequence[Any]) -> None:
        """Transform and write a batch, and treat what cannot be processed. What stops is committed up to there."""
        assert self.pipeline is not None
        self.doing = "writing"
        self.uncommitted += len(records)
        self._in_transaction = True
        if self.pipeline.transform is None and not self.bad.any_refused:
            self._forward(records)
            return
        stopped = len(self._newly_stopped)
        while records:
            records = self._move_some(records)
        if len(self._newly_stopped) > stopped:
            self.commit()

    def _forward(self, records: Sequence[Any]) -> None:
        assert self._destination is not None
        self._destination.forward(records)
        self.accounts.advance(records, None)
        self.records_read += len(records)
        self.records_written += len(records)
        self.bad.good(len(records))

    def _move_some(self, records: Sequence[Any]) -> Sequence[Any]:
        """Move the records before the first that cannot be processed, treat that one, and return the rest."""
        assert self.pipeline is not None
        assert self._destination is not None
        failure: HeadgateError | None
        good, failure = self.bad.up_to_refused(records)
        transform = self.pipeline.transform
        if transform is None:
            if good:
                self._forward(good)
            moved = len(good)
        else:
            ran = transform.run(good) if good else None
            moved = 0 if ran is None else len(ran.counts)
            if ran is not None and moved:
                done = good if moved == len(good) else good[:moved]
                self._destination.write(ran.outputs)
                self.accounts.advance(done, ran.counts)
                self.records_read += moved
                self.records_written += len(ran.outputs)
                self.bad.good(moved)
            if ran is not None and ran.failure is not None:
                failure = ran.failure
        if failure is None:
            return ()
        return self._treat(records[moved], failure, records[moved + 1 :])

    # What cannot be processed

    def _treat(self, record: Record, failure: HeadgateError, rest: Sequence[Any]) -> Sequence[Any]:
        """Set a record aside, or stop its partition in front of it, or everything; return what is moved next."""
        assert self.pipeline is not None
        config = self.pipeline.config
        waits = isinstance(failure, TransformFailed) and (failure.later or failure.stops)
        if not waits and config.on_error != "stop":
            self._set_aside(record, failure)
            return rest
        if config.isolate == "stream":
            self.commit()
            raise failure
        place = partition_of(record)
        self._stop(place, failure)
        return [each for each in rest if partition_of(each) != place]

    def _set_aside(self, record: Record, failure: HeadgateError) -> None:
        if (too_many := self.bad.too_many(failure)) is not None:
            self.commit()
            raise too_many
        self.bad.set_aside(record, failure, self._run())
        self.accounts.set_aside(record)
        self.records_read += 1

    def _stop(self, place: TopicPartition, error: HeadgateError) -> None:
        """Stand still on one partition, in front of what failed; it stays ours."""
        assert self._reader is not None
        self.stopped.add(place)
        self._newly_stopped.append((place, error))
        self._reader.hold([place])
        self._ends.pop(place, None)
        if self._marking is not None:
            self._marking.activity.stands(place)

    def _stops_one(self, error: LogError) -> bool:
        """Stop the one partition that an error of the source names; False where everything has to stop."""
        assert self.pipeline is not None
        if not isinstance(error, PositionLost) or self.pipeline.config.isolate == "stream":
            return False
        place = TopicPartition(error.topic, error.partition)
        if place not in self._owned:
            return False
        self._stop(place, error)
        return True

    def _stop_what_failed(self, partitions: Iterable[TopicPartition]) -> None:
        """Stand still on partitions of which the state says that they failed for good, whoever had them then."""
        failed = self._run().failed
        self.stopped.update(each for each in partitions if each in failed)

    def take_stopped(self) -> list[tuple[TopicPartition, HeadgateError]]:
        """Return the partitions that stopped since the last call, each with the reason."""
        stopped, self._newly_stopped = self._newly_stopped, []
        return stopped

    def readmit(self, place: TopicPartition) -> None:
        """Read a partition again that stopped, from where it stands."""
        assert self._reader is not None
        if place not in self.stopped:
            return
        self.stopped.discard(place)
        if not self._held:
            self._rebalanced = True
            self._reader.seek({place: self.accounts.of[place].position})
            self._reader.release([place])

    # Markers among the records

    def _data_in(self, records: Sequence[Any]) -> tuple[Sequence[Any], Mapping[TopicPartition, int]]:
        """Return what is to be moved of a batch, and the positions behind the markers that are passed over."""
        if self._until is not None:
            records = self._until.within(records)
        if self._among is not None and self._among.expected:
            return self._among.without(records)
        return records, {}

    def _pass(self, behind: Mapping[TopicPartition, int], records: Sequence[Any]) -> None:
        """Move positions over markers of ours. A partition that stands in front of a record that failed stays there.

        They are committed like records, but no files are finished for them: there they wait for the next that comes.
        """
        assert self._among is not None
        with_records = {partition_of(record) for record in records}
        for place, position in behind.items():
            account = self.accounts.of[place]
            if place in self.stopped or account.position >= position:
                continue
            if not account.dirty and place not in with_records:
                self._among.passed.add(place)
            account.advance(position, 0, 0)
            if self._marking is not None:
                self._marking.activity.passed(place, position)
            if self._paces is None:
                self._first_s = self._first_s if self.uncommitted else self._clock.monotonic_s()
                self.uncommitted += 1
        self._among.passed -= with_records

    # Ends

    @property
    def _unread(self) -> set[TopicPartition]:
        """The partitions that are ours and are not read: those that stopped at an error, and those that ended."""
        return self.stopped if self._until is None else self.stopped | self._until.ended

    def _end(self, until: UntilEnd, met: Mapping[TopicPartition, int]) -> None:
        """Read partitions no further that came to their end; their last position is committed next."""
        assert self._reader is not None
        accounts = self.accounts.of
        going = {each: account.position for each, account in accounts.items() if each not in self.stopped}
        ended = until.newly_ended(going, met)
        if not ended:
            return
        for place, end in ended.items():
            if accounts[place].position < end:
                accounts[place].advance(end, 0, 0)
        self._fresh.update(ended)
        self._reader.hold(sorted(ended))
        self._say_what_ended()
        logger.info("partitions are at their end", action="task.ended", partitions=len(ended))

    def _say_what_ended(self) -> None:
        """Have it said of the partitions that ended, once that is committed, unless it was said already."""
        if self._marking is not None and self._until is not None and self._until.ended:
            accounts, now_ms = self.accounts.of, self._marking.now_ms()
            self._marking.activity.ended({each: accounts[each].position for each in self._until.ended}, now_ms)

    def commit(self) -> None:
        """Make everything written durable and commit every position that moved, as one where the destination can."""
        assert self._reader is not None
        assert self._destination is not None
        self.doing = "writing"
        self._keep_watermarks()
        positions = self.accounts.uncommitted(self._run().started_epoch)
        if positions:
            self.bad.flush()
            self._destination.commit(positions, self._reader.proof())
            if self._destination.positions_in != "source_transaction":
                self._reader.commit(positions)
            self.accounts.committed(positions)
            self.bad.committed(self.accounts)
            self._committed_s = self._clock.monotonic_s()
            self.moved_ms = self._clock.now_ms()
        self._in_transaction = False
        self.uncommitted = 0
        self._fresh.clear()
        if self._among is not None:
            self._among.passed.clear()

    def settle(self) -> None:
        """Commit what is in flight or was just taken on, if anything was."""
        passed = self._among is not None and self._among.passed
        if self._may_commit and self._reader is not None and (self.uncommitted or self._fresh or passed):
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
        self._ends.clear()
        if self._marking is not None:
            self._marking.activity.read_again()
        self._reader.seek(self.accounts.positions())
        self._reader.release(sorted(self._owned - self._unread))

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
        self._stop_what_failed(partitions)
        self._to_hold.update(partitions if self._held else self._unread)  # possible after this poll only
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
        if self._marking is not None:
            self._marking.activity.forget(partitions)
        self._owned.difference_update(partitions)
        self._fresh.difference_update(partitions)
        self._to_hold.difference_update(partitions)
        self.stopped.difference_update(partitions)
        if self._until is not None:
            self._until.forget(partitions)
        if self._among is not None:
            self._among.passed.difference_update(partitions)
        for each in partitions:
            self._ends.pop(each, None)

    def _raise_what_was_heard(self) -> None:
        if self._raised is not None:
            error, self._raised = self._raised, None
            raise error

    def _begin(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, Account]:
        """Find out where partitions begin, and have the parts that follow each of them begin there."""
        if not partitions:
            return {}
        assert self.pipeline is not None
        assert self._beginning is not None
        view, marking = self._run(), self._marking
        accounts, tokens = self._beginning.begin(self.pipeline, view, partitions, marks=marking is not None)
        positions = {each: account.position for each, account in accounts.items()}
        if marking is not None:
            marking.assigned(tokens, positions, watermarks_of(accounts))
        if self._until is not None:
            self._until.take_on(view, positions)
            if marking is not None:
                ended = {each: at for each, at in positions.items() if each in self._until.ended}
                marking.activity.ended(ended, marking.now_ms())
        return accounts
