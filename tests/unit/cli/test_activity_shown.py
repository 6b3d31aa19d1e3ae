"""What get, describe, watch and activity show of IDLE and ACTIVE: what was said, with its proof, and nothing more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from headgate.cli import connection, watching
from headgate_events.client.channels import ActivityEdge
from headgate_events.errors import TopicsMissing
from headgate_events.testing import MemoryHeadgate
from tests.unit.cli.conftest import Headgate, create, drain, run


def cell(headgate: Headgate, column: str = "ACTIVITY", more: str = "") -> str:
    """Return one stream's cell; columns are three blanks apart."""
    head, line = (each.split("   ") for each in headgate(f"get {more}").out.splitlines()[:2])
    heads, cells = ([part.strip() for part in parts if part.strip()] for parts in (head, line))
    return cells[heads.index(column)]


def beat(memory: MemoryHeadgate, *channels: dict[str, Any], **more: Any) -> connection.LiveTask:
    state = memory.state.snapshot()["departures"]
    said = {
        "stream": "departures", "incarnation": state.incarnation, "epoch": state.epoch, "phase": "running",
        "partitions": [["flights", 0], ["flights", 1]], "in_flight": 0,
        "channels": [{"topic": "flights", "end": None, "fetched_at_ms": None, **each} for each in channels], **more,
    }  # fmt: skip
    return connection.LiveTask("w1", said, memory.now_ms - 2_000)


def test_a_stream_of_which_nothing_was_said_is_neither_idle_nor_active(
    memory: MemoryHeadgate, headgate: Headgate
) -> None:
    run(memory)
    assert cell(headgate) == "-"
    assert headgate("get departures -o json").json["activity"]["status"] is None
    assert "Activity:     not known: nothing was said of it yet\n" in headgate("describe departures").out
    assert headgate("activity departures").err == "Nothing was said about departures: its tasks have just begun.\n"


def test_one_partition_that_said_nothing_keeps_a_stream_from_being_idle(
    memory: MemoryHeadgate, headgate: Headgate
) -> None:
    run(memory)
    memory.say("departures", "IDLE", partition=0)
    assert cell(headgate) == "-"
    assert "not known: nothing was said of 1 of 2 partitions yet" in headgate("describe departures").out
    memory.say("departures", "ACTIVE", partition=1)
    assert cell(headgate) == "ACTIVE 0s"


def test_get_shows_since_when_and_wide_shows_the_proof(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory)
    memory.say("departures", "ACTIVE")
    memory.advance(5_000)
    memory.say("departures", "IDLE", partition=0, position=7)
    memory.advance(3_000)
    assert cell(headgate) == "ACTIVE 8s"
    assert cell(headgate, more="-o wide") == "ACTIVE 8s (1 of 2 idle)"
    assert cell(headgate, "PROOF", "-o wide") == "-"
    memory.say("departures", "IDLE", partition=1, position=1_200)
    memory.advance(61_000)
    assert cell(headgate) == "IDLE 1m1s"
    assert cell(headgate, "PROOF", "-o wide") == "flights:1 at 1200 of 1200, seen 1m1s ago, and 1 partition more"
    told = headgate("get departures -o json").json
    assert list(told)[list(told).index("status") : list(told).index("activity") + 1] == [
        "status",
        "since_ms",
        "activity",
    ]
    assert told["activity"] == {
        "status": "IDLE", "since_ms": memory.now_ms - 61_000, "held_by": None, "said": "IDLE",
        "said_since_ms": memory.now_ms - 61_000, "watermark": None, "partitions": 2, "idle": 2, "unheard": 0,
    }  # fmt: skip
    assert len(headgate("describe departures -o yaml").out.split("fetched_at_ms")) == 3


def test_a_stream_that_stands_still_is_held_with_its_reason(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory)
    memory.say("departures", "IDLE", position=10)
    memory.commands.pause("departures")
    assert cell(headgate, more="-o wide") == "HELD (DRAINING)"
    drain(memory)
    memory.advance(90_000)
    assert cell(headgate) == "HELD"
    told = headgate("get departures -o json").json["activity"]
    assert (told["status"], told["held_by"], told["said"]) == ("HELD", "PAUSED", "IDLE")
    shown = headgate("describe departures").out
    assert "Activity:     HELD: the stream is PAUSED for 1m30s; the last word was IDLE since 2026-" in shown
    assert "  flights:1 IDLE since 2026-01-01T00:00:00.000Z (position 10, end 10, fetched at 2026" in shown
    assert "said by worker 1m30s ago\n" in shown
    rows = [line.split() for line in headgate("activity departures").out.splitlines()]
    assert rows[-1][:3] == ["(all)", "HELD", "(PAUSED)"]


def test_a_running_stream_without_a_task_is_ownerless(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory)
    memory.say("departures", "IDLE")
    memory.report("departures", "worker-silent", {"lost": "w1"})
    assert cell(headgate) == "OWNERLESS"
    assert "OWNERLESS: no worker has a task of it, and what comes waits unread" in headgate("describe departures").out


def test_what_was_said_of_a_namesake_or_of_a_topic_that_is_read_no_more_does_not_count(
    memory: MemoryHeadgate, headgate: Headgate
) -> None:
    run(memory)
    memory.say("departures", "IDLE")
    memory.report("departures", "source-listed", {"partitions": {"other": 1}}, worker="w1")
    assert cell(headgate) == "-"
    memory.commands.delete("departures")
    run(memory)
    assert cell(headgate) == "-"


def test_markers_that_cannot_be_read_are_named_and_everything_else_is_shown(
    memory: MemoryHeadgate, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(memory)

    def missing(_timeout_s: float = 0, **_how: Any) -> Any:
        raise TopicsMissing("The topic headgate.markers does not exist.", hint="Create it.")

    monkeypatch.setattr(memory.activity, "refresh", missing)
    for line in ("get", "get -o wide", "describe departures", "watch --timeout 0s", "activity departures"):
        ran = headgate(line)
        assert ran.code == 0
        said = "Activity is not shown: The topic headgate.markers does not exist. Create it."
        assert ran.err.startswith(f"{said} (environment.topics_missing)\n")
        assert "departures" in ran.out + ran.err
    assert headgate("get departures -o json").json["activity"] is None
    assert "not known: the markers could not be read" in headgate("describe departures").out
    assert headgate("get -o name").err == ""


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"idleness": {"markers": "off"}}, "its markers are off (idleness.markers)"),
        (
            {"source": {"kind": "ticker"}},
            "its source is of the kind ticker, and only Kafka topics can be seen to be empty",
        ),
    ],
)
def test_a_stream_that_is_never_idle_says_why(
    memory: MemoryHeadgate, headgate: Headgate, more: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(memory, **more)
    assert f"Activity:     not known: {why}, so it is never said to be IDLE\n" in headgate("describe departures").out
    assert headgate("activity departures").err == f"Nothing was said about departures: {why}.\n"
    monkeypatch.setattr(connection.Connection, "live", lambda _: {"departures": [beat(memory)]})
    assert headgate("activity departures").err == f"Nothing was said about departures: {why}.\n"


def test_a_heartbeat_tells_who_has_a_partition_and_heals_a_lost_marker(
    memory: MemoryHeadgate, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(memory)
    memory.say("departures", "ACTIVE")
    memory.advance(10_000)
    channels = [
        {"partition": 0, "status": "IDLE", "since_ms": memory.now_ms - 4_000, "position": 1_200, "end": 1_200,
         "fetched_at_ms": memory.now_ms - 4_100},
        {"partition": 1, "status": None, "since_ms": None, "position": 3},
    ]  # fmt: skip
    beats = [beat(memory, *channels), beat(memory, *channels, phase="retrying"), beat(memory, *channels, epoch=99)]
    monkeypatch.setattr(connection.Connection, "live", lambda _: {"departures": [beats[0]]})
    shown = headgate("describe departures").out
    assert "Activity:     ACTIVE for 10s, since 2026-01-01T00:00:00.000Z (1 of 2 partitions idle)\n" in shown
    assert (
        "  flights:0 IDLE since 2026-01-01T00:00:06.000Z (position 1,200, end 1,200, fetched at"
        " 2026-01-01T00:00:05.900Z), heard from w1 2s ago\n"
        "  flights:1 ACTIVE since 2026-01-01T00:00:00.000Z, heard from w1 2s ago\n"
    ) in shown
    beats.pop(0)
    assert "flights:0 ACTIVE" in headgate("describe departures").out, "a task that retries repeats an older word"
    beats.pop(0)
    assert "nobody has it now" in headgate("describe departures").out, "a task of another epoch owns nothing"


def test_activity_shows_watermark_lag_and_freshness_of_each_channel(
    memory: MemoryHeadgate, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(memory)
    memory.say("departures", "ACTIVE", watermark=1_767_225_599_999)
    memory.say("departures", "IDLE", partition=0, position=10)
    monkeypatch.setattr(
        connection.Connection, "live", lambda _: {"departures": [beat(memory, {"partition": 1, "position": 3})]}
    )
    monkeypatch.setattr(connection.Connection, "ends", lambda *_: {("flights", 0): 10, ("flights", 1): 1_003})
    head, first, second, whole = headgate("activity departures").out.splitlines()
    assert head.split() == ["CHANNEL", "STATUS", "SINCE", "WATERMARK", "LAG", "PROOF", "HEARD"]
    assert first.split()[:5] == ["flights/0", "IDLE", "0s", "2025-12-31T23:59:59.999Z", "0"]
    assert first.endswith("10 of 10, 0s ago   w1, 2s ago")
    assert second.split()[:5] == ["flights/1", "ACTIVE", "0s", "2025-12-31T23:59:59.999Z", "1,000"]
    assert whole.split()[:9] == ["(all)", "ACTIVE", "(1", "of", "2", "idle)", "0s", "2025-12-31T23:59:59.999Z", "1,000"]
    told = headgate("activity departures -o json").json
    assert [each["lag"] for each in told["channels"]] == [0, 1_000]
    assert headgate("activity departures -o name").out == "flights/0\nflights/1\n"


def test_activity_says_what_holds_a_channel_active(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory)
    memory.say("departures", "IDLE", partition=0)
    memory.say("departures", "ACTIVE", partition=1, reason="UPSTREAM")
    rows = [line.split()[:3] for line in headgate("activity departures").out.splitlines()[1:3]]
    assert rows == [["flights/0", "IDLE", "0s"], ["flights/1", "ACTIVE", "(UPSTREAM)"]]
    said = [
        line
        for line in headgate("describe departures").out.splitlines()
        if line[:10] == "  flights:" and "since" in line
    ]
    assert [", UPSTREAM" in line for line in said] == [False, True]


def test_a_channel_that_is_held_by_the_stream_before_it_shows_which_one_that_is(
    memory: MemoryHeadgate, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(memory)
    memory.say("departures", "ACTIVE", reason="UPSTREAM")
    held = {"partition": 1, "status": "ACTIVE", "since_ms": memory.now_ms, "reason": "HELD", "because": "raw is PAUSED"}
    monkeypatch.setattr(connection.Connection, "live", lambda _: {"departures": [beat(memory, held)]})
    assert "flights/1   ACTIVE (HELD: raw is PAUSED)" in headgate("activity departures").out
    assert ", HELD: raw is PAUSED, heard from w1" in headgate("describe departures").out


def test_activity_of_a_paused_stream_tells_what_waits(
    memory: MemoryHeadgate, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(memory)
    memory.say("departures", "ACTIVE")
    memory.commands.pause("departures")
    drain(memory)
    monkeypatch.setattr(connection.Connection, "ends", lambda *_: {("flights", 0): 15, ("flights", 1): 10})
    assert [each["lag"] for each in headgate("activity departures -o json").json["channels"]] == [5, 0]


def test_the_past_is_kept_edge_by_edge(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory)
    memory.say("departures", "IDLE", partition=0, position=4)
    memory.advance(60_000)
    memory.say("departures", "ACTIVE", partition=0)
    rows = [line.split() for line in headgate("activity departures --edges").out.splitlines()]
    assert [row[:4] for row in rows[1:]] == [
        ["2026-01-01T00:00:00.000Z", "flights/0", "IDLE", "EMPTY"],
        ["2026-01-01T00:01:00.000Z", "flights/0", "ACTIVE", "RESUMED"],
    ]
    assert headgate("activity departures --edges --since 30s").out.count("flights/0") == 1
    assert headgate("activity nosuch --edges").err == "No edge is kept.\n"
    assert headgate("activity departures --since 30s").code == 2


def interrupted(memory: MemoryHeadgate, monkeypatch: pytest.MonkeyPatch, *steps: Any) -> None:
    """Let one step happen before each look at the edges, and then an interrupt."""
    left, follow = list(steps), memory.activity.follow

    def followed(_timeout_s: float | None = None) -> Iterator[ActivityEdge]:
        if not left:
            raise KeyboardInterrupt
        left.pop(0)()
        yield from follow(0)

    monkeypatch.setattr(memory.activity, "follow", followed)
    monkeypatch.setattr(watching, "SLICE_S", 0.0)
    monkeypatch.setattr(watching, "EDGES_S", 0.0)


def test_watch_shows_edges_among_the_transitions(
    memory: MemoryHeadgate, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(memory)
    memory.say("departures", "ACTIVE")
    create(memory, "arrivals")

    def pause() -> None:
        memory.advance(1_000)
        memory.commands.pause("departures", reason="new valve", when_idle=True)

    steps = (
        lambda: memory.say("departures", "IDLE", partition=0, position=3),
        pause,
        lambda: memory.say("departures", "IDLE", partition=1, position=9),
        lambda: None,
    )
    interrupted(memory, monkeypatch, *steps)
    ran = headgate("watch departures")
    assert ran.code == 0
    told = [line.split("  ") for line in ran.out.splitlines()]
    assert [line[1:4] for line in told] == [
        ["departures", "RUNNING", "version 4"],
        ["departures", "flights:0", "IDLE"],
        ["departures", "RUNNING", "version 5"],
        ["departures", "flights:1", "IDLE"],
        ["departures", "RUNNING → DRAINING", "version 6"],
    ]
    assert told[0][4] == "ACTIVE 0s"
    assert told[1][4:] == ["at 3 of 3 for 0.0 s", "stream ACTIVE (1 of 2 idle)"]
    assert told[3][5] == "stream IDLE (2 of 2 idle)"


def test_watch_as_json_has_the_state_on_every_line_and_the_edge_where_there_is_one(
    memory: MemoryHeadgate, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(memory)
    memory.say("departures", "ACTIVE")
    interrupted(memory, monkeypatch, lambda: memory.say("departures", "IDLE"))
    lines = [json.loads(line) for line in headgate("watch -o json").out.splitlines()]
    assert [line["state"]["status"] for line in lines] == ["RUNNING"] * 4
    assert [(line.get("edge") or {}).get("channel") for line in lines[1:]] == [
        {"topic": "flights", "partition": 0}, {"topic": "flights", "partition": 1}, None,
    ]  # fmt: skip
    assert [line["activity"]["status"] for line in lines][-1] == "IDLE"


def test_get_watch_shows_a_row_again_when_the_streams_activity_changes(
    memory: MemoryHeadgate, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(memory)
    memory.say("departures", "ACTIVE")
    interrupted(
        memory,
        monkeypatch,
        lambda: memory.say("departures", "IDLE", partition=0),
        lambda: memory.say("departures", "IDLE", partition=1),
    )
    rows = [line.split()[3] for line in headgate("get -w").out.splitlines()]
    assert rows == ["ACTIVITY", "ACTIVE", "IDLE"]


def test_activity_watch_tells_edges_and_what_becomes_of_the_stream(
    memory: MemoryHeadgate, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(memory)
    memory.say("departures", "ACTIVE")
    interrupted(
        memory,
        monkeypatch,
        lambda: memory.say("departures", "IDLE"),
        lambda: memory.commands.pause("departures"),
        lambda: memory.commands.delete("departures"),
    )
    follow = memory.state.follow
    monkeypatch.setattr(memory.state, "follow", lambda _: follow(0))
    told = [line.split("  ")[1:] for line in headgate("activity departures -w").out.splitlines()[-4:]]
    assert [line[:3] for line in told] == [
        ["departures", "flights:0", "IDLE"],
        ["departures", "flights:1", "IDLE"],
        ["departures", "RUNNING → DRAINING", "stream HELD (DRAINING)"],
        ["departures", "deleted"],
    ]


def test_activity_watch_tells_that_nobody_has_a_task_of_the_stream_any_more(
    memory: MemoryHeadgate, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(memory)
    memory.say("departures", "IDLE")
    interrupted(
        memory,
        monkeypatch,
        lambda: memory.report("departures", "worker-silent", {"lost": "w1"}),
        lambda: memory.commands.delete("departures"),
    )
    follow = memory.state.follow
    monkeypatch.setattr(memory.state, "follow", lambda _: follow(0))
    told = [line.split("  ")[1:] for line in headgate("activity departures -w").out.splitlines()[-2:]]
    assert told == [["departures", "RUNNING", "stream OWNERLESS"], ["departures", "deleted"]]


def test_delete_when_drained_and_idle_for_waits_visibly(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory)
    memory.say("departures", "ACTIVE")
    ran = headgate("delete departures --when-drained-and-idle-for 10m --command-id d1 --reason season")
    assert ran.code == 0
    assert ran.out == (
        "departures: delete is scheduled once it has been idle for 10m and is drained;"
        " withdraw it with: headgate cancel d1\n"
    )

    def waits() -> str:
        out = headgate("describe departures").out
        return out[out.index("Scheduled commands:") :].splitlines()[2]

    shown = headgate("describe departures").out
    assert 'Scheduled commands:\n  delete when drained and idle for 10m, by ana ("season")\n' in shown
    assert waits() == "    waits: 0 of 2 partitions idle"
    memory.say("departures", "IDLE")
    memory.advance(200_000)
    assert waits() == "    waits: it has been idle for 3m20s of 10m; a record begins this anew"
    memory.report("departures", "worker-silent", {"lost": "w1"})
    assert waits() == "    waits: no worker has a task of it"
    memory.commands.pause("departures")
    assert waits() == "    waits: the stream is DRAINING, and only one that is RUNNING can become idle"
    assert headgate("cancel d1").code == 0
    assert "Scheduled commands" not in headgate("describe departures").out


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("--when-drained-and-idle-for soon", 2, "--when-drained-and-idle-for is not a duration: 'soon'."),
        ("--when-drained-and-idle-for 0s", 2, "--when-drained-and-idle-for is no time at all."),
        ("--when-drained-and-idle-for 5m --wait", 2, "--wait does not go with --when-drained-and-idle-for."),
        ("--when-drained-and-idle-for 5m --dry-run", 0, "It would be scheduled and decided when due."),
    ],
)
def test_a_time_of_idleness_that_cannot_be_waited_for_is_refused_in_one_sentence(
    memory: MemoryHeadgate, headgate: Headgate, line: str, code: int, said: str
) -> None:
    run(memory)
    ran = headgate(f"delete departures {line}")
    assert ran.code == code
    assert said in ran.out + ran.err
    assert not memory.state.snapshot()["departures"].scheduled


def test_a_command_for_an_idleness_that_never_comes_is_refused_and_one_that_waits_already_says_so(
    memory: MemoryHeadgate, headgate: Headgate
) -> None:
    run(memory)
    headgate("pause departures --when-idle")
    config = memory.state.snapshot()["departures"].config.model_dump(mode="json")
    memory.commands.modify("departures", {**config, "idleness": {**config["idleness"], "markers": "off"}})
    shown = headgate("describe departures").out
    assert "    waits: this will not come: its markers are off (idleness.markers)\n" in shown
    ran = headgate("pause departures --when-idle")
    assert ran.code == 2
    assert "departures is never said to be idle: its markers are off (idleness.markers)." in ran.err
    assert "(stream.never_idle)" in ran.err


def test_a_stream_that_sleeps_says_so_and_is_kept_paused_by_whoever_pauses_it(
    memory: MemoryHeadgate, headgate: Headgate
) -> None:
    run(memory, idleness={"auto_pause_after_s": 60})
    memory.say("departures", "IDLE")
    memory.advance(60_000)
    drain(memory)
    assert cell(headgate, "REASON/BY") == "Idle for 60 s; it goes on when its source moves. (by auto-pause)"
    assert headgate("pause departures").out == "departures: pause accepted, now PAUSED (version 10)\n"
    assert cell(headgate, "REASON/BY") == "by ana"
    assert "It is paused already." in headgate("pause departures").err


def test_one_partition_that_has_ended_is_not_the_end_of_event_time_and_has_no_lag(
    memory: MemoryHeadgate, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(memory)
    memory.say("departures", "ACTIVE", watermark=1_767_225_599_999)
    memory.say("departures", "FINISHED", partition=0, position=10)
    memory.say("departures", "IDLE", partition=1, position=10)
    monkeypatch.setattr(connection.Connection, "ends", lambda *_: {("flights", 0): 500, ("flights", 1): 10})
    told = headgate("activity departures -o json").json
    assert (told["status"], told["watermark"]) == ("IDLE", 1_767_225_599_999)
    assert [(each["status"], each["lag"]) for each in told["channels"]] == [("FINISHED", 0), ("IDLE", 0)]
    memory.say("departures", "FINISHED", partition=1)
    assert headgate("activity departures -o json").json["status"] == "FINISHED"


def test_activity_names_a_worker_that_holds_no_partition(
    memory: MemoryHeadgate, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(memory)
    memory.say("departures", "IDLE", position=10)
    empty = beat(memory, partitions=[], activity="IDLE", activity_reason="NO_ASSIGNMENT")
    monkeypatch.setattr(connection.Connection, "live", lambda _: {"departures": [empty]})
    shown = headgate("activity departures").out.splitlines()
    assert shown[-1] == "w1 is IDLE: it holds no partition of it (NO_ASSIGNMENT)."
    assert headgate("activity departures -o json").json["workers"] == [
        {"worker": "w1", "partitions": 0, "status": "IDLE", "reason": "NO_ASSIGNMENT"}
    ]
