"""`headgate dead-letters` and `describe`, of a stream that sets records aside while it runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from headgate.cli import main
from headgate.ports.errors import ProducerFenced
from tests.integration.worker.conftest import Headgate, numbers
from tests.support.eventually import eventually

Command = Callable[..., str]
STOPS = {"source": {"kind": "kafka", "topic": "anything"}, "destination": {"kind": "discard"}, "on_error": "stop"}
BEAR = "tests.integration.worker.transforms:bear_unless"


@pytest.fixture
def command(headgate: Headgate, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run one command line, check its exit code and return what it printed."""
    monkeypatch.setenv("HEADGATE_TRANSFORM_MODULES", "tests.integration.worker.transforms")

    def run(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        ended = main.run([*words, "--bootstrap-servers", headgate.servers, "-n", headgate.namespace])
        printed = capsys.readouterr()
        assert ended == code, printed.err
        # The worker is a thread of this process, and speaks on the same standard output.
        return "\n".join(line for line in printed.out.splitlines() if not re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d", line))

    return run


def bearing(headgate: Headgate, bad: list[int], count: int = 60, **more: Any) -> tuple[str, str]:
    """Run a stream that sets `bad` aside, until it has moved the others."""
    source, target = headgate.source("source", 1), headgate.source("destination", 1)
    headgate.produce(source, count, partitions=1)
    headgate.worker("a")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": target},
        transform={"function": BEAR, "settings": {"bad": bad}},
        on_error="dead_letter",
        **more,
    )
    headgate.until_moved(target, count - len(bad))
    return source, target


def modified(headgate: Headgate, bad: list[int]) -> None:
    """Let the stream bear all but `bad` from now on."""
    state = headgate.get("orders")
    changes = {"transform": {"function": BEAR, "settings": {"bad": bad}}}
    revision = state.revision.desired + 1
    headgate.done(headgate.commands.modify("orders", state.config.model_dump(mode="json") | changes))
    headgate.until("orders", "runs it", lambda state: state.revision.applied == revision)


def letters(command: Command) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(command("dead-letters", "list", "orders", "-o", "json"))["items"]
    return found


def test_what_was_set_aside_is_listed_shown_and_exported_as_it_was(headgate: Headgate, command: Command) -> None:
    source, destination = headgate.source("source", 1), headgate.source("destination", 1)
    headgate.produce(source, 60, partitions=1)
    headgate.worker("a")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "kafka", "topic": destination},
        transform={"function": "tests.integration.worker.transforms:stop_at", "settings": {"number": 42}},
        on_error="dead_letter",
    )
    assert numbers(headgate.until_moved(destination, 59)) == [number for number in range(60) if number != 42]

    (letter,) = json.loads(command("dead-letters", "list", "orders", "-o", "json"))["items"]
    assert (letter["topic"], letter["partition"], letter["offset"]) == (source, 0, 42)
    assert (letter["value"], letter["key"], letter["headers"]) == ("42", "key-42", [])
    assert (letter["code"], letter["attempt"], letter["stream"]) == ("transform.failed", 1, "orders")
    assert f"{source}:0@42" in command("dead-letters", "list", "orders")
    assert command("dead-letters", "list", "orders", "-o", "name", "--code", "other.code") == ""
    shown = json.loads(command("dead-letters", "show", "orders", letter["number"], "-o", "json"))
    assert shown == letter == json.loads(command("dead-letters", "export", "orders"))
    command("dead-letters", "show", "orders", "0:999999", code=2)
    for what in ("list", "export"):
        assert command("dead-letters", what, "never-was", code=2) == ""
    headgate.done(headgate.commands.create("no-letters", STOPS))
    assert command("dead-letters", "list", "no-letters") == ""

    def described() -> bool:
        said = command("describe", "orders")
        assert "Now, by the workers' heartbeats:" in said
        return "a: running, 1 partition, 0 records in flight" in said

    eventually(described, 60, "a heartbeat says that nothing is in flight")


def test_dead_letters_are_retried_once_through_the_present_transform_and_that_is_remembered(
    headgate: Headgate, command: Command
) -> None:
    _, destination = bearing(headgate, [7, 42, 43])
    modified(headgate, [43])
    planned = json.loads(command("dead-letters", "retry", "orders", "--all", "--dry-run", "-o", "json", code=1))
    assert (planned["sent"], len(planned["failed_again"]), planned["promise"]) == (2, 1, "exactly_once")
    assert len(headgate.read(destination)) == 57, "a dry run sends nothing"
    assert [each["retried"] for each in letters(command)] == [None, None, None]

    told = json.loads(
        command(
            "dead-letters", "retry", "orders", "--all", "-o", "json", "--actor", "ana", "--reason", "mended", code=1
        )
    )
    assert (told["sent"], told["outputs"], told["already"], told["left"]) == (2, 2, 0, [])
    assert [each["code"] for each in told["failed_again"]] == ["transform.failed"]
    assert numbers(headgate.until_moved(destination, 59)) == [number for number in range(60) if number != 43]
    found = eventually(lambda: len(said := letters(command)) >= 4 and said, 60, "the one that fails again is there")
    assert found
    assert [(each["value"], each["attempt"]) for each in found] == [("7", 1), ("42", 1), ("43", 1), ("43", 2)]
    assert [each["retried"] and each["retried"]["actor"] for each in found] == ["ana", "ana", "ana", None]
    assert found[2]["error_id"] == found[3]["error_id"], "the same failure of the same record"
    assert {each["retried"]["reason"] for each in found[:3]} == {"mended"}
    assert "by ana" in command("dead-letters", "list", "orders")

    modified(headgate, [])
    assert "1 dead letter sent" in command("dead-letters", "retry", "orders", found[3]["number"])
    assert numbers(headgate.until_moved(destination, 60)) == list(range(60))
    assert "0 dead letters sent" in command("dead-letters", "retry", "orders", "--all")
    assert "0 dead letters sent" in command("dead-letters", "retry", "orders", found[0]["number"])
    assert numbers(headgate.read(destination)) == list(range(60)), "a second retry does nothing"
    command("dead-letters", "retry", "orders", "0:999999", code=2)
    command("dead-letters", "retry", "orders", code=2)
    headgate.done(headgate.commands.pause("orders"))
    headgate.until_status("orders", "PAUSED")
    command("dead-letters", "retry", "orders", "--all", code=2)


def test_of_two_retries_at_once_one_is_fenced_and_nothing_is_doubled(
    headgate: Headgate, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from headgate.worker.retrying import ThroughTransform

    _, destination = bearing(headgate, [7])
    modified(headgate, [])
    commit = ThroughTransform.commit
    fenced: list[BaseException] = []

    def overtaken(way: ThroughTransform, *given: Any) -> None:
        monkeypatch.setattr(ThroughTransform, "commit", commit)
        command("dead-letters", "retry", "orders", "--all")
        try:
            commit(way, *given)
        except ProducerFenced as error:
            fenced.append(error)
            raise

    monkeypatch.setattr(ThroughTransform, "commit", overtaken)
    command("dead-letters", "retry", "orders", "--all", code=1)
    assert len(fenced) == 1
    assert numbers(headgate.until_moved(destination, 60)) == list(range(60))


def test_at_least_once_the_outputs_are_durable_before_the_memory_is_written(
    headgate: Headgate, command: Command
) -> None:
    _, destination = bearing(headgate, [7, 42], delivery="at_least_once")
    eventually(lambda: len(letters(command)) == 2, 60, "both are set aside")
    modified(headgate, [42])
    words = ("dead-letters", "retry", "orders", "--code", "transform.failed")
    told = json.loads(command(*words, "-o", "json", code=1))
    assert (told["promise"], told["sent"], len(told["failed_again"])) == ("at_least_once", 1, 1)
    assert numbers(headgate.read(destination)) == [number for number in range(60) if number != 42]
    assert [(each["value"], each["attempt"], bool(each["retried"])) for each in letters(command)] == [
        ("7", 1, True), ("42", 1, True), ("42", 2, False),
    ]  # fmt: skip


def test_dead_letters_go_back_to_the_source_where_the_destination_keeps_positions(
    headgate: Headgate, command: Command, tmp_path: Any
) -> None:
    source = headgate.source("source", 1)
    headgate.produce(source, 10, partitions=1)
    headgate.worker("a")
    headgate.create_and_start(
        "orders",
        source={"kind": "kafka", "topic": source},
        destination={"kind": "jsonl", "folder": str(tmp_path), "roll": {"seconds": 1}},
        transform={"function": "tests.integration.worker.transforms:bear_as_json", "settings": {"bad": [4]}},
        on_error="dead_letter",
    )
    eventually(lambda: len(letters(command)) == 1, 60, "one is set aside")
    command("dead-letters", "retry", "orders", "--all", code=2)
    assert "1 dead letter sent to the source" in command("dead-letters", "retry", "orders", "--all", "--to-source")
    eventually(lambda: len(letters(command)) == 2, 60, "it fails again")
    first, second = letters(command)
    assert (first["attempt"], first["retried"]["to"], second["attempt"]) == (1, "source", 2)
    assert (second["offset"], second["value"], second["headers"]) == (10, "4", [])
    assert second["timestamp_ms"] == first["timestamp_ms"]
    assert len(headgate.read(source)) == 11
