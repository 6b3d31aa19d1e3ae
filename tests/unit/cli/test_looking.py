"""get, describe, history and watch: golden output of the plain tables, every form, and what hostile texts become."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from headgate.cli import columns, connection, output, watching
from headgate_events.testing import MemoryHeadgate
from tests.unit.cli.conftest import Headgate, assert_golden, create, drain, run

ERROR = {
    "id": "e1", "code": "log.unavailable", "recoverable": True, "message": "No broker answers.", "worker": "w1",
    "topic": "flights", "partition": 1, "offset": 7,
}  # fmt: skip


def fail(memory: MemoryHeadgate, **more: Any) -> None:
    error = {**ERROR, "first_seen_ms": memory.now_ms, "last_seen_ms": memory.now_ms, **more}
    memory.report("departures", "error-raised", {"error": error}, worker="w1")


def story(memory: MemoryHeadgate) -> None:
    """One stream that was paused and another that was only defined."""
    run(memory, labels={"team": "ops"})
    memory.advance(10_000)
    memory.commands.pause("departures", actor="bob", reason="new valve")
    memory.advance(1_000)
    drain(memory)
    memory.advance(90_000)
    create(memory, "arrivals")
    memory.advance(5_000)


def test_get_lists_streams(memory: MemoryHeadgate, headgate: Headgate) -> None:
    story(memory)
    ran = headgate("get")
    assert (ran.code, ran.err) == (0, "")
    assert_golden("get", ran.out)


def test_get_wide_shows_more(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory, labels={"team": "ops", "a": "b"})
    fail(memory)
    lines = headgate("get -o wide").out.splitlines()
    assert lines[0].split() == [
        "NAME", "STATUS", "SINCE", "ACTIVITY", "REVISION", "TASKS", "FAILED", "CONDITIONS", "PROOF", "VERSION",
        "SOURCE", "DESTINATION", "ERROR", "LABELS", "REASON/BY",
    ]  # fmt: skip
    assert lines[1].split() == [
        "departures", "FAILED", "0s", "HELD", "(FAILED)", "1/1", "1/1", "p1", "of", "2", "-", "-", "5", "kafka:flights",
        "kafka:departures", "log.unavailable", "a=b,team=ops", "by", "worker:w1",
    ]  # fmt: skip


def test_get_by_name_keeps_the_order_and_says_what_is_missing(memory: MemoryHeadgate, headgate: Headgate) -> None:
    for name in ("a", "b", "c"):
        create(memory, name)
    ran = headgate("get c nosuch a c -o name")
    assert (ran.code, ran.out) == (2, "c\na\n")
    assert ran.err == "There is no stream nosuch in headgate. See `headgate get`. (stream.not_found)\n"


def test_get_by_label(memory: MemoryHeadgate, headgate: Headgate) -> None:
    create(memory, "a", labels={"team": "ops"})
    create(memory, "b", labels={"team": "dev"})
    assert headgate("get -l team!=dev -o name").out == "a\n"
    ran = headgate("get -l team=nobody")
    assert (ran.code, ran.out, ran.err) == (0, "", "No stream in headgate matches team=nobody.\n")
    assert headgate("get a -l team=ops").code == 2


def test_get_of_nothing_is_no_error(memory: MemoryHeadgate, headgate: Headgate) -> None:
    ran = headgate("get")
    assert (ran.code, ran.out, ran.err) == (0, "", "No stream in headgate.\n")
    assert headgate("get -o json").json == {"items": []}


def test_get_as_json_and_yaml_is_one_object_for_one_name_and_a_list_otherwise(
    memory: MemoryHeadgate, headgate: Headgate
) -> None:
    run(memory)
    one = headgate("get departures -o json").json
    assert (one["stream"], one["status"], one["config"]["source"]["topic"]) == ("departures", "RUNNING", "flights")
    assert headgate("get -o json").json == {"items": [one]}
    assert yaml.safe_load(headgate("get departures -o yaml").out) == one
    assert yaml.safe_load(headgate("get -o yaml").out) == {"items": [one]}
    ran = headgate("get nosuch -o json")
    assert (ran.code, ran.out) == (2, "")


def test_a_hostile_reason_cannot_forge_a_line_of_the_table(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory)
    memory.commands.pause("departures", actor="eve", reason="x\n\x1b[2Jarrivals   RUNNING\r[red]")
    for line in ("get", "describe departures", "history departures", "watch --timeout 0s"):
        out = headgate(line).out
        assert "\x1b" not in out
        assert "\r" not in out
        assert not any(row.startswith("arrivals") for row in out.splitlines())
    assert "[red]" in headgate("get").out


def test_describe_shows_a_drain_with_its_receipts_and_the_last_transitions(
    memory: MemoryHeadgate, headgate: Headgate
) -> None:
    story(memory)
    ran = headgate("describe departures")
    assert ran.code == 0
    assert_golden("describe", ran.out)


def test_describe_shows_errors_conditions_checks_and_what_waits(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory)
    check = {
        "name": "destination",
        "result": "failed",
        "code": "topic.missing",
        "message": "No topic.",
        "hint": "Make it.",
    }
    memory.report("departures", "revision-rejected", {"revision": 1, "checks": [check]}, worker="w1")
    memory.commands.pause("departures", actor="bob", reason="later", command_id="p1", when_idle=True)
    fail(memory, next_retry_ms=memory.now_ms + 3_000)
    memory.report("departures", "condition-raised", {"condition": "position_at_risk", "message": "An hour is left."})
    out = headgate("describe departures").out
    for line in (
        "Conditions:\n  position_at_risk for 0s: An hour is left.\n",
        "Error:\n  No broker answers. (log.unavailable, recoverable, id e1)\n",
        "first 2026-01-01T00:00:00.000Z, last 2026-01-01T00:00:00.000Z, 1 time\n",
        "    at flights, partition 1, offset 7, on worker w1\n",
        "    next try 2026-01-01T00:00:03.000Z, in 3 s\n",
        "    FAILED: destination: No topic. Make it. (topic.missing)\n",
        'Scheduled commands:\n  pause when idle, by bob ("later")\n    waits: the stream is FAILED, and only one',
        " that is RUNNING can become idle\n    withdraw it with: headgate cancel p1\n",
    ):
        assert line in out, line


def test_describe_of_several_and_of_none(memory: MemoryHeadgate, headgate: Headgate) -> None:
    create(memory, "a")
    create(memory, "b")
    ran = headgate("describe a b nosuch")
    assert ran.code == 2
    assert ran.out.count("Name: ") == 2
    assert "\n\nName:         b\n" in ran.out
    assert headgate("describe a -o json").json["stream"] == "a"


def test_history_shows_who_when_and_why(memory: MemoryHeadgate, headgate: Headgate) -> None:
    story(memory)
    ran = headgate("history departures --from-version 4")
    assert_golden("history", ran.out)


def test_history_with_outcomes_shows_refusals_and_dry_runs(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory)
    memory.commands.resume("departures", actor="bob")
    memory.commands.pause("departures", actor="bob", dry_run=True)
    plain, whole = headgate("history departures").out, headgate("history departures --outcomes").out
    assert "refused" not in plain
    assert "resume refused (stream." in whole
    assert "pause accepted, dry run" in whole


def test_history_as_json_carries_cause_and_place(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory)
    items = headgate("history departures -o json").json["items"]
    assert [item["kind"] for item in items] == ["stream-created", "stream-starting", "stream-started", "task-started"]
    assert items[0]["cause"]["type"] == "headgate.command.create.v1"
    assert items[0]["at"]["topic"] == "headgate.history"


def test_history_of_all_streams_since_a_time_and_its_tail(memory: MemoryHeadgate, headgate: Headgate) -> None:
    story(memory)
    out = headgate("history --since 1m").out.splitlines()
    assert [row.split()[0] for row in out] == ["STREAM", "arrivals"]
    assert headgate("history --tail 1 -o json").json["items"][0]["stream"] == "arrivals"
    assert headgate("history --since 2026-01-01T00:00:10Z --tail 2").out.count("\n") == 3
    assert headgate("history -o name").out == "departures\narrivals\n"


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("history nosuch", 2, "There is no history of nosuch in headgate. See `headgate get`."),
        ("history --since 1s", 0, "There is no history in headgate that new."),
        ("history departures --since soon", 2, "--since is not a time: 'soon'."),
        ("history --from-version 3", 2, "from_version needs a stream."),
        ("history departures --from-version 0", 2, "Invalid value for '--from-version'"),
        ("history Departures", 2, "'Departures' is not a stream name."),
        ("watch --timeout soon", 2, "--timeout is not a duration"),
        ("watch a -l b=c", 2, "Names and --selector do not go together."),
        ("get Departures", 2, "'Departures' is not a stream name."),
        ("describe -l ==", 2, "--selector cannot be read"),
    ],
)
def test_a_bad_question_is_answered_in_one_sentence(
    memory: MemoryHeadgate, headgate: Headgate, line: str, code: int, said: str
) -> None:
    run(memory)
    memory.advance(3_600_000)
    ran = headgate(line)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


def test_watch_shows_what_is_and_then_each_change(
    memory: MemoryHeadgate, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(memory)
    follow = memory.state.follow

    def followed(timeout_s: float | None = None) -> Any:
        memory.commands.pause("departures", actor="bob", reason="new valve")
        yield from follow(0)
        memory.commands.delete("departures", actor="bob")
        yield from follow(0)
        raise KeyboardInterrupt

    monkeypatch.setattr(memory.state, "follow", followed)
    ran = headgate("watch")
    assert (ran.code, ran.err) == (0, "")
    first, second, third = ran.out.splitlines()
    assert first == "2026-01-01T00:00:00.000Z  departures  RUNNING  version 4  go (by ana)"
    assert second == (
        "2026-01-01T00:00:00.000Z  departures  RUNNING → DRAINING  version 5  "
        "0 of 2 partitions drained  new valve (by bob)"
    )
    assert third.endswith("  departures  deleted")


def test_watch_as_json_writes_one_object_on_a_line(memory: MemoryHeadgate, headgate: Headgate) -> None:
    create(memory, "a")
    create(memory, "b", labels={"team": "ops"})
    ran = headgate("watch -l team=ops -o json --timeout 0s")
    assert ran.out.count("\n") == 1
    assert (ran.json["stream"], ran.json["state"]["status"]) == ("b", "NOT_STARTED")


def test_on_a_terminal_tables_are_drawn_and_hostile_markup_stays_text(
    memory: MemoryHeadgate, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(memory)
    memory.commands.pause("departures", actor="eve", reason="[red]x[/red]")
    monkeypatch.setattr(output, "for_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    out = headgate("get").out
    assert "─" in out
    assert "[red]x[/red]" in out


def test_no_color_is_honoured(memory: MemoryHeadgate, headgate: Headgate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "for_terminal", lambda: True)
    assert output.coloured("RUNNING", "bold green") == "\x1b[1;32mRUNNING\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.coloured("RUNNING", "bold green") == "RUNNING"


def failing(status: str, *errors: dict[str, Any], carries_on: bool = False, count: int = 8) -> dict[str, Any]:
    return {
        "status": status,
        "carries_on": carries_on,
        "partitions": {"flights": count},
        "errors": {str(number): {"topic": "flights", **error} for number, error in enumerate(errors)},
    }


@pytest.mark.parametrize(
    ("state", "cell"),
    [
        (failing("RUNNING"), ""),
        (failing("FAILED", {"partition": 4, "next_retry_ms": 22_000}, {"partition": 1}), "p1,p4 of 8, retry in 12s"),
        (failing("FAILED", {"partition": None, "next_retry_ms": 9_000}), "all, retries now"),
        (failing("FAILED_PERMANENTLY", {"partition": 1}, carries_on=True), "p1 of 8"),
        (failing("FAILED_PERMANENTLY", {"partition": 1}), "all"),
        (failing("FAILED", *({"partition": number} for number in range(7))), "p0,p1,p2,p3,+3 of 8"),
    ],
)
def test_get_says_which_partitions_failed_and_when_the_next_try_is(state: dict[str, Any], cell: str) -> None:
    assert columns.failed_cell(state, 10_000) == cell


def test_describe_names_the_failed_partitions_and_the_next_try(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory)
    fail(memory, next_retry_ms=memory.now_ms + 12_000)
    out = headgate("describe departures").out
    assert "Failed:       flights:1 (of 2)" in out
    assert "Next try:" in out


def test_get_watch_goes_on_with_a_row_for_each_change(
    memory: MemoryHeadgate, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(memory)
    follow = memory.state.follow

    def followed(timeout_s: float | None = None) -> Any:
        memory.commands.pause("departures", actor="bob")
        yield from follow(0)
        memory.commands.delete("departures", actor="bob")
        yield from follow(0)
        raise KeyboardInterrupt

    monkeypatch.setattr(memory.state, "follow", followed)
    ran = headgate("get -w")
    assert ran.code == 0
    assert [line.split()[:2] for line in ran.out.splitlines()[:3]] == [
        ["NAME", "STATUS"], ["departures", "RUNNING"], ["departures", "DRAINING"],
    ]  # fmt: skip
    assert len({line.index(word) for line, word in zip(ran.out.splitlines()[1:3], ("1/1", "1/1"), strict=True)}) == 1


def test_watch_tells_how_a_drain_goes_and_says_nothing_twice(
    memory: MemoryHeadgate, headgate: Headgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(memory)
    memory.commands.pause("departures", actor="bob")
    state = memory.state.snapshot()["departures"]
    said = {
        "stream": "departures", "incarnation": state.incarnation, "epoch": state.epoch, "phase": "draining",
        "partitions": [["flights", 0], ["flights", 1]], "partitions_drained": 0, "in_flight": 7,
        "waits_for": "the destination",
    }  # fmt: skip
    beats = [
        said,
        said,
        said | {"partitions_drained": 1, "in_flight": 0, "waits_for": None},
        said | {"epoch": 0, "phase": "running"},
    ]

    def live(_: object) -> dict[str, list[connection.LiveTask]]:
        if not beats:
            raise KeyboardInterrupt
        return {"departures": [connection.LiveTask("w1", beats.pop(0))]}

    monkeypatch.setattr(connection.Connection, "live", live)
    monkeypatch.setattr(watching, "LOOK_EVERY_S", 0.0)
    late = f"has not heard of epoch {state.epoch} yet"
    ran = headgate("watch")
    assert [line.partition("drained  ")[2] for line in ran.out.splitlines()[1:]] == [
        "w1: draining, 0 of 2 partitions drained, 7 records in flight, waits for the destination",
        "w1: draining, 1 of 2 partitions drained, 0 records in flight",
        f"w1: running, 2 partitions, 7 records in flight, waits for the destination, {late}",
    ]
