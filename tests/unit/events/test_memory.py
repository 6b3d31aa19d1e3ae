"""The in-memory twins beyond what they share with the real clients: time, reports, and records from anybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headgate_events.client.sequence import ChainBreak, Entry, Gap
from headgate_events.codec import encode
from headgate_events.errors import InvalidRequest, NotFound
from headgate_events.idleness.signals import Status as Edges
from headgate_events.records import HistoryRecord, Input
from headgate_events.schema.history import Outcome, Transition
from headgate_events.testing import MemoryHeadgate

CONFIG = {"source": {"topic": "flights"}, "destination": {"kind": "kafka", "topic": "departures"}}
DAY_MS = 86_400_000


@pytest.fixture
def memory() -> MemoryHeadgate:
    found = MemoryHeadgate(actor="mara")
    found.commands.create("departures", CONFIG)
    return found


def run(memory: MemoryHeadgate, partitions: int = 1) -> None:
    memory.commands.start("departures")
    positions = {"flights": {str(partition): 0 for partition in range(partitions)}}
    passed = {"partitions": {"flights": partitions}, "positions": positions}
    memory.report("departures", "validation-passed", passed, worker="worker-1")


def status(memory: MemoryHeadgate) -> str | None:
    found = memory.state.get("departures")
    return None if found is None else found.status


def test_a_whole_life_of_a_stream(memory: MemoryHeadgate) -> None:
    run(memory)
    assert status(memory) == "RUNNING"
    memory.commands.pause("departures", reason="maintenance")
    assert status(memory) == "DRAINING"
    memory.report("departures", "source-listed", {"partitions": {"flights": 1}}, worker="worker-1")
    receipt = {
        "topic": "flights",
        "partition": 0,
        "start": 0,
        "end": 7,
        "read": 7,
        "written": 7,
        "worker": "worker-1",
    }
    memory.report("departures", "partition-drained", {"receipt": receipt}, worker="worker-1")
    assert status(memory) == "PAUSED"


def test_time_moves_only_when_it_is_told_to(memory: MemoryHeadgate) -> None:
    before = memory.now_ms
    memory.commands.start("departures")
    assert memory.now_ms == before
    assert memory.advance(0) == 0
    assert status(memory) == "STARTING"
    assert memory.advance(DAY_MS) == 1
    assert memory.now_ms == before + DAY_MS
    assert status(memory) == "NOT_STARTED"
    with pytest.raises(InvalidRequest):
        memory.advance(-1)


def test_a_command_for_later_is_decided_when_its_time_comes(memory: MemoryHeadgate) -> None:
    moment = datetime.fromtimestamp(memory.now_ms / 1_000, UTC) + timedelta(hours=1)
    handle = memory.commands.start("departures", not_before=moment)
    assert handle.first_answer(0).kind == "scheduled"
    memory.advance(3_599_000)
    assert not handle.done
    memory.advance(1_000)
    outcome = handle.outcome(0)
    assert (outcome.outcome, outcome.at_ms) == ("accepted", memory.now_ms)


def test_a_forgotten_name_begins_anew_and_its_history_holds(memory: MemoryHeadgate) -> None:
    memory.commands.delete("departures")
    assert memory.advance(30 * DAY_MS) == 1
    memory.commands.create("departures", CONFIG)
    items = list(memory.history.read("departures"))
    assert not [item for item in items if isinstance(item, Gap | ChainBreak)]
    records = [item.record for item in items if isinstance(item, Entry)]
    steps = [(record.kind, record.incarnation) for record in records if isinstance(record, Transition)]
    assert steps == [
        ("stream-created", 0),
        ("stream-deleted", 0),
        ("stream-forgotten", 0),
        ("stream-created", 2),
    ]


def test_a_name_that_is_used_again_at_once_keeps_its_chain(memory: MemoryHeadgate) -> None:
    memory.commands.delete("departures")
    assert memory.commands.create("departures", CONFIG).outcome(0).outcome == "accepted"
    items = list(memory.history.read("departures"))
    assert not [item for item in items if isinstance(item, Gap | ChainBreak)]


def test_a_record_of_any_client_is_answered_even_if_it_cannot_be_read(memory: MemoryHeadgate) -> None:
    place = memory.append("commands", b"departures", [("ce_type", b"headgate.command.pause.v1")], b"{}")
    entries = [item for item in memory.history.read("departures") if isinstance(item, Entry)]
    outcome = entries[-1].record
    assert isinstance(outcome, Outcome)
    assert (outcome.outcome, outcome.code, outcome.input) == ("refused", "command.missing_header", place)


def test_a_report_of_an_earlier_epoch_is_kept_as_stale(memory: MemoryHeadgate) -> None:
    run(memory)
    memory.report("departures", "task-stopped", {"epoch": 0}, worker="worker-1")
    entries = [item for item in memory.history.read("departures") if isinstance(item, Entry)]
    outcome = entries[-1].record
    assert isinstance(outcome, Outcome)
    assert outcome.outcome == "stale"


def test_reports_need_a_stream_and_a_known_kind(memory: MemoryHeadgate) -> None:
    with pytest.raises(NotFound):
        memory.report("nobody", "fenced")
    with pytest.raises(InvalidRequest, match="Known"):
        memory.report("departures", "fainted")


def test_another_decider_can_take_the_controllers_place() -> None:
    def refuse_all(state: dict[str, Any] | None, item: Input) -> Any:
        return Refused(item)

    memory = MemoryHeadgate(fold=refuse_all)
    assert memory.commands.create("departures", CONFIG).outcome(0).code == "not.today"
    assert memory.state.snapshot() == {}


class Refused:
    """What a decider that refuses everything returns."""

    state = None

    def __init__(self, item: Input) -> None:
        payload = {
            "kind": "outcome",
            "stream": item.stream,
            "outcome": "refused",
            "code": "not.today",
            "at_ms": item.at_ms,
            "input": {"topic": item.topic, "partition": item.partition, "offset": item.offset},
            "input_id": item.id,
        }
        self.records = (HistoryRecord("outcome", "commands-0-0-0", payload, encode(payload)),)


def test_what_a_test_says_of_channels_is_read_as_of_a_cluster(memory: MemoryHeadgate) -> None:
    run(memory, partitions=2)
    activity = memory.activity
    assert activity.refresh() == []
    assert activity.table.status("departures") is None
    memory.say("departures", "ACTIVE", watermark=1_000)
    memory.advance(5_000)
    memory.say("departures", "IDLE", partition=0, position=7)
    memory.say("departures", watermark=2_000, partition=1)
    told = [(edge.channel and edge.channel.partition, edge.status.value) for edge in activity.refresh()]
    assert told == [(0, "ACTIVE"), (1, "ACTIVE"), (0, "IDLE")]
    assert (activity.table.status("departures"), activity.table.watermark("departures")) == (Edges.ACTIVE, 2_000)
    memory.say("departures", "IDLE", partition=1)
    assert [(edge.channel, edge.at_ms) for edge in activity.follow(0)][-1] == (None, memory.now_ms)
    first, *_ = activity.table.channels("departures")
    assert first.evidence is not None
    assert (first.evidence.position, first.evidence.end) == (7, 7)
    assert [(each.channel.partition, each.status) for each in activity.past("departures")] == [
        (0, "ACTIVE"), (1, "ACTIVE"), (0, "IDLE"), (1, "IDLE"),
    ]  # fmt: skip
    assert list(activity.past("departures", since_ms=memory.now_ms + 1)) == []


def test_a_command_that_waits_for_idle_is_decided_once_every_partition_is(memory: MemoryHeadgate) -> None:
    run(memory, partitions=2)
    memory.commands.pause("departures", when_idle=True)
    memory.say("departures", "IDLE", partition=0)
    assert status(memory) == "RUNNING"
    memory.say("departures", "IDLE", partition=1)
    assert status(memory) == "DRAINING"
    with pytest.raises(InvalidRequest, match="none of its tasks speaks"):
        memory.say("departures", "ACTIVE")


def test_what_was_said_before_a_pause_is_not_said_of_the_run_after_it(memory: MemoryHeadgate) -> None:
    run(memory)
    memory.say("departures", "IDLE")
    memory.commands.pause("departures", force=True)
    memory.report("departures", "fenced")
    memory.commands.resume("departures", command_id="r")
    memory.report("departures", "positions-checked", {"command_id": "r", "passed": True, "positions": {}})
    memory.commands.pause("departures", when_idle=True)
    assert status(memory) == "RUNNING"
    with pytest.raises(InvalidRequest, match="Nothing was said yet"):
        memory.say("departures", watermark=3)
    memory.say("departures", "IDLE")
    assert status(memory) == "DRAINING"


def test_nothing_is_said_of_a_stream_or_a_partition_that_is_not_there(memory: MemoryHeadgate) -> None:
    with pytest.raises(NotFound):
        memory.say("nosuch", "IDLE")
    with pytest.raises(InvalidRequest):
        memory.say("departures", "IDLE")
    run(memory)
    with pytest.raises(InvalidRequest):
        memory.say("departures", "IDLE", partition=4)
    with pytest.raises(InvalidRequest, match="Nothing was said yet"):
        memory.say("departures", watermark=1)
    with pytest.raises(InvalidRequest, match="is said of no channel"):
        memory.say("departures", "idle")


def test_what_waits_for_a_time_of_idleness_gets_it_as_time_goes_on(memory: MemoryHeadgate) -> None:
    run(memory)
    waiting = memory.commands.delete("departures", drain=True, idle_for_s=600)
    memory.say("departures", "IDLE")
    memory.advance(599_000)
    memory.say("departures", "ACTIVE")
    memory.say("departures", "IDLE")
    memory.advance(599_000)
    assert (status(memory), waiting.done) == ("RUNNING", False)
    memory.advance(1_000)
    assert (status(memory), waiting.outcome(0).outcome) == ("DRAINING", "accepted")


def test_a_stream_with_auto_pause_falls_asleep_as_time_goes_on(memory: MemoryHeadgate) -> None:
    memory.commands.modify("departures", {**CONFIG, "idleness": {"auto_pause_after_s": 60}})
    run(memory)
    memory.say("departures", "IDLE", position=7)
    memory.advance(59_999)
    assert status(memory) == "RUNNING"
    memory.advance(1)
    state = memory.state.get("departures")
    assert state is not None
    assert state.drain is not None
    assert (state.status, state.last.actor, state.drain.silence) == ("DRAINING", "auto-pause", {"flights": {"0": 7}})
