"""The projector's shell: polls inputs, folds them, commits; restores what it is assigned; recovers from any doubt.

A step is one bounded unit of work and leaves no transaction open: what a poll brought is folded and committed before
the next poll. So it commits at once when nothing waits and in batches under load, and a rebalance (which happens inside
a poll) never meets an open transaction. A partition is `restoring` until its state is read, `claiming` until the
group's coordinator has taken this process's name for it, then `active`. After anything but a clean commit the session
is built anew, and the partitions that were in the transaction go back to restoring.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final, Literal

import structlog

from headgate.core.backoff import delay_s
from headgate.ports.errors import LogError, LogFatal, LogUnavailable, PositionLost, StaleMember, TransactionInDoubt
from headgate.ports.log import Clock, Committed, Log, LogConsumer, TopicPartition
from headgate.projector.folding import Draft, Folder
from headgate.projector.observer import Observer
from headgate.projector.ownership import Ownership
from headgate.projector.restore import Restorer
from headgate.projector.setup import (
    ASK_TIMEOUT_S,
    TOPICS_WAIT_S,
    LogRewritten,
    PartitionsDiffer,
    ProjectorSettings,
    group_of,
)
from headgate.projector.states import PartitionStates
from headgate.session import TransactionalSession
from headgate_events.errors import TopicsMissing
from headgate_events.records import Family, Record
from headgate_events.topics import Topics

BACKOFF_INITIAL_S: Final = 0.05
BACKOFF_MAX_S: Final = 5.0
RESTORE_WAIT_S: Final = 0.02
REJOIN_MS: Final = 90_000
"""How long the client may wait for an answer when it joins the group, and so how long one that is lost costs at most.

It is also how long a step may take, of which the longest is a transaction that the broker does not answer: 70 seconds.
"""
OBSERVE_EVERY_S: Final = 0.1
OBSERVE_AGAIN_S: Final = 2.0
CALM_S: Final = 60.0
"""After so long without an error the backoff begins at its first step again."""

Phase = Literal["restoring", "claiming", "active"]
_PASSING: Final = (TransactionInDoubt, StaleMember, LogUnavailable)
"""What passes by itself: waited for with backoff, and tried again."""
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Owned:
    """One partition of this process."""

    states: PartitionStates
    phase: Phase = "restoring"
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did."""

    inputs: int = 0
    records: int = 0
    restored: int = 0
    observed: int = 0
    waited_for: str | None = None

    def __bool__(self) -> bool:
        return bool(self.inputs or self.restored or self.observed)


class Projector:
    """One projector process. One thread owns it.

    Only `stop`, also by a signal handler, and `active` may be asked for from elsewhere.
    """

    def __init__(
        self, *, log: Log, topics: Topics, clock: Clock, settings: ProjectorSettings, draw: Callable[[], float]
    ) -> None:
        self._log = log
        self._topics = topics
        self._clock = clock
        self._settings = settings
        self._draw = draw
        self._group = group_of(topics)
        self._id = f"{self._group}.{settings.name}.{settings.instance}"
        self._families: dict[str, Family] = {topics.commands: "commands", topics.reports: "reports"}
        self._session = TransactionalSession(
            log, self._id, alternate=True, linger_ms=1, timeout_ms=settings.transaction_timeout_ms
        )
        self._observer = Observer(log, topics, clock)
        self._owned: dict[int, Owned] = {}
        self._parked: dict[int, PartitionStates] = {}
        self._consumer: LogConsumer | None = None
        self._witness: LogConsumer | None = None
        self._ownership: Ownership | None = None
        self._restorer: Restorer | None = None
        self._folder: Folder | None = None
        self._attempt = 0
        self._failed_at_s = 0.0
        self._wait_until_s = 0.0
        self._observe_again_s = 0.0
        self._ready = False
        self._stopped = threading.Event()

    @property
    def active(self) -> frozenset[int]:
        """The partitions whose inputs are being folded now."""
        return frozenset(number for number, each in list(self._owned.items()) if each.phase == "active")

    def stop(self) -> None:
        """Ask `run` to end after the step at hand."""
        self._stopped.set()

    def run(self) -> None:
        """Work until `stop`, or until SIGTERM or SIGINT when on the main thread, then leave the group in good order.

        Raises HeadgateError, with one sentence and a remedy, for what no retry can mend.
        """
        before = self._catch_signals()
        try:
            while not self._stopped.is_set():
                self.step(self._clock.monotonic_s())
        finally:
            try:
                self.close()
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    def step(self, now_s: float) -> Step:
        """Do one bounded unit of work. What may be retried is waited for, with backoff; the rest is raised."""
        try:
            return self._step(now_s)
        except _PASSING as error:
            self._mistrust(error)
            self._back_off(now_s, error)
            return Step(waited_for=error.code)
        except LogFatal as error:
            self._back_off(now_s, error)
            self._session.doubt()
            self._drop_clients()
            self._observer.close()
            return Step(waited_for=error.code)

    def close(self) -> None:
        """Leave the group and let go of everything. The next owner of the partitions goes on at once.

        Raises LogError when that hangs: the process has to end with an error then.
        """
        self._session.close()
        failed = self._drop_clients()
        self._observer.close()
        if failed is not None:
            raise failed
        log.info("projector.stopped", name=self._settings.name)

    def _step(self, now_s: float) -> Step:
        left_s = self._wait_until_s - now_s
        if self._consumer is None:
            if left_s > 0:
                self._clock.sleep(min(self._settings.poll_s, left_s))
                return Step(waited_for="backoff")
            self._start()
        consumer, ownership, restorer = self._parts()
        problem: LogError | None = None
        restored = observed = 0
        if left_s <= 0:
            try:
                restored = self._prepare(now_s, consumer, ownership, restorer)
                observed = self._observe(now_s)
            except _PASSING as error:
                # It is raised after the poll: only there a member learns that the group went on without it.
                problem = error
        settled = problem is None and left_s <= 0
        busy = any(each.phase != "active" for each in self._owned.values())
        if left_s > 0:
            records = self._poll_while_waiting(consumer, min(self._settings.poll_s, left_s))
        else:
            records = self._poll(consumer, 0.0 if busy or not settled else self._settings.poll_s)
        self._follow(ownership)
        ownership.check_colocation(now_s)
        if not settled:
            self._put_back(records, consumer)
        if problem is not None:
            raise problem
        draft = self._fold(records) if settled else None
        if draft is None:
            return Step(restored=restored, observed=observed, waited_for=None if settled else "backoff")
        self._commit(draft, consumer, now_s)
        return Step(inputs=draft.inputs, records=draft.records, restored=restored, observed=observed)

    def _prepare(self, now_s: float, consumer: LogConsumer, ownership: Ownership, restorer: Restorer) -> int:
        """See that what a poll brings can be committed; return how many partitions became active."""
        if self._session.phase in {"closed", "broken"}:
            self._session.open(ASK_TIMEOUT_S)
        return self._restore(now_s, consumer, ownership, restorer)

    def _put_back(self, records: Sequence[Record], consumer: LogConsumer) -> None:
        """Rewind over records that cannot be folded now."""
        positions: dict[TopicPartition, int] = {}
        for record in records:
            owned = self._owned.get(record.partition() or 0)
            if owned is not None and owned.phase == "active" and owned.states.positions is not None:
                at = TopicPartition(record.topic() or "", record.partition() or 0)
                positions[at] = owned.states.positions[self._families[at.topic]]
        if positions:
            consumer.seek(positions)

    def _observe(self, now_s: float) -> int:
        if now_s < self._observe_again_s:
            return 0
        self._observe_again_s = now_s + OBSERVE_EVERY_S
        watched = {number: each.states for number, each in self._owned.items() if each.phase == "active"}
        try:
            return self._observer.step(now_s, watched)
        except LogUnavailable as error:
            # Commands are folded without an observer; it looks again later.
            self._mistrust(error)
            self._observe_again_s = now_s + OBSERVE_AGAIN_S
            log.warning("projector.observer_waits", error=str(error))
            return 0
        except LogFatal as error:
            # So is a client of its own that is beyond use: it makes new ones.
            self._observe_again_s = now_s + OBSERVE_AGAIN_S
            log.warning("projector.observer_begins_anew", error=str(error))
            self._observer.close()
            return 0

    def _mistrust(self, error: LogError) -> None:
        """Have the producers initialised anew after the brokers were away.

        A transaction that was committed just before a broker was killed may stay pending there, and holds back every
        reader of what comes after it; initialising its id ends it. Nothing of ours is open here that could be lost.
        """
        if isinstance(error, LogUnavailable) and self._session.phase == "ready":
            self._session.doubt()

    def _start(self) -> None:
        partitions = self._count_partitions()
        settings = self._settings
        self._witness = self._log.consumer(group=self._group, isolation="read_uncommitted", queued_kbytes=64)
        self._ownership = Ownership(self._topics, self._witness)
        self._restorer = Restorer(self._log, self._topics.state, partitions, self._witness)
        self._folder = Folder(self._topics, partitions, settings.policy, self._families)
        self._consumer = self._log.consumer(
            group=self._group,
            isolation="read_committed",
            assignor="range",
            session_timeout_ms=settings.session_timeout_ms,
            max_poll_interval_ms=REJOIN_MS,
        )
        self._consumer.subscribe([self._topics.commands, self._topics.reports], self._ownership)
        log.info("projector.started", name=settings.name, namespace=self._topics.namespace, partitions=partitions)

    def _count_partitions(self) -> int:
        wanted = (self._topics.commands, self._topics.reports, self._topics.history, self._topics.state)
        deadline_s = self._clock.monotonic_s() + TOPICS_WAIT_S
        while True:
            counts = {topic: self._log.partitions(topic, ASK_TIMEOUT_S) for topic in wanted}
            missing = [topic for topic, count in counts.items() if count is None]
            if not missing:
                break
            if self._clock.monotonic_s() >= deadline_s or self._stopped.is_set():
                raise TopicsMissing(
                    f"{', '.join(missing)} {'does' if len(missing) == 1 else 'do'} not exist.",
                    hint="Create the topics of the namespace with `headgate init`.",
                )
            self._clock.sleep(0.5)
        numbers = {count for count in counts.values() if count is not None}
        if len(numbers) != 1:
            said = ", ".join(f"{topic} has {count}" for topic, count in counts.items())
            raise PartitionsDiffer(
                f"The topics must have equally many partitions, but {said}.",
                hint="Begin a new namespace with `headgate init`; partitions cannot be taken away.",
            )
        return numbers.pop()

    def _parts(self) -> tuple[LogConsumer, Ownership, Restorer]:
        assert self._consumer is not None
        assert self._ownership is not None
        assert self._restorer is not None
        return self._consumer, self._ownership, self._restorer

    def _poll(self, consumer: LogConsumer, wait_s: float) -> Sequence[Record]:
        try:
            return consumer.poll(self._settings.batch_records, wait_s).records
        except PositionLost as error:
            owned = self._owned.get(error.partition)
            if owned is not None and owned.phase == "active":
                log.warning("projector.position_lost", error=str(error))
                self._begin_again([error.partition])
            return ()

    def _poll_while_waiting(self, consumer: LogConsumer, wait_s: float) -> Sequence[Record]:
        """Stay a member of the group during a backoff; a broker that is away is what is being waited for."""
        try:
            return self._poll(consumer, wait_s)
        except LogUnavailable:
            self._clock.sleep(wait_s)
            return ()

    def _follow(self, ownership: Ownership) -> None:
        """Draw the consequences of the rebalances that the last poll brought."""
        held = ownership.owned()
        for number in [number for number in self._owned if number not in held]:
            self._give_up(number)
        fresh = ownership.take_fresh()
        for number in sorted(fresh):
            self._give_up(number)
            parked = self._parked.pop(number, None)
            self._owned[number] = Owned(PartitionStates(self._settings.parsed_states) if parked is None else parked)
        if fresh:
            # What went to others is theirs; only a partition that comes back at once is worth keeping.
            self._parked.clear()
            self._ready = False
            log.info("projector.assigned", partitions=sorted(self._owned))

    def _give_up(self, number: int) -> None:
        owned = self._owned.pop(number, None)
        if owned is None:
            return
        assert self._restorer is not None
        self._restorer.cancel(number)
        if owned.states.read_to is not None:
            self._parked[number] = owned.states

    def _begin_again(self, numbers: Sequence[int]) -> None:
        """Send partitions back to restoring: what memory holds of them is to be read again from the topic."""
        for number in numbers:
            if (owned := self._owned.get(number)) is not None:
                owned.phase, owned.begun = "restoring", False
                self._ready = False

    def _restore(self, now_s: float, consumer: LogConsumer, ownership: Ownership, restorer: Restorer) -> int:
        """Bring partitions nearer to being active; return how many became so."""
        for number, owned in self._owned.items():
            if owned.phase == "restoring" and not owned.begun:
                consumer.pause(self._inputs(number))
                restorer.begin(number, owned.states, self._predecessor(ownership, number), now_s)
                owned.begun = True
        if restorer:
            for number in restorer.step(now_s, RESTORE_WAIT_S):
                self._owned[number].phase = "claiming"
        claimed = [number for number, owned in self._owned.items() if owned.phase == "claiming"]
        if claimed:
            self._claim(claimed, consumer, ownership)
            self._observer.sweep_soon()
        if not self._ready and self._owned and all(each.phase == "active" for each in self._owned.values()):
            self._ready = True
            streams = sum(len(each.states) for each in self._owned.values())
            log.info("projector.ready", name=self._settings.name, partitions=sorted(self._owned), streams=streams)
        return len(claimed)

    def _claim(self, numbers: Sequence[int], consumer: LogConsumer, ownership: Ownership) -> None:
        """Find the positions to go on at, let the group's coordinator know our transactional ids, and begin to read.

        Whoever inherits a partition finds the ids beside the committed positions and can end what we left open. The
        commit is fenced by the group's generation, so a process that was replaced stops here.
        """
        positions: dict[TopicPartition, int] = {}
        for number in numbers:
            states = self._owned[number].states
            found = states.positions or {}
            chosen: dict[str, int] = {}
            for at in self._inputs(number):
                family = self._families[at.topic]
                left = ownership.left.get(at)
                chosen[family] = positions[at] = self._within(at, found.get(family, left.position if left else None))
            states.positions = chosen
        consumer.commit({at: Committed(position, self._id) for at, position in positions.items()}, ASK_TIMEOUT_S)
        for at, position in positions.items():
            ownership.left[at] = Committed(position, self._id)
        consumer.seek(positions)
        consumer.resume(positions)
        for number in numbers:
            self._owned[number].phase = "active"

    def _within(self, at: TopicPartition, position: int | None) -> int:
        """Return a position that the log holds. Raises LogRewritten when it ends before what was folded."""
        assert self._witness is not None
        held = self._witness.range(at, ASK_TIMEOUT_S)
        if position is None:
            return held.start
        if position > held.end:
            raise LogRewritten(
                f"{at.topic} partition {at.partition} ends at {held.end}, but was folded up to {position}.",
                hint="It was made anew or lost its end: restore it, or begin a new namespace.",
            )
        if position < held.start:
            log.error("projector.inputs_lost", topic=at.topic, partition=at.partition, lost=held.start - position)
            return held.start
        return position

    def _fold(self, records: Sequence[Record]) -> Draft | None:
        active = {number: each.states for number, each in self._owned.items() if each.phase == "active"}
        readable = [record for record in records if record.partition() in active]
        if not readable:
            return None
        assert self._folder is not None
        draft = self._folder.fold(readable, active)
        for refused, fault in draft.faults:
            log.error("projector.fault", topic=refused.topic, offset=refused.offset, input=refused.type, exc_info=fault)
        return draft if draft.inputs else None

    def _commit(self, draft: Draft, consumer: LogConsumer, now_s: float) -> None:
        positions = {
            at: Committed(moved[self._families[at.topic]], self._id)
            for number, moved in draft.positions.items()
            for at in self._inputs(number)
        }
        try:
            producer = self._session.begin()
            for topic, value, key, headers, partition in draft.outgoing:
                producer.produce(topic, value, key, headers, partition)
            self._session.commit(positions, consumer.group_metadata())
        except LogError as error:
            self._session.doubt()
            self._begin_again(list(draft.positions))
            log.warning("projector.transaction_in_doubt", error=str(error), inputs=draft.inputs)
            raise
        self._attempt = 0
        for number, moved in draft.positions.items():
            self._owned[number].states.positions = moved
        for number, changed in draft.states.items():
            states = self._owned[number].states
            for stream, (state, value) in changed.items():
                if state is None or value is None:
                    states.remove(stream)
                else:
                    states.put(stream, state, value)
                    self._observer.changed(states, stream, state, now_s)

    def _inputs(self, number: int) -> tuple[TopicPartition, TopicPartition]:
        return TopicPartition(self._topics.commands, number), TopicPartition(self._topics.reports, number)

    def _predecessor(self, ownership: Ownership, number: int) -> str | None:
        for at in self._inputs(number):
            left = ownership.left.get(at)
            if left is not None and left.metadata.startswith(f"{self._group}.") and left.metadata != self._id:
                return left.metadata
        return None

    def _back_off(self, now_s: float, error: LogError) -> None:
        if now_s - self._failed_at_s > CALM_S:
            self._attempt = 0
        self._failed_at_s = now_s
        wait_s = delay_s(self._attempt, BACKOFF_INITIAL_S, BACKOFF_MAX_S, self._draw())
        self._attempt += 1
        self._wait_until_s = now_s + wait_s
        log.warning(
            "projector.waits", error=str(error), code=error.code, attempt=self._attempt, wait_s=round(wait_s, 3)
        )

    def _drop_clients(self) -> LogError | None:
        """Close all consumers; return the first error that one of them met."""
        failed: LogError | None = None
        self._owned.clear()
        self._parked.clear()
        self._ready = False
        for client in (self._consumer, self._restorer, self._witness):
            if client is None:
                continue
            try:
                client.close()
            except LogError as error:
                log.warning("projector.close_failed", error=str(error))
                failed = failed or error
        self._consumer = self._restorer = self._witness = self._ownership = None
        return failed

    def _catch_signals(self) -> dict[signal.Signals, Any]:
        if threading.current_thread() is not threading.main_thread():
            return {}

        def asked(number: int, _: FrameType | None) -> None:
            log.info("projector.stopping", signal=signal.Signals(number).name)
            self.stop()

        return {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT)}
