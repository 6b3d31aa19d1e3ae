"""`headgate dead-letters` and `describe`, of a stream that sets records aside while it runs."""

from __future__ import annotations

import json
import re

import pytest

from headgate.cli import main
from tests.integration.worker.conftest import Headgate, numbers


def test_what_was_set_aside_is_listed_shown_and_exported_as_it_was(
    headgate: Headgate, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        assert main.run([*words, "--bootstrap-servers", headgate.servers, "-n", headgate.namespace]) == code
        # The worker is a thread of this process, and speaks on the same standard output.
        lines = capsys.readouterr().out.splitlines()
        return "\n".join(line for line in lines if not re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d", line))

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
    assert command("dead-letters", "list", "never-was") == ""
    described = command("describe", "orders")
    assert "Now, by the workers' heartbeats:" in described
    assert "a: running, 1 partition, 0 records in flight" in described
