"""What a task says about its channels, and when: the engine's calls are made here by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headgate.adapters.memory.record import MemoryRecord
from headgate.ports.destination import Token
from headgate.ports.log import TopicPartition
from headgate.worker.activity import Activity
from headgate.worker.inheritance import Inherited
from headgate_events.idleness.signals import MAX, MIN, Status
from headgate_events.schema.config import EventTimeConfig, IdlenessConfig

FIRST, SECOND = TopicPartition("flights", 0), TopicPartition("flights", 1)
GRACE_MS = 1_000


class Task:
    """An engine by hand: polls every 100 ms, and keeps what was said."""

    def __init__(self, **config: Any) -> None:
        self.activity = Activity(
            "departures", "worker-1", IdlenessConfig(idle_after_s=GRACE_MS / 1000, **config), "read_committed"
        )
        self.now_ms = 1_000_000
        self.positions = {FIRST: 0, SECOND: 0}
        self.high: dict[TopicPartition, int | None] = {FIRST: 0, SECOND: 0}
        self.stable: dict[TopicPartition, int | None] = {FIRST: 0, SECOND: 0}
        self.seen: dict[TopicPartition, int] = {}
        self.said: list[tuple[int, str, str | None, int | None]] = []
        self.claims = 0
        self.inherited: dict[TopicPartition, Inherited] | None = None
        self.reasons: list[str | None] = []

    def assign(self, *partitions: TopicPartition) -> None:
        tokens = {}
        for each in partitions:
            self.claims += 1
            tokens[each] = Token(40, 4, self.claims)
        self.activity.assigned(tokens, {each: self.positions[each] for each in partitions})

    def poll(self, *records: Any, ends: dict[TopicPartition, int] | None = None, in_flight: Any = ()) -> None:
        self.now_ms += 100
        self.note(self.activity.before_write(records, self.now_ms))
        for record in records:
            place = TopicPartition(record.topic(), record.partition())
            self.positions[place] = self.high[place] = record.offset() + 1
        self.activity.moved(records, self.positions, ends or {}, self.now_ms)
        seen, inherited = self.seen.get, self.inherited
        due = self.activity.due(
            self.now_ms, in_flight, self.high.get, self.stable.get, seen_high=seen, inherited=inherited
        )
        self.note(due)

    def end(self, place: TopicPartition, position: int, *records: Any) -> None:
        self.now_ms += 100
        self.note(self.activity.before_write(records, self.now_ms))
        self.positions[place] = position
        self.activity.moved(records, self.positions, {}, self.now_ms)
        self.activity.ended({place: position}, self.now_ms)
        self.note(self.activity.due(self.now_ms, set(), self.high.get))

    def polls(self, number: int, in_flight: Any = ()) -> None:
        for _ in range(number):
            self.poll(in_flight=in_flight)

    def note(self, markers: Any) -> None:
        for each in markers:
            self.reasons.append(each["reason"])
            self.said.append((each["channel"]["partition"], each["marker"], each["status"], each["watermark"]))

    @property
    def edges(self) -> list[tuple[int, str | None]]:
        return [(partition, status) for partition, kind, status, _ in self.said if kind == "STATUS"]


def record(place: TopicPartition, offset: int, at_ms: int = 5_000) -> Any:
    return MemoryRecord(place.topic, place.partition, offset, None, b"{}", [], (1, at_ms))


@pytest.fixture
def task() -> Task:
    task = Task()
    task.assign(FIRST)
    return task


def test_an_empty_partition_is_idle_after_the_grace_with_position_end_and_time_as_proof(task: Task) -> None:
    task.poll(ends={FIRST: 0})
    task.polls(9)
    assert task.edges == []
    task.polls(3)
    assert task.edges == [(0, "IDLE")]
    (beat,) = task.activity.beat()
    assert (beat["status"], beat["position"], beat["end"]) == ("IDLE", 0, 0)
    assert beat["fetched_at_ms"] == 1_000_100


def test_a_heartbeat_says_how_far_a_busy_channel_was_read_by_now(task: Task) -> None:
    task.poll(record(FIRST, 0))
    task.poll(record(FIRST, 1), record(FIRST, 2))
    assert task.activity.beat()[0]["position"] == 3
    task.poll(ends={FIRST: 4})  # behind a transaction's marker, which is no record
    (beat,) = task.activity.beat()
    assert (beat["status"], beat["position"], beat["end"]) == ("ACTIVE", 4, None)


def test_silence_without_an_answered_fetch_is_never_idle(task: Task) -> None:
    task.polls(100)
    assert task.edges == []


def test_active_is_handed_out_before_the_record_is_written(task: Task) -> None:
    task.poll(ends={FIRST: 0})
    task.polls(15)
    (marker,) = task.activity.before_write([record(FIRST, 0)], task.now_ms)
    assert (marker["status"], marker["reason"]) == ("ACTIVE", "RESUMED")


def test_one_that_took_over_says_active_with_its_first_record_whatever_was_said_before(task: Task) -> None:
    task.poll(record(FIRST, 0), ends={FIRST: 1})
    task.assign(FIRST)
    task.poll(record(FIRST, 1))
    assert task.edges == [(0, "ACTIVE"), (0, "ACTIVE")]


def test_an_open_transaction_or_data_to_come_holds_the_partition_active(task: Task) -> None:
    task.high[FIRST] = 3
    task.poll(ends={FIRST: 0})
    task.polls(50)
    assert task.edges == []


def letting_go(cap_s: float) -> Task:
    task = Task(open_txn="ignore", open_txn_cap_s=cap_s)
    task.assign(FIRST)
    task.high[FIRST] = 3
    task.poll(ends={FIRST: 0})
    return task


def test_an_open_transaction_is_let_go_after_its_cap_where_the_stream_says_so_and_the_marker_says_why() -> None:
    task = letting_go(cap_s=3)
    task.polls(40)
    assert task.edges == []  # a second until it was found, and then the cap
    task.polls(30)
    assert (task.edges, task.reasons) == ([(0, "IDLE")], ["OPEN_TXN"])
    task.polls(50)
    task.poll(record(FIRST, 0))
    assert task.edges == [(0, "IDLE"), (0, "ACTIVE")]


def test_a_transaction_that_ends_before_its_cap_is_waited_for() -> None:
    task = letting_go(cap_s=30)
    task.polls(40)
    task.high[FIRST] = task.stable[FIRST] = 4
    task.poll(ends={FIRST: 4})  # it was aborted
    task.polls(9)
    assert task.edges == []
    task.polls(5)
    assert (task.edges, task.reasons) == ([(0, "IDLE")], ["EMPTY"])


def test_committed_records_that_wait_unread_are_no_open_transaction_whatever_the_cap() -> None:
    task = letting_go(cap_s=0.1)
    task.stable[FIRST] = 3
    task.polls(100)
    assert task.edges == []


def test_a_transaction_that_ended_when_the_broker_is_asked_once_more_is_not_let_go() -> None:
    task = letting_go(cap_s=3)
    task.polls(40)
    task.stable[FIRST] = 3
    task.polls(100)
    assert task.edges == []


def test_a_broker_that_does_not_answer_means_no_idle(task: Task) -> None:
    task.high[FIRST] = None
    task.poll(ends={FIRST: 0})
    task.polls(50)
    assert task.edges == []


def test_a_broker_that_did_not_answer_once_is_asked_again_although_the_end_is_met_only_once(task: Task) -> None:
    task.high[FIRST] = None
    task.poll(ends={FIRST: 0})
    task.polls(15)
    task.high[FIRST] = 0
    task.polls(50)
    assert task.edges == [(0, "IDLE")]


def test_read_is_not_done_numaflow_3399(task: Task) -> None:
    task.poll(record(FIRST, 0), ends={FIRST: 1}, in_flight={FIRST})
    task.polls(50, in_flight={FIRST})
    assert task.edges == [(0, "ACTIVE")]
    task.polls(15)
    assert task.edges == [(0, "ACTIVE"), (0, "IDLE")]


def test_slow_downstream_work_does_not_make_a_partition_look_idle_flink_40234(task: Task) -> None:
    task.poll(record(FIRST, 0), ends={FIRST: 1})
    task.now_ms += 60_000
    task.poll()
    assert task.edges == [(0, "ACTIVE")]


def test_a_source_that_was_idle_says_active_on_resume_flink_40504() -> None:
    task = Task(event_time=EventTimeConfig(), watermark_interval_ms=10)
    task.assign(FIRST)
    task.poll(record(FIRST, 0, 9_000), ends={FIRST: 1})
    task.polls(15)
    task.poll(record(FIRST, 1, 5))
    assert task.edges == [(0, "ACTIVE"), (0, "IDLE"), (0, "ACTIVE")]
    assert task.activity.late == 1


def test_the_watermark_that_covers_the_records_leaves_with_or_before_idle_and_never_after_it() -> None:
    task = Task(event_time=EventTimeConfig(max_out_of_orderness_ms=100), watermark_interval_ms=10)
    task.assign(FIRST)
    task.poll(record(FIRST, 0, 9_000), ends={FIRST: 1})
    task.polls(30)
    assert task.said == [
        (0, "STATUS", "ACTIVE", None),
        (0, "WATERMARK", "ACTIVE", 8_899),
        (0, "STATUS", "IDLE", 8_899),
    ]


def test_revoked_is_not_idle_and_says_nothing(task: Task) -> None:
    task.assign(SECOND)
    task.poll(ends={FIRST: 0, SECOND: 0})
    task.activity.forget([FIRST])
    task.polls(15)
    assert task.edges == [(1, "IDLE")]


def test_the_end_of_a_bounded_stream_is_said_once_with_the_largest_watermark() -> None:
    task = Task(event_time=EventTimeConfig(), watermark_interval_ms=10)
    task.assign(FIRST)
    task.end(FIRST, 1, record(FIRST, 0, 9_000))
    task.polls(50)
    assert task.said == [(0, "STATUS", "ACTIVE", None), (0, "FINISH", "FINISHED", MAX)]
    (beat,) = task.activity.beat()
    assert (beat["status"], beat["position"], beat["end"]) == ("FINISHED", 1, 1)


def test_max_at_drain_swallowed_because_the_source_was_idle_flink_40499() -> None:
    task = Task(event_time=EventTimeConfig(), watermark_interval_ms=10)
    task.assign(FIRST)
    task.poll(record(FIRST, 0, 9_000), ends={FIRST: 1})
    task.polls(15)
    task.end(FIRST, 3)  # no record: what was aborted reached the end
    assert [each[1:3] for each in task.said[-3:]] == [("STATUS", "IDLE"), ("STATUS", "ACTIVE"), ("FINISH", "FINISHED")]
    assert [each[3] for each in task.said[-3:]] == [8_999, 8_999, MAX]


def test_a_finish_waits_until_what_was_written_is_committed(task: Task) -> None:
    task.activity.ended({FIRST: 1}, task.now_ms)
    assert task.activity.due(task.now_ms, {FIRST}, task.high.get) == []
    assert [each["status"] for each in task.activity.due(task.now_ms, set(), task.high.get)] == ["FINISHED"]


def test_a_stream_without_event_time_finishes_without_a_watermark(task: Task) -> None:
    task.end(FIRST, 0)
    assert task.said == [(0, "FINISH", "FINISHED", None)]


def test_a_finished_channel_is_not_judged_any_more_and_its_neighbour_is(task: Task) -> None:
    task.assign(SECOND)
    task.poll(ends={FIRST: 0, SECOND: 0})
    task.activity.ended({FIRST: 0}, task.now_ms)
    task.inherited = {}
    task.polls(20)
    task.inherited = None
    task.polls(30)
    assert [each for each in task.said if each[0] == 0] == [(0, "FINISH", "FINISHED", None)]
    assert [status for place, status in task.edges if place == 1] == ["ACTIVE", "IDLE"]


def test_after_a_pause_the_end_has_to_be_shown_again(task: Task) -> None:
    task.poll(ends={FIRST: 0})
    task.activity.read_again()
    task.polls(50)
    assert task.edges == []
    task.poll(ends={FIRST: 0})
    task.polls(15)
    assert task.edges == [(0, "IDLE")]


def test_a_partition_that_another_stream_writes_is_active_with_that_reason_however_long_it_is_empty(task: Task) -> None:
    task.inherited = {}
    task.poll(ends={FIRST: 0})
    task.polls(100)
    assert task.edges == [(0, "ACTIVE")]
    assert task.reasons == ["UPSTREAM"]


def test_an_idle_partition_becomes_active_when_another_stream_begins_to_write_it(task: Task) -> None:
    task.poll(ends={FIRST: 0})
    task.polls(15)
    task.inherited = {}
    task.polls(100)
    assert task.edges == [(0, "IDLE"), (0, "ACTIVE")]
    assert task.activity.beat()[0]["end"] is None


def test_when_the_other_stream_is_gone_the_partition_is_judged_again_after_a_whole_grace(task: Task) -> None:
    task.poll(ends={FIRST: 0})
    task.polls(15)
    task.inherited = {}
    task.polls(100)
    task.inherited = None
    task.polls(9)
    assert task.edges == [(0, "IDLE"), (0, "ACTIVE")]
    task.polls(30)
    assert task.edges == [(0, "IDLE"), (0, "ACTIVE"), (0, "IDLE")]


def test_a_task_is_quiet_only_while_everything_it_holds_was_said_idle(task: Task) -> None:
    task.assign(SECOND)
    task.poll(ends={FIRST: 0})
    task.polls(12)
    assert (task.edges, task.activity.quiet) == ([(0, "IDLE")], False)
    task.poll(ends={SECOND: 0})
    task.polls(12)
    assert task.activity.quiet
    task.poll(record(SECOND, 0))
    assert not task.activity.quiet
    task.activity.forget([SECOND])
    assert task.activity.quiet
    task.assign(FIRST)
    assert not task.activity.quiet, "a new claim has said nothing yet"


def test_a_partition_in_front_of_a_record_that_cannot_be_processed_is_not_idle_whatever_end_was_met(task: Task) -> None:
    task.poll(record(FIRST, 0), ends={FIRST: 1})
    task.activity.stands(FIRST)
    task.polls(50)
    assert task.edges == [(0, "ACTIVE")]
    task.poll(record(FIRST, 1), ends={FIRST: 2})
    task.polls(15)
    assert task.edges == [(0, "ACTIVE"), (0, "IDLE")]


def test_other_settings_make_nobody_forget_what_was_said_and_which_end_was_met(task: Task) -> None:
    task.poll(ends={FIRST: 0})
    task.polls(15)
    task.activity.take_on(IdlenessConfig(idle_after_s=0.3))
    task.polls(50)
    assert task.edges == [(0, "IDLE")]
    task.poll(record(FIRST, 0), ends={FIRST: 1})
    task.activity.take_on(IdlenessConfig(idle_after_s=0.5))
    task.polls(3)
    assert task.edges == [(0, "IDLE"), (0, "ACTIVE")]
    task.polls(4)
    assert task.edges == [(0, "IDLE"), (0, "ACTIVE"), (0, "IDLE")]


def test_a_watermark_waits_for_the_commit_of_what_is_in_flight_and_asks_for_none_of_its_own() -> None:
    task = Task(event_time=EventTimeConfig(), watermark_interval_ms=10)
    task.assign(FIRST, SECOND)
    task.poll(record(FIRST, 0, 9_000), in_flight={FIRST})
    task.polls(3, in_flight={SECOND})
    assert [kind for _, kind, _, _ in task.said] == ["STATUS"]
    task.poll()
    assert task.said[1:] == [(0, "WATERMARK", "ACTIVE", 8_999)]


def test_other_rules_of_event_time_never_take_a_watermark_back() -> None:
    task = Task(event_time=EventTimeConfig(), watermark_interval_ms=10)
    task.assign(FIRST)
    task.poll(record(FIRST, 0, 9_000))
    later = EventTimeConfig(max_out_of_orderness_ms=500)
    task.activity.take_on(IdlenessConfig(idle_after_s=1, event_time=later, watermark_interval_ms=10))
    task.poll(record(FIRST, 1, 9_100))
    task.poll(record(FIRST, 2, 9_700))
    assert [watermark for _, kind, _, watermark in task.said if kind == "WATERMARK"] == [8_999, 9_199]


def inherited(status: str, watermark: int = MIN, position: int = 0, reason: str = "UPSTREAM") -> Inherited:
    because = "orders is PAUSED" if reason == "HELD" else None
    return Inherited(Status(status), watermark, reason, position, because)


def test_status_and_watermark_are_inherited_idle_with_the_watermark_and_active_before_the_next_one(task: Task) -> None:
    task.inherited = {FIRST: inherited("ACTIVE", 5)}
    task.poll()
    task.polls(15)
    task.inherited = {FIRST: inherited("IDLE", 9)}
    task.polls(3)
    task.inherited = {FIRST: inherited("ACTIVE", 11)}
    task.polls(15)
    assert task.said == [
        (0, "STATUS", "ACTIVE", None),
        (0, "WATERMARK", "ACTIVE", 5),
        (0, "STATUS", "IDLE", 9),
        (0, "STATUS", "ACTIVE", 9),
        (0, "WATERMARK", "ACTIVE", 11),
    ]


def test_a_phase_that_was_over_before_anybody_looked_is_told_all_the_same_with_its_watermark(task: Task) -> None:
    task.inherited = {FIRST: inherited("IDLE", 5)}
    task.poll()
    task.inherited = {FIRST: replace(inherited("IDLE", 9), woke=True)}
    task.poll()
    task.inherited = {FIRST: inherited("IDLE", 9)}
    task.polls(15)
    assert task.said == [
        (0, "STATUS", "IDLE", 5),
        (0, "STATUS", "ACTIVE", 5),
        (0, "STATUS", "IDLE", 9),
    ]


def test_a_record_wakes_what_was_inherited_as_idle_before_it_is_written(task: Task) -> None:
    task.inherited = {FIRST: inherited("IDLE")}
    task.poll()
    (marker,) = task.activity.before_write([record(FIRST, 0)], task.now_ms)
    assert (marker["status"], marker["reason"]) == ("ACTIVE", "RESUMED")


def test_idle_is_not_inherited_in_front_of_what_is_in_flight_or_was_not_covered_or_is_to_come(task: Task) -> None:
    task.poll(record(FIRST, 0))
    task.inherited = {FIRST: inherited("IDLE", position=1)}
    task.polls(5, in_flight={FIRST})
    assert task.edges == [(0, "ACTIVE")]
    task.inherited = {FIRST: inherited("IDLE", position=0)}
    task.polls(5)
    assert task.edges == [(0, "ACTIVE")]
    task.inherited = {FIRST: inherited("IDLE", position=1)}
    task.high[FIRST] = 2
    task.polls(5)
    assert task.edges == [(0, "ACTIVE")]
    task.high[FIRST] = 1
    task.polls(15)
    assert task.edges == [(0, "ACTIVE"), (0, "IDLE")]
    assert task.activity.beat()[0]["end"] == 1


def test_an_idle_channel_whose_upstream_is_paused_is_active_and_shows_who_holds_it(task: Task) -> None:
    task.inherited = {FIRST: inherited("IDLE")}
    task.poll()
    task.inherited = {FIRST: inherited("ACTIVE", reason="HELD")}
    task.poll()
    assert task.edges == [(0, "IDLE"), (0, "ACTIVE")]
    (beat,) = task.activity.beat()
    assert (beat["reason"], beat["because"]) == ("HELD", "orders is PAUSED")
    task.inherited = {FIRST: inherited("ACTIVE")}
    task.polls(15)
    (beat,) = task.activity.beat()
    assert (beat["reason"], beat["because"]) == ("UPSTREAM", None)
    assert task.edges == [(0, "IDLE"), (0, "ACTIVE")]


def test_a_stream_that_names_an_event_time_takes_the_time_from_its_records_and_the_status_from_upstream() -> None:
    task = Task(event_time=EventTimeConfig(), watermark_interval_ms=10)
    task.assign(FIRST)
    task.inherited = {FIRST: inherited("ACTIVE", 50)}
    task.poll(record(FIRST, 0, 9_000))
    task.inherited = {FIRST: inherited("IDLE", 99, position=1)}
    task.poll()
    assert task.said == [
        (0, "STATUS", "ACTIVE", None),
        (0, "WATERMARK", "ACTIVE", 8_999),
        (0, "STATUS", "IDLE", 8_999),
    ]


def test_the_end_of_all_streams_before_is_inherited_once_and_ends_event_time(task: Task) -> None:
    task.inherited = {FIRST: inherited("ACTIVE", 5)}
    task.polls(15)
    task.inherited = {FIRST: inherited("FINISHED", MAX)}
    task.polls(30)
    assert task.said == [
        (0, "STATUS", "ACTIVE", None),
        (0, "WATERMARK", "ACTIVE", 5),
        (0, "FINISH", "FINISHED", MAX),
    ]


def test_an_idle_that_was_inherited_is_not_said_again_when_the_streams_before_are_gone(task: Task) -> None:
    task.inherited = {FIRST: inherited("IDLE")}
    task.poll(ends={FIRST: 0})
    task.inherited = None
    task.polls(50)
    assert task.edges == [(0, "IDLE")]


def test_a_transaction_that_opens_in_an_idle_partition_makes_it_active_until_it_has_ended(task: Task) -> None:
    task.poll(ends={FIRST: 5})
    task.polls(15)
    assert task.edges == [(0, "IDLE")]
    task.seen[FIRST] = task.high[FIRST] = 8
    task.polls(50)
    assert task.edges == [(0, "IDLE"), (0, "ACTIVE")]
    assert task.reasons == ["EMPTY", "OPEN_TXN"]
    assert task.activity.beat()[0]["end"] is None
    task.seen[FIRST] = task.high[FIRST] = 9  # its marker: it was aborted, and the reader meets another end
    task.poll(ends={FIRST: 9})
    task.polls(15)
    assert task.edges == [(0, "IDLE"), (0, "ACTIVE"), (0, "IDLE")]


def test_an_end_that_is_seen_with_the_record_that_it_belongs_to_is_no_transaction(task: Task) -> None:
    task.poll(ends={FIRST: 0})
    task.polls(15)
    task.seen[FIRST] = 1
    task.poll()
    task.poll(record(FIRST, 0), ends={FIRST: 1})
    task.polls(15)
    assert task.edges == [(0, "IDLE"), (0, "ACTIVE"), (0, "IDLE")]
    assert task.reasons == ["EMPTY", "RESUMED", "EMPTY"]
