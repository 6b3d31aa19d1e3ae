"""Retrying dead letters: each is sent once more, once, and that it was is remembered among them.

There are two ways. Through the transform: what the stream's present transform makes of the record goes to the stream's
destination. Back to the source: the record goes to the source's topic once more, and takes its way through the stream
like any other. The first is not open to a destination that keeps the positions itself: its commit is a step from one
position to the next, and a dead letter has none to take. The second is open to every destination.

Where outputs and memory are one transaction of the source's cluster, a retry happens exactly once, even if two people
ask for it at the same time: both have the same transactional id, so whoever initialises it second fences the first,
ends what that one left open, and only then reads what is remembered, up to what was the end of the topic. Elsewhere
the memory is written after the outputs are durable: at least once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal, NamedTuple, Protocol

from headgate.ports.destination import (
    BoundsBatches,
    Destination,
    Output,
    RecordRefused,
    TakesAside,
    outputs_of,
)
from headgate.ports.errors import LogError
from headgate.ports.log import Log, LogProducer
from headgate.session import TransactionalSession
from headgate.worker.dead_letters import FLUSH_S, DeadLetters
from headgate.worker.pipeline import Means, Pipeline
from headgate.worker.view import View
from headgate_events.dead_letters import (
    PREFIX,
    RETRIED_HEADERS,
    DeadLetter,
    Number,
    Retried,
    is_retried,
    number_of,
    original_headers,
    read_dead_letter,
    read_retried,
)
from headgate_events.errors import HeadgateError, NotFound, UnreadableRecord
from headgate_events.records import Record

MOST_LETTERS: Final = 200
MOST_BYTES: Final = 8 * 1024 * 1024
"""What is sent at once: a transaction's size, and the bound on memory."""
TRANSACTION_TIMEOUT_MS: Final = 30_000
ONE_PRODUCER_MS: Final = 100
"""A commit interval at which a destination takes one transactional producer, so that there is one id to fence."""
Promise = Literal["exactly once", "at least once"]
Read = Callable[[], Iterable[Sequence[Record]]]
"""Reads the dead-letters topic from its beginning to what was its end when asked."""


class RetryRefused(HeadgateError):
    """Dead letters that cannot be sent again in the way that was asked for. The sentence says why."""

    code: ClassVar[str] = "stream.cannot_retry"


class Original:
    """The record that was set aside, as it was read from the source."""

    def __init__(self, said: DeadLetter, record: Record) -> None:
        self._said = said
        self._key, self._value = record.key(), record.value()
        self._headers = original_headers(record)

    def topic(self) -> str:
        return self._said.topic

    def partition(self) -> int:
        return self._said.partition

    def offset(self) -> int:
        return self._said.offset

    def key(self) -> bytes | None:
        return self._key  # type: ignore[no-any-return]

    def value(self) -> bytes | None:
        return self._value  # type: ignore[no-any-return]

    def headers(self) -> list[tuple[str, bytes | str | None]]:
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return (1 if self._said.timestamp_ms else 0, self._said.timestamp_ms)


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter: its number, what it says, and the record as it was."""

    number: Number
    said: DeadLetter
    record: Original

    @property
    def size_bytes(self) -> int:
        return len(self.record.key() or b"") + len(self.record.value() or b"")


class Trouble(NamedTuple):
    """A dead letter that was not sent, and why."""

    letter: Letter
    error: HeadgateError


@dataclass(slots=True)
class Portion:
    """What is sent at once. `failed` become dead letters again; `left` stay what they are."""

    outputs: list[Output] = field(default_factory=list)
    sent: list[Letter] = field(default_factory=list)
    failed: list[Trouble] = field(default_factory=list)
    left: list[Trouble] = field(default_factory=list)

    @property
    def done(self) -> list[Letter]:
        """What is remembered as retried."""
        return [*self.sent, *(each.letter for each in self.failed)]


class Way(Protocol):
    """Where dead letters are sent, and how the memory of it is kept."""

    @property
    def to(self) -> Literal["destination", "source"]: ...

    @property
    def promise(self) -> Promise: ...

    @property
    def most_letters(self) -> int: ...

    def open(self) -> None:
        """Begin, or begin anew: whoever retried before is fenced where that can be. Raises LogError."""
        ...

    def prepare(self, letters: Sequence[Letter], refused: Mapping[Number, HeadgateError], /) -> Portion:
        """Work out what would be sent, without sending. `refused` are known to fail at the destination."""
        ...

    def commit(self, portion: Portion, memory: Retried) -> None:
        """Send a portion and the memory of it. Raises RecordRefused, and then nothing of it counts; or LogError."""
        ...

    def close(self) -> None: ...


class ThroughTransform:
    """Through the stream's present transform to its destination."""

    to: Final = "destination"

    def __init__(self, pipeline: Pipeline, view: View, means: Means, topic: str) -> None:
        context = dataclasses.replace(
            pipeline.context,
            transactional_id=transactional_id(means.options.namespace, view),
            commit_interval_ms=max(ONE_PRODUCER_MS, pipeline.context.commit_interval_ms),
        )
        destination: Destination = pipeline.destination.destination(pipeline.destination_settings, context)
        if destination.positions_in == "destination":
            raise RetryRefused(
                f"The destination of {view.stream} ({pipeline.config.destination.kind}) keeps positions together with "
                "records, so nothing can be written beside the stream.",
                hint="Send the records back to the stream's source: --to-source.",
            )
        self._pipeline, self._view, self._destination = pipeline, view, destination
        self._letters = DeadLetters(means.log, topic, destination)
        inside = isinstance(destination, TakesAside) and destination.positions_in == "source_transaction"
        self.promise: Promise = "exactly once" if inside else "at least once"
        most = destination.most_records if isinstance(destination, BoundsBatches) else MOST_LETTERS
        self.most_letters = max(1, min(MOST_LETTERS, most))

    def open(self) -> None:
        """Open the destination."""
        self._destination.open()

    def prepare(self, letters: Sequence[Letter], refused: Mapping[Number, HeadgateError]) -> Portion:
        """Run the transform on each. Raises TransformFailed where it asks for the stream to stop."""
        portion = Portion()
        transform = self._pipeline.transform
        for letter in letters:
            if (error := refused.get(letter.number)) is not None:
                portion.failed.append(Trouble(letter, error))
                continue
            if transform is None:
                outputs = outputs_of([letter.record])
            else:
                outputs, _, failure = transform.run([letter.record])
                if failure is not None:
                    if failure.stops:
                        raise failure
                    (portion.left if failure.later else portion.failed).append(Trouble(letter, failure))
                    continue
            portion.outputs += outputs
            portion.sent.append(letter)
        return portion

    def commit(self, portion: Portion, memory: Retried) -> None:
        """Write outputs, what failed again, and the memory; in one transaction where there is one."""
        if portion.outputs:
            self._destination.write(portion.outputs)
        if self.promise == "at least once":
            self._destination.commit({}, None)
        for letter, error in portion.failed:
            self._letters.write(
                letter.record, error, self._view, self._pipeline.revision, tried=max(1, letter.said.attempt)
            )
        self._letters.remember(memory)
        if self.promise == "exactly once":
            self._destination.commit({}, None)
        self._letters.flush()
        self._letters.committed()

    def close(self) -> None:
        """Let go of the destination."""
        self._letters.close()
        self._destination.close()


class ToSource:
    """Back to the topic that the stream reads, into the same partition, with the record's own timestamp.

    A header says how often the record was tried, so that a next dead letter goes on counting.
    """

    to: Final = "source"
    most_letters: Final = MOST_LETTERS

    def __init__(self, view: View, means: Means, topic: str) -> None:
        settings = view.config["source"]
        if settings["kind"] != "kafka":
            raise RetryRefused(f"The source of {view.stream} is {settings['kind']}, where nothing can be sent back to.")
        self._source_topic: str = settings["topic"]
        self._topic, self._log = topic, means.log
        connection = settings.get("connection")
        self._cluster: Log | None = None if connection is None else means.connections.cluster(connection)
        self._session = TransactionalSession(
            means.log, transactional_id(means.options.namespace, view), timeout_ms=TRANSACTION_TIMEOUT_MS
        )
        self._producer: LogProducer | None = None
        self.promise: Promise = "exactly once" if connection is None else "at least once"

    def open(self) -> None:
        """Fence whoever retries at the same time."""
        self._session.open()
        if self._cluster is not None:
            self._drop_producer()
            self._producer = self._cluster.producer(failures_only=True)

    def prepare(self, letters: Sequence[Letter], _refused: Mapping[Number, HeadgateError], /) -> Portion:
        """Take those whose topic is still the stream's source; the others are left."""
        portion = Portion()
        for letter in letters:
            if letter.said.topic != self._source_topic:
                error = RetryRefused(
                    f"It came from {letter.said.topic}, and the stream reads {self._source_topic} now.",
                    hint="`headgate dead-letters export` gives it out.",
                )
                portion.left.append(Trouble(letter, error))
                continue
            (output,) = outputs_of([letter.record])
            tried = (f"{PREFIX}attempt", str(letter.said.attempt).encode())
            headers = [*letter.record.headers(), tried]
            portion.outputs.append(output._replace(headers=headers, partition=letter.said.partition))
            portion.sent.append(letter)
        return portion

    def commit(self, portion: Portion, memory: Retried) -> None:
        """Produce them and the memory; in one transaction where the source is on this cluster."""
        if self._producer is not None:
            for output in portion.outputs:
                self._producer.produce(self._source_topic, *_produced(output))
            self._producer.flush(FLUSH_S)
        transaction = self._session.begin()
        try:
            if self._producer is None:
                for output in portion.outputs:
                    transaction.produce(self._source_topic, *_produced(output))
            transaction.produce(self._topic, memory.value(), None, [*RETRIED_HEADERS], None, memory.at_ms)
        except LogError:
            self._session.doubt()
            raise
        self._session.commit({}, None)

    def close(self) -> None:
        """Let go of the producers."""
        self._session.close()
        self._drop_producer()

    def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.close()


@dataclass(frozen=True, slots=True)
class Choice:
    """Which dead letters: those with these numbers, or all of the stream's present incarnation, or those of a code.

    Dead letters of an earlier stream of the same name are sent only when they are named.
    """

    incarnation: int
    numbers: frozenset[Number] | None = None
    code: str | None = None

    def takes(self, letter: Letter) -> bool:
        """Say whether a dead letter was meant."""
        if self.numbers is not None:
            return letter.number in self.numbers
        return letter.said.incarnation == self.incarnation and self.code in {None, letter.said.code}


@dataclass(slots=True)
class Known:
    """What the topic holds: which were retried, where each partition ended, which named ones are there."""

    retried: dict[Number, Retried] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    seen: set[Number] = field(default_factory=set)


@dataclass(slots=True)
class Result:
    """What came of a retry. `already` were meant, and had been retried before."""

    sent: int = 0
    outputs: int = 0
    failed: list[Trouble] = field(default_factory=list)
    left: list[Trouble] = field(default_factory=list)
    already: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether everything that was meant was sent."""
        return not self.failed and not self.left


def transactional_id(namespace: str, view: View) -> str:
    """Name whoever retries dead letters of a stream: the same for all, so that the later fences the earlier."""
    return f"{namespace}.{view.stream}.{view.incarnation}.dead-letters"


def retry(
    way: Way, read: Read, choice: Choice, remembering: Callable[[tuple[Number, ...]], Retried], *, dry_run: bool
) -> Result:
    """Send what was chosen and is not yet remembered as sent, in portions. Raises NotFound, or what the way raises.

    After an error, what was sent until then is remembered: the same call goes on from there.
    """
    result = Result()
    refused: dict[Number, HeadgateError] = {}
    before: Known | None = None
    while True:
        if not dry_run:
            way.open()
        known = look(read(), choice)
        if before is None:
            _check_all_there(choice, known)
            before = known
        result.left.clear()
        result.already = 0
        for letters in _portions(_meant(read(), choice, known, before, result), way.most_letters):
            portion = way.prepare(letters, refused)
            if portion.done and not dry_run:
                try:
                    way.commit(portion, remembering(tuple(letter.number for letter in portion.done)))
                except RecordRefused as error:
                    number = next((each.number for each in letters if each.record is error.origin), None)
                    if number is None or number in refused:
                        raise
                    refused[number] = error
                    break
            result.sent += len(portion.sent)
            result.outputs += len(portion.outputs)
            result.failed += portion.failed
            result.left += portion.left
        else:
            return result


def look(batches: Iterable[Sequence[Record]], choice: Choice | None = None) -> Known:
    """Read the whole topic for what is remembered. What cannot be read says nothing."""
    known = Known()
    wanted = choice.numbers if choice is not None else None
    for batch in batches:
        for record in batch:
            number = number_of(record)
            known.ends[number.partition] = number.offset + 1
            if is_retried(record):
                try:
                    memory = read_retried(record)
                except UnreadableRecord:
                    continue
                for each in memory.numbers:
                    known.retried.setdefault(each, memory)
            elif wanted is not None and number in wanted:
                known.seen.add(number)
    return known


def letter_from(record: Record) -> Letter | None:
    """Return the dead letter that a record is; None for anything else on its topic."""
    if is_retried(record):
        return None
    try:
        said = read_dead_letter(record)
    except UnreadableRecord:
        return None
    return Letter(number_of(record), said, Original(said, record))


def _check_all_there(choice: Choice, known: Known) -> None:
    missing = sorted((choice.numbers or frozenset()) - known.seen)
    if missing:
        named = ", ".join(map(str, missing[:5]))
        raise NotFound(f"There is no dead letter {named}.", hint="See `headgate dead-letters list`.")


def _meant(
    batches: Iterable[Sequence[Record]], choice: Choice, known: Known, before: Known, result: Result
) -> Iterator[Letter]:
    """Yield what is to be sent, up to the end that was looked at `before`: what fails again lies behind it."""
    for batch in batches:
        for record in batch:
            letter = letter_from(record)
            if letter is None or letter.number.offset >= before.ends.get(letter.number.partition, 0):
                continue
            if not choice.takes(letter):
                continue
            if letter.number not in known.retried:
                yield letter
            elif letter.number in before.retried:
                result.already += 1


def _portions(letters: Iterable[Letter], most: int) -> Iterator[list[Letter]]:
    portion: list[Letter] = []
    size = 0
    for letter in letters:
        if portion and (len(portion) >= most or size + letter.size_bytes > MOST_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(letter)
        size += letter.size_bytes
    if portion:
        yield portion


def _produced(
    output: Output,
) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes | str | None]], int | None, int]:
    return output.value, output.key, list(output.headers or ()), output.partition, output.timestamp_ms
