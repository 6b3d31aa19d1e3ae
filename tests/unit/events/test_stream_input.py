"""`StreamInput` around a consumer whose group rebalances, which is played by a script: no broker is asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, cast

import orjson
import pytest
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from headgate.adapters.memory.record import MemoryRecord
from headgate_events import EnvironmentProblem, StreamInput
from headgate_events.client import writers
from headgate_events.markers import marker_record
from headgate_events.schema.workers import Marker
from tests.support.markers import marker
from tests.support.stream_input import shown

TOPIC = "t"
STATE = {
    "status": "RUNNING",
    "incarnation": 1,
    "config": {"destination": {"kind": "kafka", "topic": TOPIC}},
    "partitions": {"source": 1},
}
Rebalance = Callable[[], None]


class Member:
    """A consumer of a group: `met` is what its calls meet, in order. None: nothing is there for now."""

    def __init__(self) -> None:
        self.met: deque[Message | Rebalance | None] = deque()
        self.owned: list[int] = []
        self.calls = 0
        self.revoked: Callable[[Any, list[TopicPartition]], None] | None = None

    def gets(self, *partitions: int) -> Rebalance:
        return lambda: self.owned.extend(partitions)

    def loses(self, *partitions: int) -> Rebalance:
        def lose() -> None:
            if self.revoked is not None:
                self.revoked(self, [TopicPartition(TOPIC, each) for each in partitions])
            self.owned = [each for each in self.owned if each not in partitions]

        return lose

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(TOPIC, each) for each in self.owned]

    def poll(self, _timeout_s: float) -> Message | None:
        self.calls += 1
        while self.met:
            met = self.met.popleft()
            if callable(met):
                met()
            else:
                return met
        return None

    def consume(self, at_most: int, timeout_s: float) -> list[Message]:
        found: list[Message] = []
        while len(found) < at_most and (message := self.poll(timeout_s)) is not None:
            found.append(message)
        return found


class Beside:
    """A topic that is read beside the consumer: the states, or heartbeats that nobody sent."""

    def __init__(self, _servers: str, topic: str, _kafka: Any) -> None:
        self._records = [_record(b"a", orjson.dumps(STATE))] if topic.endswith(".state") else []

    def partitions(self, _timeout_s: float) -> int:
        return 1

    def start(self, positions: Any) -> None: ...

    def to_now(self, _timeout_s: float) -> Iterator[list[MemoryRecord]]:
        yield self._records

    def poll(self) -> list[MemoryRecord]:
        return []

    def close(self) -> None: ...


class Markers:
    """The markers topic, read one record at a time. `open` says that a transaction stands there which is not ended."""

    def __init__(self) -> None:
        self.records: list[MemoryRecord] = []
        self.open = False
        self._position = 0

    def say(self, *said: Marker) -> None:
        for each in said:
            made = marker_record("markers", 1, each.model_dump(mode="json") | {"kind": "marker"})
            self.records.append(_record(made.key, made.value, len(self.records), made.headers))

    def abort(self) -> None:
        self.open = False
        self.records.append(_record(b"", b"", len(self.records)))

    def partitions(self) -> int:
        return 1

    def begin(self, positions: Mapping[int, int | None]) -> None:
        self._position = positions[0] or 0

    def read(self, _wait_s: float) -> tuple[Sequence[MemoryRecord], Mapping[int, int]]:
        found = self.records[self._position : self._position + 1]
        self._position += len(found)
        return found, {}

    def ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        return dict.fromkeys(partitions, len(self.records) + self.open)

    def close(self) -> None: ...


class Program:
    """A program: its consumer, its input, and the markers topic of its namespace."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.member, self.markers = Member(), Markers()
        monkeypatch.setattr(writers, "TopicReader", Beside)
        monkeypatch.setattr(writers, "KafkaMarkersTopic", lambda *_: self.markers)
        self.input = StreamInput("nowhere:1", cast("Consumer", self.member), TOPIC)
        self.member.revoked = self.input.revoked

    def meets(self, *met: Message | Rebalance | None) -> list[Any]:
        """Poll once, and return what came out of it, each with its partition."""
        self.member.met.extend(met)
        found = self.input.poll(0.05)
        return [(each.partition() if isinstance(each, Message) else each.partition, shown(each)) for each in found]

    def now(self) -> tuple[str, int | None]:
        return self.input.status(), self.input.watermark_ms()


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(monkeypatch)


def record(partition: int, offset: int) -> Message:
    return _message(partition, offset, value=f"{partition}.{offset}".encode())


def end(partition: int, offset: int) -> Message:
    return _message(partition, offset, error=KafkaError(KafkaError._PARTITION_EOF))


def covering(status: str, ends: dict[int, int], watermark: int | None = None, **more: Any) -> Marker:
    return marker(status, {str(partition): end for partition, end in ends.items()}, watermark, **more)


def _message(partition: int, offset: int, **more: Any) -> Message:
    make: Any = Message
    return cast("Message", make(topic=TOPIC, partition=partition, offset=offset, **more))


def _record(key: bytes, value: bytes, offset: int = 0, headers: Any = None) -> MemoryRecord:
    return MemoryRecord("beside", 0, offset, key, value, headers, (1, 0))


def test_a_member_without_partitions_is_idle_and_each_that_it_gets_begins_active(program: Program) -> None:
    assert program.meets() == []
    assert (program.now(), program.input.partitions) == (("IDLE", None), frozenset())
    program.markers.say(covering("IDLE", {0: 1, 1: 0}, 10))
    assert program.meets(program.member.gets(0, 1), record(0, 0), None) == [(0, "0.0"), (0, 10), (0, "IDLE")]
    assert program.now() == ("ACTIVE", None), "partition 1 has not reported"
    assert program.meets(end(1, 0)) == [(1, 10), (1, "IDLE")]
    assert program.now() == ("IDLE", 10)


def test_a_partition_that_comes_back_is_active_before_all_else_and_its_watermark_does_not_go_back(
    program: Program,
) -> None:
    program.markers.say(covering("IDLE", {0: 1}, 10))
    program.meets(program.member.gets(0), record(0, 0), end(0, 1), None)
    assert program.meets(program.member.loses(0)) == []
    assert program.now() == ("IDLE", 10)
    program.markers.say(covering("ACTIVE", {0: 1}, 3, claim=2), covering("ACTIVE", {0: 3}, 12, claim=2, seq=1))
    assert program.meets(program.member.gets(0)) == [(0, "ACTIVE")], "before anything of it was fetched"
    assert program.now() == ("ACTIVE", 10)
    assert program.meets(record(0, 1), record(0, 2), end(0, 3)) == [(0, "0.1"), (0, "0.2"), (0, 12)]
    assert program.now() == ("ACTIVE", 12)


@pytest.mark.parametrize("hooked", [True, False])
def test_one_that_went_and_came_back_in_one_call_is_read_anew_from_where_it_was_committed(
    program: Program, hooked: bool
) -> None:
    if not hooked:
        program.member.revoked = None
    program.markers.say(covering("IDLE", {0: 2}, 10))
    program.meets(program.member.gets(0), record(0, 0), record(0, 1), end(0, 2), None)
    lost_and_back = (program.member.loses(0), program.member.gets(0))
    assert program.meets(*lost_and_back, record(0, 1)) == [(0, "ACTIVE"), (0, "0.1"), (0, 10), (0, "IDLE")]


def test_what_was_fetched_of_a_partition_that_goes_away_meanwhile_does_not_come_out(program: Program) -> None:
    program.meets(program.member.gets(0, 1))
    assert program.meets(record(0, 0), program.member.loses(0), record(1, 0)) == [(1, "1.0")]
    program.member.revoked = None
    assert program.meets(record(1, 1), program.member.loses(1), None) == [], "also without a hook"
    assert program.input.put([record(1, 2)], 0.0) == []


def test_while_records_wait_for_markers_the_group_hears_of_the_member_and_what_it_loses_waits_no_longer(
    program: Program,
) -> None:
    program.meets(program.member.gets(0, 1))
    program.markers.open = True
    assert program.meets(record(0, 0), record(1, 0), None) == []
    assert program.meets(record(0, 1), record(1, 1)) == []
    calls = program.member.calls
    assert program.meets(program.member.loses(0)) == []
    assert program.member.calls > calls
    program.markers.abort()
    assert program.meets(None) == [(1, "1.0")]
    assert program.meets() == [(1, "1.1")]


def test_a_partition_that_is_met_at_its_end_says_no_idle_before_the_newest_marker_was_read(program: Program) -> None:
    program.markers.say(covering("IDLE", {0: 0}), covering("ACTIVE", {0: 0}, 5, seq=1))
    assert program.meets(program.member.gets(0), end(0, 7), None) == [(0, 5)]
    assert program.now() == ("ACTIVE", 5)


def test_a_rebalance_shows_as_a_whole(program: Program) -> None:
    program.markers.say(covering("ACTIVE", {0: 1, 1: 0, 2: 9}, 3), covering("IDLE", {0: 9, 1: 0, 2: 9}, 10, seq=1))
    program.meets(program.member.gets(0, 1), record(0, 0), end(1, 0), None)
    assert program.now() == ("ACTIVE", 3)
    program.meets(program.member.loses(0), program.member.gets(2), None)
    assert program.now() == ("ACTIVE", 3), "partition 1 is idle at 10, and 2 was not read yet"
    program.meets(end(2, 9))
    assert program.now() == ("IDLE", 10)


def test_an_error_among_the_fetched_is_raised_and_costs_nothing_of_what_came_with_it(program: Program) -> None:
    program.meets(program.member.gets(0))
    denied = _message(0, -1, error=KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    with pytest.raises(EnvironmentProblem):
        program.meets(record(0, 0), denied, record(0, 1), None)
    assert program.meets() == [(0, "0.0"), (0, "0.1")]


def test_a_member_that_was_away_for_too_long_goes_on_with_what_its_group_gives_it(program: Program) -> None:
    late = _message(-1, -1, error=KafkaError(KafkaError._MAX_POLL_EXCEEDED))
    program.meets(program.member.gets(0), record(0, 0), None)
    assert program.meets(late, program.member.loses(0), program.member.gets(0), record(0, 0)) == [(0, "0.0")]
