"""Folding a batch: what one transaction is made of, without any log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from headgate.core.policy import DEFAULT_POLICY
from headgate.projector import folding, restore
from headgate.projector.folding import Draft, Folder
from headgate.projector.states import PartitionStates
from headgate_events.codec import command_headers, encode
from headgate_events.envelope import FORWARDED_HEADER
from headgate_events.partitioner import partition_of
from headgate_events.topics import Topics

TOPICS = Topics("ns")
PARTITIONS = 4
CONFIG = {"source": {"kind": "kafka", "topic": "in"}, "destination": {"kind": "discard"}}
HOME = partition_of("orders", PARTITIONS)
AWAY = (HOME + 1) % PARTITIONS


@dataclass(frozen=True)
class Given:
    """A consumed record."""

    at: int
    value_: bytes | None
    key_: bytes | None
    headers_: list[tuple[str, Any]]
    partition_: int = HOME
    topic_: str = TOPICS.commands

    def topic(self) -> str:
        return self.topic_

    def partition(self) -> int:
        return self.partition_

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes | None:
        return self.key_

    def value(self) -> bytes | None:
        return self.value_

    def headers(self) -> list[tuple[str, Any]]:
        return self.headers_

    def timestamp(self) -> tuple[int, int]:
        return 2, 1_000 + self.at


def command(at: int, kind: str, stream: str = "orders", partition: int = HOME, **content: Any) -> Given:
    headers: list[tuple[str, Any]] = list(
        command_headers(kind, f"c-{at}", stream, source="test", at_ms=0, actor="anna")
    )
    return Given(at, encode({"kind": kind, **content}), stream.encode(), headers, partition)


def empty(position: int = 0) -> PartitionStates:
    states = PartitionStates(16)
    states.positions = {"commands": position, "reports": 0}
    return states


def fold(records: list[Given], **owned: PartitionStates) -> Draft:
    folder = Folder(TOPICS, PARTITIONS, DEFAULT_POLICY, {TOPICS.commands: "commands", TOPICS.reports: "reports"})
    found = {HOME: owned.get("home", empty()), AWAY: owned.get("away", empty())}
    return folder.fold(records, found)


def written(draft: Draft, topic: str) -> list[dict[str, Any]]:
    return [orjson.loads(value or b"{}") for to, value, *_ in draft.outgoing if to == topic]


def test_a_batch_becomes_history_the_last_state_of_each_stream_and_the_progress() -> None:
    draft = fold([command(0, "create", config=CONFIG), command(1, "start"), command(2, "pause")])
    kinds = [each["kind"] for each in written(draft, TOPICS.history)]
    assert kinds == ["stream-created", "outcome", "stream-starting", "outcome", "outcome"]
    state, progress = written(draft, TOPICS.state)
    assert (state["stream"], state["status"], state["version"]) == ("orders", "STARTING", 2)
    assert progress == {"kind": "progress", "partition": HOME, "commands": 3, "reports": 0}
    assert {partition for *_, partition in draft.outgoing} == {HOME}


def test_nothing_is_changed_before_the_transaction_is_over() -> None:
    home = empty()
    fold([command(0, "create", config=CONFIG)], home=home)
    assert len(home) == 0
    assert home.positions == {"commands": 0, "reports": 0}


def test_what_lies_below_the_positions_is_dropped() -> None:
    draft = fold([command(6, "create", config=CONFIG), command(7, "create", config=CONFIG)], home=empty(7))
    assert draft.inputs == 1
    assert draft.positions[HOME] == {"commands": 8, "reports": 0}


def test_a_command_astray_is_written_again_as_it_was_with_the_mark() -> None:
    astray = command(3, "create", partition=AWAY, config=CONFIG)
    draft = fold([astray], away=empty(3))
    assert draft.forwarded == 1
    ((_, value, key, headers, to),) = [each for each in draft.outgoing if each[0] == TOPICS.commands]
    assert (value, key, to) == (astray.value_, astray.key_, HOME)
    assert headers == [*astray.headers_, (FORWARDED_HEADER, b"1")]
    ((_, history, _, _, partition),) = [each for each in draft.outgoing if each[0] == TOPICS.history]
    assert orjson.loads(history or b"")["kind"] == "forwarded"
    assert partition == AWAY


def test_a_command_that_is_astray_again_is_refused_and_not_sent_round_in_circles() -> None:
    astray = command(0, "create", partition=AWAY, config=CONFIG)
    marked = Given(0, astray.value_, astray.key_, [*astray.headers_, (FORWARDED_HEADER, b"1")], AWAY)
    draft = fold([marked])
    (outcome,) = written(draft, TOPICS.history)
    assert (outcome["outcome"], outcome["code"]) == ("refused", "command.misplaced")
    assert not written(draft, TOPICS.commands)


def test_an_unreadable_command_astray_is_answered_where_its_sender_looks() -> None:
    draft = fold([Given(0, b"{", b"orders", [("ce_type", b"headgate.command.pause.v1"), ("ce_id", b"x")], AWAY)])
    assert draft.forwarded == 1


@pytest.mark.parametrize("key", [None, b"", b"Not A Name", b"\xff\xfe", b"_progress.0"])
def test_a_key_that_is_no_name_is_refused_in_its_own_partition(key: bytes | None) -> None:
    draft = fold([Given(0, b"{}", key, [("ce_type", b"headgate.command.pause.v1"), ("ce_id", b"x")], AWAY)])
    ((_, value, written_key, _, partition),) = [each for each in draft.outgoing if each[0] == TOPICS.history]
    assert orjson.loads(value or b"")["code"] == "command.invalid_key"
    assert (written_key, partition) == (None, AWAY)


def test_an_input_that_would_make_a_state_too_large_to_write_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "MAX_STATE_BYTES", 100)
    draft = fold([command(0, "create", config=CONFIG)])
    (outcome,) = written(draft, TOPICS.history)
    assert (outcome["outcome"], outcome["code"]) == ("refused", "command.state_too_large")
    assert draft.states[HOME] == {}


def test_a_stream_that_is_forgotten_becomes_a_tombstone() -> None:
    states = empty()
    first = fold([command(0, "create", config=CONFIG), command(1, "delete")], home=states)
    (state, value) = first.states[HOME]["orders"]
    assert state is not None
    assert value is not None
    states.put("orders", state, value)
    states.positions = first.positions[HOME]
    passed = {
        "kind": "deadline-passed",
        "incarnation": state["incarnation"],
        "epoch": state["epoch"],
        "deadline": "forget",
        "due_ms": state["deadline_ms"],
    }
    headers = [("ce_type", b"headgate.report.deadline-passed.v1"), ("ce_id", b"r")]
    draft = fold([Given(0, encode(passed), b"orders", headers, HOME, TOPICS.reports)], home=states)
    (_, value, key, _, _), _ = [each for each in draft.outgoing if each[0] == TOPICS.state]
    assert (value, key) == (None, b"orders")


def test_a_state_says_at_its_beginning_whether_it_waits_for_a_moment() -> None:
    waiting = [command(0, "create", config=CONFIG), command(1, "start", not_before="2030-01-01T00:00:00Z")]
    sly = {**CONFIG, "transform": {"function": "a.b:c", "settings": {"kind": "state", "due_ms": None}}}
    for inputs, calm in (
        ([command(0, "create", config=CONFIG)], True),
        (waiting, False),
        ([command(0, "create", config=CONFIG), command(1, "start")], False),
        ([command(0, "create", config=sly), command(1, "start")], False),
    ):
        (value, _) = [each[1] or b"" for each in fold(inputs).outgoing if each[0] == TOPICS.state]
        assert value.startswith(restore.CALM) is calm


def test_an_input_on_which_our_own_code_fails_is_refused_and_stops_none_that_come_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sound = folding.fold

    def faulty(state: Any, item: Any, policy: Any) -> Any:
        if item.kind == "pause":
            raise ZeroDivisionError
        return sound(state, item, policy)

    monkeypatch.setattr(folding, "fold", faulty)
    draft = fold([command(0, "create", config=CONFIG), command(1, "pause"), command(2, "start")])
    answers = [each for each in written(draft, TOPICS.history) if each["kind"] == "outcome"]
    assert [(each["input"]["offset"], each["outcome"], each["code"]) for each in answers] == [
        (0, "accepted", None),
        (1, "refused", "command.internal"),
        (2, "accepted", None),
    ]
    assert [(refused.offset, type(error)) for refused, error in draft.faults] == [(1, ZeroDivisionError)]
    assert draft.positions[HOME]["commands"] == 3


@pytest.mark.parametrize(
    ("value", "foreign"),
    [(b"{}", [(f"h{number}", b"x" * 10_000) for number in range(90)]), (b" " * 950_000, []), (b"{" * 950_000, [])],
)
def test_a_misplaced_input_that_is_too_large_to_be_written_again_is_refused_where_it_lies(
    value: bytes, foreign: list[tuple[str, Any]]
) -> None:
    sound = command(0, "pause", partition=AWAY)
    draft = fold([Given(0, value, sound.key_, [*sound.headers_, *foreign], AWAY)])
    assert not [each for each in draft.outgoing if each[0] == TOPICS.commands]
    (answer,) = written(draft, TOPICS.history)
    assert (answer["outcome"], answer["code"]) == ("refused", "command.too_large")
