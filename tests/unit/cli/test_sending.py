"""The verbs that send commands: what is printed, in which form, with which exit code."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from headgate.cli import connection
from headgate_events.errors import ClusterUnreachable, OutcomeTimeout
from headgate_events.testing import MemoryHeadgate
from tests.unit.cli.conftest import Headgate, create, drain, run

FAILED_CHECK = {
    "name": "source", "result": "failed", "code": "topic.missing", "message": "No topic.", "hint": "Make it.",
}  # fmt: skip


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Lets something happen after a command was answered and before its goal is waited for."""
    follow = connection.Connection.follow

    def happens(act: Callable[[], Any]) -> None:
        def acted(self: connection.Connection, timeout_s: float | None) -> Any:
            act()
            return follow(self, timeout_s)

        monkeypatch.setattr(connection.Connection, "follow", acted)

    return happens


Meanwhile = Callable[[Callable[[], Any]], None]


def timeless(text: str) -> str:
    return re.sub(r"after [0-9.]+ s", "after … s", text)


def last_of(memory: MemoryHeadgate) -> dict[str, Any]:
    """The last outcome of the history."""
    return [item.record.model_dump(mode="json") for item in memory.history.read()][-1]  # type: ignore[union-attr]


def test_a_command_is_answered_with_where_it_led(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory)
    ran = headgate("pause departures --reason maintenance")
    assert (ran.code, ran.out, ran.err) == (0, "departures: pause accepted, now DRAINING (version 5)\n", "")


def test_actor_and_reason_stand_in_the_history(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory)
    headgate("pause departures --reason 'new valve' --actor bob")
    assert (last_of(memory)["actor"], last_of(memory)["reason"]) == ("bob", "new valve")
    headgate("cancel-drain departures")
    assert last_of(memory)["actor"] == "ana"


def test_a_refusal_goes_to_standard_error_with_its_code_and_hint(memory: MemoryHeadgate, headgate: Headgate) -> None:
    create(memory)
    ran = headgate("pause departures")
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(r"departures: pause refused: .+ \(stream\.[a-z_]+\)\n", ran.err)


def test_a_refusal_is_json_on_standard_output_too(memory: MemoryHeadgate, headgate: Headgate) -> None:
    create(memory)
    ran = headgate("pause departures -o json --command-id mine")
    assert (ran.code, ran.err) == (2, "")
    assert ran.json["outcome"] == "refused"
    assert ran.json["code"].startswith("stream.")
    assert (ran.json["exit_code"], ran.json["command_id"]) == (2, "mine")


def test_several_names_are_all_tried_and_the_worst_code_counts(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory, "a")
    create(memory, "b")
    run(memory, "c")
    ran = headgate("pause a b c nosuch")
    assert ran.code == 2
    assert ran.out == "a: pause accepted, now DRAINING (version 5)\nc: pause accepted, now DRAINING (version 5)\n"
    assert [line.partition(":")[0] for line in ran.err.splitlines()] == ["b", "nosuch"]
    assert [item["outcome"] for item in headgate("cancel-drain a b -o json").json["items"]] == ["accepted", "refused"]


def test_a_selector_names_streams_by_label(memory: MemoryHeadgate, headgate: Headgate) -> None:
    create(memory, "a", labels={"team": "ops"})
    create(memory, "b", labels={"team": "dev"})
    create(memory, "c", labels={"team": "ops"})
    assert headgate("start -l team=ops -o name").out == "a\nc\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("start", "No stream is named. Give names, or --selector."),
        ("start a -l team=ops", "Names and --selector do not go together."),
        ("start -l team=nobody", "No stream in headgate matches --selector team=nobody."),
        ("start -l '=='", "--selector cannot be read at '=='."),
        ("start Departures", "'Departures' is not a stream name."),
        ("start a --timeout soon", "--timeout is not a duration: 'soon'."),
        ("start a --not-before soon", "--not-before is not a time: 'soon'."),
        ("start a --not-before 2026-01-01T00:00:00", "--not-before does not say its time zone"),
        ("start a --wait --dry-run", "--wait does not go with --dry-run"),
        ("start a --wait --when-idle", "--wait does not go with --dry-run, --not-before or --when-idle"),
        ("start a b --command-id x", "--command-id takes exactly one stream."),
        ("start a --command-id ''", "--command-id is not valid."),
        ("start a --command-id " + "x" * 129, "--command-id is not valid."),
        ("start a b --expected-version 3", "--expected-version takes exactly one stream."),
        ("start a --actor ''", "--actor is not valid."),
        ("start a --reason " + "x" * 1_001, "--reason is longer than 1,000 characters."),
        ("start a --expected-version -1", "Invalid value for '--expected-version'"),
        ("start a --expected-version two", "Invalid value for '--expected-version'"),
        ("start a -o xml", "Invalid value for '--output' / '-o'"),
        ("recover a --at ealiest", "--at is not a position: 'ealiest'."),
        ("recover a --offsets x", "--offsets cannot be read: 'x'."),
        ("recover a --skip x", "--skip cannot be read: 'x'."),
        ("recover a --at latest --skip f:0=1", "--at, --offsets and --skip do not go together."),
        ("cancel", "Missing argument 'COMMAND_ID'."),
        ("pause a --frce", "No such option: --frce"),
        ("paus a", "No such command 'paus'. Did you mean 'pause'?"),
        ("create", "Missing option '--file' / '-f'."),
    ],
)
def test_a_bad_command_line_is_one_sentence_and_sends_nothing(
    memory: MemoryHeadgate, headgate: Headgate, line: str, said: str
) -> None:
    create(memory, "a")
    ran = headgate(line)
    assert ran.code == 2
    assert ran.out == ""
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert last_of(memory)["input_type"] == "headgate.command.create.v1"


def test_the_same_id_gets_the_same_answer(memory: MemoryHeadgate, headgate: Headgate) -> None:
    create(memory)
    first = headgate("start departures --command-id once -o json").json
    again = headgate("start departures --command-id once -o json").json
    assert (first["outcome"], first["version"]) == (again["outcome"], again["version"])
    assert memory.state.get("departures").version == first["version"]  # type: ignore[union-attr]


def test_an_expected_version_that_is_not_met_refuses(memory: MemoryHeadgate, headgate: Headgate) -> None:
    create(memory)
    assert headgate("start departures --expected-version 9").code == 2
    assert headgate("start departures --expected-version 1").code == 0


def test_a_dry_run_changes_nothing_and_says_so(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory)
    ran = headgate("pause departures --dry-run")
    assert ran.code == 0
    assert ran.out.startswith("departures: pause would be accepted (dry run): ")
    ran = headgate("resume departures --dry-run")
    assert ran.code == 2
    assert "resume would be refused: " in ran.err
    assert memory.state.get("departures").status == "RUNNING"  # type: ignore[union-attr]


def test_a_command_for_later_is_answered_as_scheduled_and_can_be_cancelled(
    memory: MemoryHeadgate, headgate: Headgate
) -> None:
    run(memory)
    ran = headgate("pause departures --not-before 2026-01-02T00:00:00Z --command-id later")
    assert (ran.code, ran.out) == (
        0,
        "departures: pause is scheduled for 2026-01-02T00:00:00.000Z; withdraw it with: headgate cancel later\n",
    )
    assert headgate("pause departures --when-idle --command-id idle").out == (
        "departures: pause is scheduled once it is idle; withdraw it with: headgate cancel idle\n"
    )
    assert headgate("cancel later").code == 0
    assert headgate("cancel idle --stream departures").code == 0
    assert not memory.state.get("departures").scheduled  # type: ignore[union-attr]


def test_an_unknown_waiting_command_is_not_found(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory)
    ran = headgate("cancel nothing")
    assert ran.code == 2
    assert "No stream in headgate holds a waiting command 'nothing'." in ran.err


def test_an_id_that_waits_in_two_streams_needs_the_stream(memory: MemoryHeadgate, headgate: Headgate) -> None:
    for name in ("a", "b"):
        run(memory, name)
        headgate(f"pause {name} --not-before 2026-01-02T00:00:00Z --command-id same")
    ran = headgate("cancel same")
    assert (ran.code, "Say which with --stream." in ran.err) == (2, True)
    assert headgate("cancel same --stream b").code == 0


def test_pause_waits_for_every_receipt(memory: MemoryHeadgate, headgate: Headgate, meanwhile: Meanwhile) -> None:
    run(memory)
    meanwhile(lambda: drain(memory))
    ran = headgate("pause departures --wait")
    assert (ran.code, timeless(ran.out)) == (0, "departures: PAUSED after … s (version 9)\n")
    assert ran.err.splitlines()[0] == "departures: DRAINING, 0 of 2 partitions drained"


def test_start_waits_for_running(memory: MemoryHeadgate, headgate: Headgate, meanwhile: Meanwhile) -> None:
    create(memory)
    meanwhile(lambda: memory.report("departures", "validation-passed", {"partitions": {"flights": 2}}, worker="w1"))
    ran = headgate("start departures --wait -o json")
    assert ran.code == 0
    assert (ran.json["goal"]["wanted"], ran.json["goal"]["reached"], ran.json["status"]) == ("RUNNING", True, "RUNNING")


def test_start_stops_waiting_when_validation_fails_and_lists_what_failed(
    memory: MemoryHeadgate, headgate: Headgate, meanwhile: Meanwhile
) -> None:
    create(memory)
    meanwhile(lambda: memory.report("departures", "validation-failed", {"checks": [FAILED_CHECK]}, worker="w1"))
    ran = headgate("start departures --wait")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[1:] == [
        "departures: start was accepted, but the stream did not pass its validation (version 3)",
        "  FAILED: source: No topic. Make it. (topic.missing)",
    ]


def test_a_stream_that_goes_elsewhere_ends_the_waiting(
    memory: MemoryHeadgate, headgate: Headgate, meanwhile: Meanwhile
) -> None:
    run(memory)
    meanwhile(lambda: memory.commands.cancel_drain("departures", actor="bob", reason="too soon"))
    ran = headgate("pause departures --wait")
    assert ran.code == 1
    assert 'pause was accepted, but the stream is RUNNING since 2026-01-01T00:00:00.000Z by bob ("too soon")' in ran.err


def test_a_goal_that_is_not_reached_in_time_says_how_far_it_came(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory)
    ran = headgate("pause departures --wait --timeout 200ms")
    assert ran.code == 1
    assert ran.err.splitlines()[-1] == (
        "departures: pause was accepted, but the stream is not PAUSED after 0.2 s: "
        "DRAINING, 0 of 2 partitions drained (version 5)"
    )


def test_delete_waits_until_it_is_gone(memory: MemoryHeadgate, headgate: Headgate, meanwhile: Meanwhile) -> None:
    run(memory)
    meanwhile(lambda: drain(memory))
    ran = headgate("delete departures --drain --wait")
    assert (ran.code, timeless(ran.out)) == (0, "departures: deleted after … s (version 5)\n")
    assert headgate("get departures").code == 2


def test_pause_with_force_gives_up_on_the_drain(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory)
    ran = headgate("pause departures --force --wait")
    assert (ran.code, timeless(ran.out)) == (0, "departures: PAUSED after … s (version 5)\n")
    assert "unclean" in memory.state.get("departures").conditions  # type: ignore[union-attr]


def test_recover_carries_its_positions(memory: MemoryHeadgate, headgate: Headgate, meanwhile: Meanwhile) -> None:
    run(memory)
    error = {
        "id": "e1", "code": "position.lost", "recoverable": False, "message": "Gone.", "first_seen_ms": memory.now_ms,
        "last_seen_ms": memory.now_ms,
    }  # fmt: skip
    memory.report("departures", "error-raised", {"error": error}, worker="w1")
    ran = headgate("recover departures --offsets flights:0=42 --command-id again --timeout 200ms -o json")
    assert (ran.code, ran.json["outcome"]) == (1, "unknown")
    checking = memory.state.get("departures").checking  # type: ignore[union-attr]
    assert checking is not None
    assert checking.payload["positions"] == {"policy": "offsets", "offsets": {"flights": {"0": 42}}}


class Silent:
    """Commands to a cluster whose projector does not run, or that is not there."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.command_id = "sent"

    def send(self, *_: Any, **__: Any) -> Silent:
        if self.error is not None:
            raise self.error
        return self

    def outcome(self, timeout_s: float) -> Any:
        raise OutcomeTimeout("No outcome came.", hint="Is a projector running?")


@pytest.mark.parametrize(
    ("error", "code", "outcome"),
    [(None, 1, "unknown"), (ClusterUnreachable("Nobody answers.", hint="Start it."), 3, "not_sent")],
)
def test_what_was_not_answered_keeps_its_id_for_a_safe_retry(
    memory: MemoryHeadgate, headgate: Headgate, error: Exception | None, code: int, outcome: str
) -> None:
    memory.commands = Silent(error)  # type: ignore[assignment]
    ran = headgate("pause departures --command-id mine")
    assert ran.code == code
    assert ran.err.endswith("(command id mine)\n")
    assert headgate("pause departures --command-id mine -o json").json["outcome"] == outcome


def test_yaml_says_the_same_as_json(memory: MemoryHeadgate, headgate: Headgate) -> None:
    run(memory)
    ran = headgate("pause departures -o yaml")
    assert ran.out.startswith("stream: departures\ncommand: pause\ncommand_id: ")
    assert "\nexit_code: 0\n" in ran.out


def test_ctrl_c_while_an_answer_is_awaited_says_what_was_sent(memory: MemoryHeadgate, headgate: Headgate) -> None:
    class Interrupted(Silent):
        done = False

        def outcome(self, timeout_s: float) -> Any:
            raise KeyboardInterrupt

    memory.commands = Interrupted(None)  # type: ignore[assignment]
    ran = headgate("pause departures")
    assert (ran.code, ran.out) == (130, "")
    assert ran.err == "departures: pause was sent and may still take effect (command id sent)\n"
