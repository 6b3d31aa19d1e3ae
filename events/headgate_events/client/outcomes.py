"""The thread that hears outcomes: it owns the consumer of the history and tells the handles that wait.

It starts with the first command and reads the whole history from where that ended then. Adding one partition after the
other, as they are needed, would make each first answer wait for a fetch that is under way already (half a second).
Records are sorted by `ce_causationid`, so only answers to this client's own commands are ever parsed. Handles are held
weakly: a caller that sends and forgets costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Condition, Thread
from typing import Final
from weakref import ReferenceType, ref

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition
from pydantic import ValidationError

from headgate_events.client.handle import CommandHandle
from headgate_events.client.kafka import (
    LOGGER,
    Settings,
    count_partitions,
    is_transient,
    make_consumer,
    take,
    unreachable,
    wrapped,
)
from headgate_events.codec import decode_history, read
from headgate_events.envelope import header
from headgate_events.errors import HeadgateError, OutcomeTimeout, SendFailed, TopicsMissing, UnreadableRecord
from headgate_events.schema.history import Checking, Forwarded, Outcome, Scheduled
from headgate_events.topics import Topics

POLL_S: Final = 0.05
SWEEP_S: Final = 1.0
ASK_AGAIN_S: Final = 0.1
_ANSWERS: Final = frozenset({"outcome", "scheduled", "checking", "forwarded"})
_UNREADABLE_CODE: Final = "command."


class OutcomeFeed:
    """Reads the history for one client. `expect` and `forget` may be called from any thread.

    `serve` is called on the feed's thread at least every 50 ms; the client serves its delivery reports there.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topics: Topics,
        kafka: Settings | None,
        max_in_flight: int,
        serve: Callable[[], None],
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topics = topics
        self._kafka = kafka
        self._max_in_flight = max_in_flight
        self._serve = serve
        self._changed = Condition()
        self._waiting: dict[str, list[ReferenceType[CommandHandle]]] = {}
        self._count = 0
        self._ready: Future[None] | None = None
        self._thread: Thread | None = None
        self._closing = False

    def expect(self, handle: CommandHandle, deadline: float) -> None:
        """Return once no answer to this handle's command, which is not sent yet, can be missed.

        Raises ClusterUnreachable, TopicsMissing, or SendFailed when no room came free by the deadline.
        """
        ready = self._begin(handle, deadline)
        try:
            ready.result(max(0.0, deadline - time.monotonic()) + 1.0)
        except TimeoutError:
            self.forget(handle)
            raise unreachable(f"asking for the end of {self._topics.history}") from None
        except HeadgateError:
            self.forget(handle)
            raise

    def forget(self, handle: CommandHandle) -> None:
        """Stop waiting for a handle's answer."""
        with self._changed:
            waiting = self._waiting.get(handle.command_id, [])
            kept = [each for each in waiting if each() is not handle]
            self._keep(handle.command_id, len(waiting), kept)

    def close(self, timeout_s: float) -> None:
        """End the thread, and tell every handle that still waits; bounded."""
        with self._changed:
            self._closing = True
            thread = self._thread
            self._changed.notify_all()
        if thread is not None:
            thread.join(timeout_s)
        self._fail_all(
            OutcomeTimeout("The client was closed before the outcome came.", hint="The command may still take effect.")
        )

    def _begin(self, handle: CommandHandle, deadline: float) -> Future[None]:
        with self._changed:
            if self._count >= self._max_in_flight:
                self._sweep()
            room = self._changed.wait_for(
                lambda: self._closing or self._count < self._max_in_flight, max(0.0, deadline - time.monotonic())
            )
            if self._closing:
                raise SendFailed("The client is closed.", hint="Open a new one.")
            if not room:
                raise SendFailed(
                    f"{self._count} commands are waiting for their outcome already.",
                    hint="Wait for outcomes in between; see that a projector runs.",
                )
            self._waiting.setdefault(handle.command_id, []).append(ref(handle))
            self._count += 1
            if self._ready is None:
                self._ready = Future()
                self._thread = Thread(
                    target=self._run, args=(self._ready, deadline), name="headgate-outcomes", daemon=True
                )
                self._thread.start()
            return self._ready

    def _run(self, ready: Future[None], deadline: float) -> None:
        consumer: Consumer | None = None
        failure: HeadgateError | None = None
        try:
            consumer = make_consumer(self._bootstrap_servers, self._kafka, **{"enable.partition.eof": False})
            self._start_reading(consumer, deadline)
            ready.set_result(None)
            swept = time.monotonic()
            while not self._closing:
                self._serve()
                for message in take(consumer, timeout_s=POLL_S):
                    self._hear(message)
                if time.monotonic() - swept > SWEEP_S:
                    swept = time.monotonic()
                    with self._changed:
                        self._sweep()
        except HeadgateError as problem:
            failure = problem
        except KafkaException as problem:
            failure = wrapped(problem.args[0], f"reading {self._topics.history}")
        except Exception as problem:  # noqa: BLE001 - whoever waits must hear of it, and only they can
            LOGGER.exception("the thread that hears outcomes ended")
            failure = HeadgateError(f"Hearing outcomes failed: {problem!r}.", hint="This is a bug of the client.")
        finally:
            self._end(ready, failure)
            if consumer is not None:
                consumer.close()

    def _end(self, ready: Future[None], failure: HeadgateError | None) -> None:
        """Tell whoever waits, and let the next command start afresh."""
        with self._changed:
            self._thread = self._ready = None
        if not ready.done():
            ready.set_exception(failure or SendFailed("The client is closed.", hint="Open a new one."))
        if failure is not None:
            self._fail_all(failure)

    def _start_reading(self, consumer: Consumer, deadline: float) -> None:
        """Read every partition on from its last stable offset: nothing decided from now on lies below it."""
        history = self._topics.history
        count = self._ask_partitions(consumer, deadline)
        found = self._ask_ends(consumer, [TopicPartition(history, each, OFFSET_END) for each in range(count)], deadline)
        consumer.assign(found)

    def _ask_ends(self, consumer: Consumer, latest: list[TopicPartition], deadline: float) -> list[TopicPartition]:
        """Ask until every leader answers: those of a topic that was just created do not know themselves at first."""
        doing = f"asking for the end of {self._topics.history}"
        while True:
            left_s = min(max(0.1, deadline - time.monotonic()), 30.0)
            found: list[TopicPartition] = []
            try:
                found = consumer.offsets_for_times(latest, timeout=left_s)
                error = next((each.error for each in found if each.error is not None), None)
            except KafkaException as problem:
                error = problem.args[0]
            if error is None:
                assert all(each.offset >= 0 for each in found), "or we would read from an unknown place"
                return found
            if not is_transient(error) or time.monotonic() + ASK_AGAIN_S >= deadline:
                raise wrapped(error, doing)
            with self._changed:
                if self._changed.wait_for(lambda: self._closing, ASK_AGAIN_S):
                    raise wrapped(error, doing)

    def _ask_partitions(self, consumer: Consumer, deadline: float) -> int:
        counts = {
            topic: count_partitions(consumer, topic, deadline - time.monotonic())
            for topic in (self._topics.commands, self._topics.history)
        }
        if len(set(counts.values())) != 1:
            said = ", ".join(f"{topic} has {count}" for topic, count in counts.items())
            raise TopicsMissing(
                f"The topics differ in their number of partitions: {said}.", hint="`headgate init` checks them."
            )
        return counts[self._topics.history]

    def _hear(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            if is_transient(error) or error.code() == KafkaError._PARTITION_EOF:
                return
            raise wrapped(error, f"reading {self._topics.history}")
        cause = header(message.headers(), "ce_causationid")  # type: ignore[arg-type]
        if cause is None:
            return
        command_id = cause.decode(errors="replace")
        with self._changed:
            handles = [handle for each in self._waiting.get(command_id, ()) if (handle := each()) is not None]
        if handles:
            self._tell(command_id, handles, message)

    def _tell(self, command_id: str, handles: list[CommandHandle], message: Message) -> None:
        try:
            record = decode_history(message)
            if record is None or record.kind not in _ANSWERS:
                return
            answer: Outcome | Scheduled | Checking | Forwarded = read("history", record.payload)
        except (ValueError, ValidationError) as problem:
            failure = UnreadableRecord(
                "history.invalid",
                f"The answer at {message.topic()}/{message.partition()}@{message.offset()} cannot be read.",
                hint="It may be a newer version's: upgrade this client.",
            )
            failure.__cause__ = problem
            for handle in handles:
                handle.fail(failure)
            return
        told = [handle for handle in handles if _answers(answer, handle)]
        for handle in told:
            handle.tell(answer)
        if isinstance(answer, Outcome):
            with self._changed:
                waiting = self._waiting.get(command_id, [])
                self._keep(command_id, len(waiting), [each for each in waiting if each() not in told])

    def _keep(self, command_id: str, before: int, kept: list[ReferenceType[CommandHandle]]) -> None:
        """Replace the handles that wait under an id. The lock is held."""
        self._count -= before - len(kept)
        if kept:
            self._waiting[command_id] = kept
        else:
            self._waiting.pop(command_id, None)
        self._changed.notify_all()

    def _sweep(self) -> None:
        """Let go of handles that nobody holds any more, and of those that failed. The lock is held."""
        for command_id, waiting in list(self._waiting.items()):
            kept = [each for each in waiting if (handle := each()) is not None and not handle.done]
            if len(kept) != len(waiting):
                self._keep(command_id, len(waiting), kept)

    def _fail_all(self, failure: HeadgateError) -> None:
        with self._changed:
            handles = [handle for waiting in self._waiting.values() for each in waiting if (handle := each())]
            self._waiting.clear()
            self._count = 0
            self._changed.notify_all()
        for handle in handles:
            handle.fail(failure)


def _answers(answer: Outcome | Scheduled | Checking | Forwarded, handle: CommandHandle) -> bool:
    """Say whether a record with the handle's id speaks of its command: a dry run and the real thing may share an id."""
    if answer.stream != handle.stream:
        return False
    if isinstance(answer, Outcome):
        unreadable = answer.code is not None and answer.code.startswith(_UNREADABLE_CODE)
        return unreadable or answer.dry_run == handle.dry_run
    return True
