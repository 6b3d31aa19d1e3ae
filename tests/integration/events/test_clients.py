"""The clients and their in-memory twins keep one contract: every test here runs against both."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headgate_events.client.commands import CommandClient
from headgate_events.client.history import HistoryReader
from headgate_events.client.interfaces import Commands, History, State
from headgate_events.client.sequence import Entry
from headgate_events.client.state import StateReader
from headgate_events.errors import InvalidRequest, SendFailed
from headgate_events.schema.history import Outcome, Transition
from headgate_events.testing import MemoryHeadgate

CONFIG = {
    "source": {"kind": "kafka", "topic": "flights"},
    "destination": {"kind": "kafka", "topic": "departures"},
    "labels": {"team": "ground"},
}


class Given:
    """The three clients of one namespace in which something answers."""

    def __init__(self, commands: Commands, state: State, history: History) -> None:
        self.commands = commands
        self.state = state
        self.history = history

    def create(self, *streams: str) -> None:
        for handle in [self.commands.create(stream, CONFIG) for stream in streams]:
            assert handle.outcome(30).outcome == "accepted"

    def kinds(self, stream: str, **how: Any) -> list[str]:
        return [item.record.kind for item in self.history.read(stream, **how) if isinstance(item, Entry)]


@pytest.fixture(params=["memory", "kafka"])
def given(request: pytest.FixtureRequest) -> Iterator[Given]:
    if request.param == "memory":
        memory = MemoryHeadgate(actor="mara")
        yield Given(memory.commands, memory.state, memory.history)
        return
    broker = request.getfixturevalue("broker")
    names = request.getfixturevalue("names")
    request.getfixturevalue("projector")
    where = (broker.bootstrap_servers, names.namespace)
    with ExitStack() as opened:
        yield Given(
            opened.enter_context(CommandClient(*where, actor="mara")),
            opened.enter_context(StateReader(*where)),
            opened.enter_context(HistoryReader(*where)),
        )


def test_a_command_is_answered_with_its_outcome(given: Given) -> None:
    handle = given.commands.create("departures", CONFIG, reason="first of all")
    outcome = handle.outcome(30)
    assert (outcome.outcome, outcome.version, outcome.status) == ("accepted", 1, "NOT_STARTED")
    assert (outcome.actor, outcome.reason, outcome.input_id) == ("mara", "first of all", handle.command_id)
    assert outcome.input == handle.position(30)
    assert handle.done


def test_a_refusal_is_an_answer_with_a_code_and_no_error(given: Given) -> None:
    given.create("departures")
    outcome = given.commands.pause("departures").outcome(30)
    assert outcome.outcome == "refused"
    assert outcome.code
    assert outcome.message


def test_many_commands_are_under_way_at_once_and_each_gets_its_own_answer(given: Given) -> None:
    streams = [f"stream-{number}" for number in range(40)]
    handles = [given.commands.create(stream, CONFIG) for stream in streams]
    handles += [given.commands.start(stream) for stream in streams]
    outcomes = [handle.outcome(30) for handle in handles]
    assert [outcome.stream for outcome in outcomes] == streams * 2
    assert [outcome.version for outcome in outcomes] == [1] * 40 + [2] * 40
    assert len({outcome.input_id for outcome in outcomes}) == 80


def test_a_command_sent_again_with_its_id_gets_the_same_outcome(given: Given) -> None:
    given.create("departures")
    first = given.commands.start("departures", command_id="start-1").outcome(30)
    again = given.commands.start("departures", command_id="start-1").outcome(30)
    fresh = given.commands.start("departures").outcome(30)
    assert (first.outcome, again.outcome, fresh.outcome) == ("accepted", "accepted", "refused")
    assert (first.version, first.repeated) == (again.version, not again.repeated)


def test_the_same_command_sent_twice_at_once_is_answered_twice_alike(given: Given) -> None:
    given.create("departures")
    handles = [given.commands.start("departures", command_id="start-1") for _ in range(2)]
    first, second = [handle.outcome(30) for handle in handles]
    assert first.accepted
    assert second.accepted
    assert first.version == second.version == 2


def test_another_expected_version_than_the_streams_is_refused(given: Given) -> None:
    given.create("departures")
    assert given.commands.start("departures", expected_version=7).outcome(30).outcome == "refused"
    assert given.commands.start("departures", expected_version=1).outcome(30).outcome == "accepted"


def test_a_dry_run_changes_nothing_and_its_id_can_be_used_for_the_real_thing(given: Given) -> None:
    given.create("departures")
    rehearsed = given.commands.start("departures", dry_run=True).outcome(30)
    assert (rehearsed.outcome, rehearsed.dry_run) == ("accepted", True)
    given.state.refresh()
    assert given.state.get("departures").status == "NOT_STARTED"


def test_a_command_for_later_is_scheduled_first_and_can_be_cancelled(given: Given) -> None:
    given.create("departures")
    moment = datetime.now(UTC) + timedelta(days=3650)
    waiting = given.commands.start("departures", not_before=moment)
    assert waiting.first_answer(30).kind == "scheduled"
    assert not waiting.done
    assert [record.kind for record in waiting.progress] == ["scheduled"]
    assert given.commands.cancel("departures", waiting.command_id).outcome(30).outcome == "accepted"
    outcome = waiting.outcome(30)
    assert isinstance(outcome, Outcome)
    assert outcome.outcome == "refused"


@pytest.mark.parametrize(
    ("kind", "stream", "payload", "said"),
    [
        ("pause", "Not A Name", None, "is not a stream name"),
        ("pauze", "departures", None, "Did you mean pause"),
        ("pause", "departures", {"forse": True}, "Did you mean force"),
        ("create", "departures", {"config": {**CONFIG, "paralelism": 2}}, "did you mean parallelism"),
        ("create", "departures", {"config": {**CONFIG, "parallelism": 0}}, "config.parallelism"),
        ("create", "departures", {"config": {"source": {"topic": "a"}}}, "config.destination: is missing"),
        ("cancel", "departures", {"command_id": "x" * 129}, "command_id"),
        ("create", "departures", {"config": CONFIG, "reason": "x" * 1_001}, "reason"),
        ("create", "departures", {"config": {**CONFIG, "source": {"x": "y" * 300_000}}}, "bytes"),
        ("create", "departures", {"config": {**CONFIG, "source": {"x": {1, 2}}}}, "JSON"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(
    given: Given, kind: str, stream: str, payload: dict[str, Any] | None, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=said):
        given.commands.send(kind, stream, payload)
    assert list(given.history.read()) == []


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("command_id", ""),
        ("command_id", "x" * 129),
        ("actor", "x" * 257),
        ("actor", "two\nlines"),
        ("expected_version", -1),
        ("expected_version", True),
        ("not_before", datetime(2030, 1, 1)),  # noqa: DTZ001 - that it has no zone is the point
        ("forse", True),
    ],
)
def test_a_wrong_option_is_said_before_anything_is_sent(given: Given, option: str, value: Any) -> None:
    with pytest.raises(InvalidRequest):
        given.commands.start("departures", **{option: value})  # type: ignore[misc]


def test_a_closed_client_refuses_to_send(given: Given) -> None:
    given.create("departures")
    given.commands.close()
    given.commands.close()
    with pytest.raises(SendFailed, match="closed"):
        given.commands.start("departures")


def test_a_snapshot_shows_what_was_decided_before_it_and_follow_what_came_after(given: Given) -> None:
    given.create("arrivals", "departures")
    assert {name: state.status for name, state in given.state.snapshot().items()} == {
        "arrivals": "NOT_STARTED",
        "departures": "NOT_STARTED",
    }
    given.commands.start("departures").outcome(30)
    change = next(given.state.follow(30))
    assert change.stream == "departures"
    assert change.state is not None
    assert change.before is not None
    assert (change.before.status, change.state.status) == ("NOT_STARTED", "STARTING")
    assert given.state.get("departures") == change.state
    assert given.state.get("nobody") is None


def test_changes_that_a_refresh_met_are_still_followed(given: Given) -> None:
    given.create("departures")
    given.state.snapshot()
    given.commands.start("departures").outcome(30)
    given.state.refresh()
    assert [change.stream for change in itertools.islice(given.state.follow(30), 1)] == ["departures"]


def test_following_ends_in_time_when_nothing_changes(given: Given) -> None:
    given.state.snapshot()
    assert list(given.state.follow(0.3)) == []


def test_a_deleted_stream_is_gone_for_readers(given: Given) -> None:
    given.create("departures")
    given.state.snapshot()
    given.commands.delete("departures").outcome(30)
    change = next(given.state.follow(30))
    assert change.state is None
    assert given.state.get("departures") is None
    assert given.state.snapshot() == {}


def test_what_another_thread_changes_is_followed(given: Given) -> None:
    given.state.snapshot()
    with ThreadOf(lambda: given.create("departures")):
        assert next(given.state.follow(30)).stream == "departures"


def test_the_history_tells_every_step_with_its_cause(given: Given) -> None:
    given.create("departures")
    handle = given.commands.start("departures", reason="morning")
    handle.outcome(30)
    entries = [item for item in given.history.read("departures") if isinstance(item, Entry)]
    assert [entry.record.kind for entry in entries] == ["stream-created", "outcome", "stream-starting", "outcome"]
    starting = entries[2].record
    assert isinstance(starting, Transition)
    assert (starting.actor, starting.reason) == ("mara", "morning")
    assert starting.cause.id == handle.command_id
    place = handle.position(30)
    assert [(entry.cause.topic, entry.cause.partition, entry.cause.offset) for entry in entries[2:]] == [
        (place.topic, place.partition, place.offset)
    ] * 2


def test_the_history_of_all_streams_holds_no_gap_and_nothing_twice(given: Given) -> None:
    given.create("arrivals", "departures", "gates")
    items = list(given.history.read())
    assert all(isinstance(item, Entry) for item in items)
    assert sorted(str(item.stream) for item in items if isinstance(item, Entry)) == sorted(
        ["arrivals", "departures", "gates"] * 2
    )


def test_the_history_can_begin_at_a_version_or_at_a_time(given: Given) -> None:
    given.create("departures")
    given.commands.start("departures").outcome(30)
    assert given.kinds("departures", from_version=2) == ["stream-starting", "outcome"]
    assert given.kinds("departures", from_version=3) == []
    decided = [item.record.at_ms for item in given.history.read("departures") if isinstance(item, Entry)]
    assert given.kinds("departures", since_ms=decided[0])[0] == "stream-created"
    assert given.kinds("departures", since_ms=decided[-1] + 1) == []


def test_the_history_can_be_followed(given: Given) -> None:
    given.create("departures")
    reading = given.history.read("departures", follow=True, timeout_s=30)
    assert [item.record.kind for item in itertools.islice(reading, 2) if isinstance(item, Entry)] == [
        "stream-created",
        "outcome",
    ]
    given.commands.start("departures").outcome(30)
    assert [item.record.kind for item in itertools.islice(reading, 2) if isinstance(item, Entry)] == [
        "stream-starting",
        "outcome",
    ]


@pytest.mark.parametrize("how", [{"from_version": 0}, {"since_ms": -1}])
def test_a_reading_that_cannot_be_meant_is_refused_at_once(given: Given, how: dict[str, int]) -> None:
    with pytest.raises(InvalidRequest):
        given.history.read("departures", **how)
    with pytest.raises(InvalidRequest):
        given.history.read(from_version=1)


class ThreadOf:
    """Runs something beside the block, and raises what went wrong there."""

    def __init__(self, work: Any) -> None:
        self._work = work
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as problem:  # noqa: BLE001 - raised where the block ends
            self._failure = problem

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure
