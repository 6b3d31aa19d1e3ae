"""Dead letters that are sent again: what is remembered, what is chosen, and what a way that gives out leaves behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from headgate.ports.destination import RecordRefused, outputs_of
from headgate.worker.retrying import Choice, Letter, Portion, Promise, Trouble, retry
from headgate_events.dead_letters import (
    RETRIED_HEADERS,
    DeadLetter,
    Number,
    Retried,
    is_retried,
    read_number,
    read_retried,
)
from headgate_events.errors import HeadgateError, NotFound, UnreadableRecord
from headgate_events.records import Record

Headers = list[tuple[str, bytes]]


@dataclass
class Stored:
    """A record on the dead-letters topic."""

    at: int
    content: bytes
    carried: Headers

    def topic(self) -> str:
        return "dead-letters"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes | None:
        return None

    def value(self) -> bytes:
        return self.content

    def headers(self) -> Headers:
        return self.carried

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_000


class Shelf:
    """A dead-letters topic in memory."""

    def __init__(self, count: int, incarnation: int = 5) -> None:
        self.records: list[Record] = []
        for number in range(count):
            self.put(number, incarnation=incarnation)

    def put(self, number: int, *, attempt: int = 1, incarnation: int = 5, own: Headers | None = None) -> None:
        said = DeadLetter(
            "flights", 0, number, 1_000, "id", "transform.failed", "no", attempt, "orders", incarnation, 3, 1
        )
        self._append(b"%d" % number, [*(own or []), *said.headers()])

    def remember(self, memory: Retried) -> None:
        self._append(memory.value(), [*RETRIED_HEADERS])

    def read(self) -> Iterator[Sequence[Record]]:
        yield list(self.records)

    def _append(self, value: bytes, headers: Headers) -> None:
        self.records.append(Stored(len(self.records), value, headers))


@dataclass
class Way:
    """Sends to a list; fails where it is told to."""

    shelf: Shelf
    fails: frozenset[bytes] = frozenset()
    later: frozenset[bytes] = frozenset()
    refuses: frozenset[bytes] = frozenset()
    breaks: frozenset[bytes] = frozenset()
    to: str = "destination"
    promise: Promise = "exactly once"
    most_letters: int = 2
    arrived: list[bytes] = field(default_factory=list)
    opened: int = 0

    def open(self) -> None:
        self.opened += 1

    def prepare(self, letters: Sequence[Letter], refused: Mapping[Number, HeadgateError], /) -> Portion:
        portion = Portion()
        for letter in letters:
            value = letter.record.value()
            if letter.number in refused or value in self.fails:
                portion.failed.append(Trouble(letter, HeadgateError("no")))
            elif value in self.later:
                portion.left.append(Trouble(letter, HeadgateError("not now")))
            else:
                portion.sent.append(letter)
                portion.outputs += outputs_of([letter.record])
        return portion

    def commit(self, portion: Portion, memory: Retried) -> None:
        for output in portion.outputs:
            if output.value in self.refuses:
                raise RecordRefused("never", origin=output.origin)
            if output.value in self.breaks:
                raise HeadgateError("gone")
        self.arrived += [output.value or b"" for output in portion.outputs]
        for letter, _ in portion.failed:
            self.shelf.put(letter.said.offset, attempt=letter.said.attempt + 1)
        self.shelf.remember(memory)

    def close(self) -> None: ...


def remembering(numbers: tuple[Number, ...]) -> Retried:
    return Retried(numbers, 2_000, "ana", "mended", "destination", 7)


def sent(way: Way, choice: Choice, *, dry_run: bool = False) -> tuple[int, int, int, int]:
    result = retry(way, way.shelf.read, choice, remembering, dry_run=dry_run)  # type: ignore[arg-type]
    return result.sent, len(result.failed), len(result.left), result.already


def test_each_is_sent_once_and_a_second_retry_does_nothing() -> None:
    way = Way(Shelf(5))
    assert sent(way, Choice(5)) == (5, 0, 0, 0)
    assert sent(way, Choice(5)) == (0, 0, 0, 5)
    assert way.arrived == [b"0", b"1", b"2", b"3", b"4"]


def test_what_fails_again_is_a_new_dead_letter_that_this_retry_does_not_take() -> None:
    way = Way(Shelf(3), fails=frozenset({b"1"}))
    assert sent(way, Choice(5)) == (2, 1, 0, 0)
    assert sent(way, Choice(5)) == (0, 1, 0, 3), "the next one does"


def test_what_passes_later_stays_and_is_not_remembered() -> None:
    way = Way(Shelf(3), later=frozenset({b"1"}))
    assert sent(way, Choice(5)) == (2, 0, 1, 0)
    way.later = frozenset()
    assert sent(way, Choice(5)) == (1, 0, 0, 2)
    assert sorted(way.arrived) == [b"0", b"1", b"2"]


def test_one_that_the_destination_refuses_fails_again_and_the_others_are_sent_once() -> None:
    way = Way(Shelf(5), refuses=frozenset({b"3", b"4"}))
    assert sent(way, Choice(5)) == (3, 2, 0, 0)
    assert sorted(way.arrived) == [b"0", b"1", b"2"]
    assert way.opened == 3, "each refusal begins anew"


def test_after_an_error_the_same_call_goes_on_with_what_is_left() -> None:
    way = Way(Shelf(5), breaks=frozenset({b"3"}))
    with pytest.raises(HeadgateError, match="gone"):
        sent(way, Choice(5))
    way.breaks = frozenset()
    assert sent(way, Choice(5)) == (3, 0, 0, 2)
    assert sorted(way.arrived) == [b"0", b"1", b"2", b"3", b"4"]


def test_a_dry_run_sends_and_remembers_nothing() -> None:
    way = Way(Shelf(3), fails=frozenset({b"1"}))
    assert sent(way, Choice(5), dry_run=True) == (2, 1, 0, 0)
    assert (way.arrived, way.opened, len(way.shelf.records)) == ([], 0, 3)


def test_numbers_choose_and_one_that_is_not_there_stops_before_anything_is_sent() -> None:
    way = Way(Shelf(3))
    assert sent(way, Choice(5, frozenset({Number(0, 2)}))) == (1, 0, 0, 0)
    with pytest.raises(NotFound, match="no dead letter 0:3, 1:0"):
        # 0:3 is the memory of the first retry.
        sent(way, Choice(5, frozenset({Number(0, 1), Number(0, 3), Number(1, 0)})))
    assert way.arrived == [b"2"]


def test_those_of_an_earlier_stream_of_the_name_are_sent_only_when_they_are_named() -> None:
    way = Way(Shelf(2, incarnation=1))
    assert sent(way, Choice(5)) == (0, 0, 0, 0)
    assert sent(way, Choice(5, frozenset({Number(0, 0)}))) == (1, 0, 0, 0)


def test_a_code_chooses() -> None:
    way = Way(Shelf(2))
    assert sent(way, Choice(5, code="other.code")) == (0, 0, 0, 0)
    assert sent(way, Choice(5, code="transform.failed")) == (2, 0, 0, 0)


def test_no_source_record_passes_for_a_memory() -> None:
    shelf = Shelf(0)
    shelf.put(0, own=[*RETRIED_HEADERS])
    assert not is_retried(shelf.records[0])
    assert sent(Way(shelf), Choice(5)) == (1, 0, 0, 0)


def test_a_memory_says_what_was_remembered_and_a_torn_one_is_unreadable() -> None:
    shelf = Shelf(0)
    memory = remembering((Number(0, 12), Number(3, 4)))
    shelf.remember(memory)
    assert read_retried(shelf.records[0]) == memory
    with pytest.raises(UnreadableRecord):
        read_retried(Stored(0, b"[]", [*RETRIED_HEADERS]))


@pytest.mark.parametrize(
    ("text", "number"), [("0:7", (0, 7)), ("7", (0, 7)), ("2:0", (2, 0)), ("1:2:3", None), ("x", None), ("", None)]
)
def test_numbers_are_read_as_people_write_them(text: str, number: tuple[int, int] | None) -> None:
    assert read_number(text) == number
