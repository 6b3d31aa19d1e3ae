"""A consumer of the real Kafka: one member of a group, or a reader of given partitions.

librdkafka mixes records, ends of partitions, errors and rebalances in one queue and calls back in the middle of a poll.
Here they come apart: records and ends are what `poll` returns, errors are what it raises, and the listener is called
with records of a partition that goes away already taken out of the batch. What a listener raises would be lost with the
messages of that poll, so it is kept and raised once the poll is over. One thread owns a consumer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from confluent_kafka import OFFSET_END, OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as Place

from headgate.adapters.kafka.bounded import within
from headgate.adapters.kafka.errors import classify, not_made, translate
from headgate.adapters.kafka.settings import CLOSE_TIMEOUT_S, logger
from headgate.ports.errors import LogError, LogFatal, LogUnavailable, NotAuthorized, PositionLost, TopicMissing
from headgate.ports.log import Batch, Committed, Range, RebalanceListener, TopicPartition

SEEK_TIMEOUT_S: Final = 10.0
"""A partition that was just assigned cannot be sought in until its fetcher has started."""

NOT_STARTED: Final = "It is tried again; the broker may be away, or the partition another member's by now."
LATEST: Final = -1
"""What a broker takes for a time to mean the end: the last stable offset, where only committed records count."""
MAX_ASIDE: Final = 100_000
"""Records that may lie aside because a listener raised while they were taken. One batch, in truth."""

Wanted = Literal["nothing", "partitions", "group"]


class KafkaConsumer:
    """Implements `LogConsumer`. `cooperative` says how the group's protocol hands partitions over."""

    def __init__(self, config: Mapping[str, Any], *, cooperative: bool) -> None:
        self._cooperative = cooperative
        self._wanted: Wanted = "nothing"
        self._listener: RebalanceListener | None = None
        self._taken: list[Message] = []
        self._ends: dict[TopicPartition, int] = {}
        self._failure: BaseException | None = None
        self._paused: set[TopicPartition] = set()
        self._stopped: set[TopicPartition] = set()
        self._starts: dict[TopicPartition, int] = {}
        self._leaving = False
        self._untold: set[TopicPartition] = set()
        try:
            self._client = Consumer({**config, "error_cb": self._client_error})
        except (KafkaException, ValueError, TypeError) as error:
            raise not_made(error, "a consumer", config) from None

    def subscribe(self, topics: Sequence[str], listener: RebalanceListener) -> None:
        """Join the group; the listener hears of partitions during later polls."""
        assert self._wanted != "partitions", "a consumer either has given partitions or is a member of a group"
        self._wanted = "group"
        self._listener = listener
        self._call(
            "subscribing",
            lambda: self._client.subscribe(
                list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            ),
        )

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read exactly these partitions from these positions on."""
        assert self._wanted != "group", "a consumer either has given partitions or is a member of a group"
        self._wanted = "partitions"
        self._forget(lambda _: True)
        self._paused.clear()
        self._stopped.clear()
        self._starts = dict(positions)
        places = [Place(*each, position) for each, position in positions.items()]
        self._call("assigning partitions", lambda: self._client.assign(places))

    def poll(self, max_records: int, timeout_s: float) -> Batch:
        """Wait for one record, then take what is there."""
        self._raise_failure()
        aside: list[Message] = []
        if self._taken:
            aside = [message for message in self._taken if _where(message) in self._paused]
            self._taken = [message for message in self._taken if _where(message) not in self._paused]
        room = max_records - len(self._taken)
        try:
            if room > 0:
                first = self._client.poll(0 if self._taken else timeout_s)
                if first is not None:
                    self._take([first])
                    if room > 1 and self._failure is None:
                        self._take(self._client.consume(min(room - 1, MAX_ASIDE), 0))
        except (KafkaException, RuntimeError) as error:
            self._failure = self._failure or translate(error, "reading")
        if self._failure is not None and (not self._taken or not isinstance(self._failure, LogError)):
            self._taken = aside + self._taken
            self._raise_failure()
        records, self._taken = self._taken, aside
        ends, self._ends = self._ends, {}
        return Batch(records, ends)

    def assignment(self) -> Sequence[TopicPartition]:
        """Return the partitions that this consumer reads now."""
        places = self._call("listing the assignment", self._client.assignment)
        return [TopicPartition(each.topic, each.partition) for each in places]

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop fetching from partitions; they must be assigned."""
        named = list(partitions)
        self._call("pausing partitions", lambda: self._client.pause([Place(*each) for each in named]))
        self._paused.update(named)
        for each in named:
            self._ends.pop(each, None)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Go on fetching from partitions."""
        named = list(partitions)
        self._call("resuming partitions", lambda: self._client.resume([Place(*each) for each in named]))
        self._paused.difference_update(named)

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Go on at these positions. Raises LogUnavailable when a partition's fetcher does not start in time."""
        self._forget(lambda each: each in positions)
        deadline = time.monotonic() + SEEK_TIMEOUT_S
        self._starts.update(positions)
        stopped = {each: position for each, position in positions.items() if each in self._stopped}
        for each, position in positions.items():
            if each not in stopped:
                self._seek_one(Place(*each, position), deadline)
        if stopped:
            self._start_again(stopped)

    def committed(self, partitions: Sequence[TopicPartition], timeout_s: float) -> Mapping[TopicPartition, Committed]:
        """Return the group's committed positions, waiting for transactions that are about to change them."""
        asked = [Place(*each) for each in partitions]
        if not asked:
            return {}
        answers = self._call("reading committed positions", lambda: self._client.committed(asked, timeout_s))
        found = {}
        for place in answers:
            if place.error is not None:
                raise translate(place.error, "reading committed positions")
            if place.offset >= 0:
                found[TopicPartition(place.topic, place.partition)] = Committed(place.offset, place.metadata or "")
        return found

    def commit(self, positions: Mapping[TopicPartition, Committed], timeout_s: float) -> None:  # noqa: ARG002
        """Commit and wait for the answer. Raises StaleMember when the group has replaced this member.

        The library's commit takes no bound and cannot be left behind on another thread, since any other call would
        wait for it. It gives up by itself: after the session timeout without a coordinator, and after the request
        timeout without an answer.
        """
        if not positions:
            return
        places = [Place(*each, wanted.position, wanted.metadata) for each, wanted in positions.items()]
        doing = "committing positions"
        answers = self._call(doing, lambda: self._client.commit(offsets=places, asynchronous=False))
        for place in answers or []:
            if place.error is not None:
                raise translate(place.error, doing)

    def range(self, partition: TopicPartition, timeout_s: float) -> Range:
        """Ask the broker for the first offset and the end."""
        doing = f"asking what {partition.topic} partition {partition.partition} holds"
        try:
            marks = self._call(doing, lambda: self._client.get_watermark_offsets(Place(*partition), timeout_s))
        except TopicMissing as missing:
            if self._is_gone(partition, timeout_s):
                raise
            # Without a leader, as while its broker stops or starts, a partition is unknown to the client, too.
            raise LogUnavailable(missing.message, hint=NOT_STARTED) from missing
        if marks is None:
            raise LogUnavailable(
                f"{doing[:1].upper()}{doing[1:]} took longer than {timeout_s:g} s.",
                hint="Check that the brokers run and can be reached.",
            )
        return Range(*marks)

    def ends(self, partitions: Sequence[TopicPartition], timeout_s: float) -> Mapping[TopicPartition, int]:
        """Return the ends: one request to each broker, where `range` takes some for each partition."""
        return self.at_time(partitions, LATEST, timeout_s)

    def at_time(
        self, partitions: Sequence[TopicPartition], timestamp_ms: int, timeout_s: float
    ) -> Mapping[TopicPartition, int]:
        """Return the first offsets at or after a time, or the ends where there are none."""
        deadline = time.monotonic() + timeout_s
        doing = "looking offsets up by time"
        asked = [Place(each.topic, each.partition, timestamp_ms) for each in partitions]
        if not asked:
            return {}
        answers = self._call(doing, lambda: self._client.offsets_for_times(asked, timeout_s))
        found = {}
        for place in answers:
            each = TopicPartition(place.topic, place.partition)
            if place.error is not None and classify(place.error) is not TopicMissing:
                raise translate(place.error, doing)
            if place.error is None and place.offset >= 0:
                found[each] = place.offset
            else:
                found[each] = self.range(each, max(0.1, deadline - time.monotonic())).end
        return found

    def seen_high(self, partition: TopicPartition) -> int | None:
        """Return what the client remembers; the library gives the high watermark here under either isolation."""
        marks = self._call(
            "looking at a partition's end", lambda: self._client.get_watermark_offsets(Place(*partition), cached=True)
        )
        return None if marks is None or marks[1] < 0 else int(marks[1])

    def group_metadata(self) -> Any:
        """Return the token of this membership; ask anew for every transaction, since each rebalance changes it."""
        return self._call("reading the group's metadata", self._client.consumer_group_metadata)

    def close(self) -> None:
        """Leave the group and stop. Raises LogError when that hangs; the process then has to end with an error."""
        if self._wanted == "group":
            self._leave(time.monotonic() + CLOSE_TIMEOUT_S)
        self._listener = None
        try:
            within(CLOSE_TIMEOUT_S, self._client.close, "closing a consumer")
        except (KafkaException, RuntimeError) as error:
            raise translate(error, "closing a consumer") from error
        finally:
            self._wanted = "nothing"
            self._forget(lambda _: True)
        if self._failure is not None and not isinstance(self._failure, LogError):
            self._raise_failure()

    def _leave(self, deadline: float) -> None:
        """Give the partitions up in good order: the listener hears of it on this thread, not inside the close.

        What a rebalance that was under way still assigns is given back unread: its owner has let go already.
        """
        self._leaving = True
        try:
            self._client.unsubscribe()
            while self._client.assignment() and time.monotonic() < deadline:
                self._client.poll(0.05)
        except (KafkaException, RuntimeError) as error:
            logger.warning("leaving the group: %s", error)

    def _take(self, messages: Sequence[Message]) -> None:
        """Sort what came. This is the hot path: a batch of nothing but records costs one call for each."""
        errors = [message for message in messages if message.error() is not None]
        if not errors and not self._ends:
            self._taken.extend(messages)
            return
        for message in messages:
            error = message.error()
            if error is None:
                self._taken.append(message)
                self._ends.pop(_where(message), None)
            elif error.code() == KafkaError._PARTITION_EOF:
                offset = message.offset()
                assert offset is not None, "the end of a partition has an offset"
                self._ends[_where(message)] = offset
            else:
                failure = _message_error(message, error)
                if isinstance(failure, PositionLost):
                    self._stopped.add(TopicPartition(failure.topic, failure.partition))
                self._failure = self._failure or failure

    def _forget(self, of: Callable[[TopicPartition], bool]) -> None:
        self._taken = [message for message in self._taken if not of(_where(message))]
        self._ends = {each: offset for each, offset in self._ends.items() if not of(each)}

    def _seek_one(self, place: Place, deadline: float) -> None:
        while True:
            try:
                self._client.seek(place)
            except (KafkaException, RuntimeError) as error:
                not_started = isinstance(error, KafkaException) and error.args[0].code() in {
                    KafkaError._STATE,
                    KafkaError._IN_PROGRESS,
                    KafkaError._PREV_IN_PROGRESS,
                }
                doing = f"going to position {place.offset} of {place.topic}"
                if not not_started:
                    raise translate(error, doing) from error
                if time.monotonic() > deadline:
                    # Perhaps the group has gone on without us, which only a poll tells.
                    raise LogUnavailable(translate(error, doing).message, hint=NOT_STARTED) from error
                time.sleep(0.005)
            else:
                return

    def _start_again(self, positions: Mapping[TopicPartition, int]) -> None:
        """Assign partitions anew: one whose position was lost is stopped, and cannot be sought in."""
        doing = "assigning partitions again"
        places = [Place(*each, position) for each, position in positions.items()]
        if self._cooperative or self._wanted == "partitions":
            self._call(doing, lambda: self._client.incremental_unassign(places))
            self._call(doing, lambda: self._client.incremental_assign(places))
        else:
            # An eager member can only be assigned everything at once, so the others have to go on where they are.
            others = [Place(*each) for each in self.assignment() if each not in positions]
            for place in self._call(doing, lambda: self._client.position(others)) if others else []:
                if place.offset < 0:  # nothing was delivered since it was assigned or sought in
                    place.offset = self._starts[TopicPartition(place.topic, place.partition)]
                places.append(place)
            self._call(doing, lambda: self._client.assign(places))
        paused = [place for place in places if (place.topic, place.partition) in self._paused]
        self._call(doing, lambda: self._client.pause(paused))
        self._stopped.difference_update(positions)

    def _is_gone(self, partition: TopicPartition, timeout_s: float) -> bool:
        """Whether the cluster says that a partition does not exist. No answer says nothing."""
        try:
            known = self._client.list_topics(partition.topic, timeout_s).topics[partition.topic]
        except (KafkaException, RuntimeError):
            return False
        if known.error is not None:
            return classify(known.error) is TopicMissing
        return partition.partition not in known.partitions

    def _call(self, doing: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (KafkaException, RuntimeError, ValueError, TypeError) as error:
            raise translate(error, doing) from error

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _client_error(self, error: KafkaError) -> None:
        """Keep what concerns the whole client; that one connection broke is in the log already."""
        if error.code() == KafkaError._TRANSPORT or error.code() == KafkaError._RESOLVE:
            return
        if error.fatal() or issubclass(classify(error), LogUnavailable | NotAuthorized | LogFatal):
            self._failure = self._failure or translate(error, "reading")

    def _on_assign(self, _: Consumer, places: list[Place]) -> None:
        named = [TopicPartition(each.topic, each.partition) for each in places]
        starts: Mapping[TopicPartition, int] = {}
        told = None
        if self._leaving:
            self._untold.update(named)
        else:
            told = self._tell(lambda listener: listener.assigned(named), {})
        if told is not None:
            starts = told
        # Where the listener raised, its owner seeks before anything is read; a look at the group's positions meanwhile
        # would end the partition where there are none.
        otherwise = OFFSET_INVALID if told is not None else OFFSET_END
        self._starts.update({each: starts.get(each, otherwise) for each in named})
        chosen = [Place(*each, self._starts[each]) for each in named]
        self._paused.difference_update(named)
        if self._cooperative:
            self._client.incremental_assign(chosen)
        else:
            self._client.assign(chosen)
        if told is None:
            # Its owner is not ready, so nothing may be delivered before the error has been dealt with.
            self._client.pause(chosen)
        else:
            # A partition that was paused when it went away comes back paused, which nobody here knows of.
            self._client.resume(chosen)

    def _on_revoke(self, _: Consumer, places: list[Place]) -> None:
        named = [TopicPartition(each.topic, each.partition) for each in places]
        if known := self._told(named):
            self._tell(lambda listener: listener.revoked(known), None)
        self._give_up(places, named)

    def _on_lost(self, _: Consumer, places: list[Place]) -> None:
        named = [TopicPartition(each.topic, each.partition) for each in places]
        if known := self._told(named):
            self._tell(lambda listener: listener.lost(known), None)
        self._give_up(places, named)

    def _told(self, named: list[TopicPartition]) -> list[TopicPartition]:
        """Leave out what the listener never heard of."""
        known = [each for each in named if each not in self._untold]
        self._untold.difference_update(named)
        return known

    def _give_up(self, places: list[Place], named: list[TopicPartition]) -> None:
        gone = set(named)
        self._forget(gone.__contains__)
        self._paused -= gone
        self._stopped -= gone
        if self._cooperative:
            self._client.incremental_unassign(places)
        else:
            self._client.unassign()

    def _tell(self, call: Callable[[RebalanceListener], Any], otherwise: Any) -> Any:
        """Call the listener; keep what it raises until the poll is over, and return None then."""
        if self._listener is None:
            return otherwise
        try:
            return call(self._listener)
        except BaseException as error:  # noqa: BLE001 - raised by poll, outside the library's callback
            self._failure = error
            return None


def _where(message: Message) -> TopicPartition:
    topic, partition = message.topic(), message.partition()
    assert topic is not None, "a consumed message has a topic and a partition"
    assert partition is not None, "a consumed message has a topic and a partition"
    return TopicPartition(topic, partition)


def _message_error(message: Message, error: KafkaError) -> LogError:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    at = TopicPartition(topic, partition) if topic is not None and partition is not None and partition >= 0 else None
    position = offset if offset is not None and offset >= 0 else None
    return translate(error, f"reading {topic}" if topic else "reading", at=at, position=position)
