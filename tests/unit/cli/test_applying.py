"""create and apply: from files to streams, with the difference shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from headgate_events.testing import MemoryHeadgate
from tests.unit.cli.conftest import Headgate, definition, run

Write = Callable[[str, str], Path]


def test_create_defines_streams_that_do_not_run(memory: MemoryHeadgate, headgate: Headgate, write: Write) -> None:
    write("two.yaml", f"{definition('a')}\n---\n{definition('b')}\n")
    ran = headgate("create -f two.yaml --reason first")
    assert (ran.code, ran.out) == (
        0,
        "a: create accepted, now NOT_STARTED (version 1)\nb: create accepted, now NOT_STARTED (version 1)\n",
    )
    assert headgate("create -f two.yaml").code == 2


def test_create_reads_standard_input(memory: MemoryHeadgate, headgate: Headgate) -> None:
    assert headgate("create -f - -o name", given=definition("piped")).out == "piped\n"


def test_one_mistake_in_many_files_and_nothing_is_sent(
    memory: MemoryHeadgate, headgate: Headgate, write: Write
) -> None:
    write("good.yaml", definition("good"))
    write("bad.yaml", "stream: bad\nsorce: {kind: kafka}\ndestination: {kind: discard}\n")
    ran = headgate("create -f good.yaml -f bad.yaml")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "bad.yaml:1: 'source' is missing.\nbad.yaml:2: unknown key 'sorce'; did you mean 'source'?\n"
    assert headgate("get -o name").out == ""


def test_apply_creates_what_is_missing(memory: MemoryHeadgate, headgate: Headgate, write: Write) -> None:
    write("a.yaml", definition("a"))
    assert headgate("apply -f a.yaml").out == "a: create accepted, now NOT_STARTED (version 1)\n"


def test_apply_leaves_alone_what_is_as_it_should_be(memory: MemoryHeadgate, headgate: Headgate, write: Write) -> None:
    run(memory)
    write("departures.yaml", definition())
    ran = headgate("apply -f departures.yaml")
    assert (ran.code, ran.out) == (0, "departures: unchanged (version 4)\n")
    assert headgate("apply -f departures.yaml -o json").json["outcome"] == "unchanged"


def test_apply_shows_the_difference_and_sends_it(memory: MemoryHeadgate, headgate: Headgate, write: Write) -> None:
    run(memory, labels={"team": "ops", "old": "1"})
    write("departures.yaml", definition(commit_interval_ms=250, labels={"team": "dev"}, managed_by="terraform"))
    ran = headgate("apply -f departures.yaml")
    assert ran.code == 0
    assert ran.out.splitlines()[:-1] == [
        "departures: applied while it runs, at a record boundary",
        "  ~ commit_interval_ms: 100 → 250",
        "  - labels.old: 1",
        "  ~ labels.team: ops → dev",
        "  + managed_by: terraform",
    ]
    assert ran.out.splitlines()[-1].startswith("departures: modify accepted, now RUNNING (version 5)")


def test_apply_says_what_restarts_the_tasks(memory: MemoryHeadgate, headgate: Headgate, write: Write) -> None:
    run(memory)
    write("departures.yaml", definition(parallelism=2))
    ran = headgate("apply -f departures.yaml --dry-run")
    assert ran.out.startswith("departures: the tasks restart at the same positions, because of parallelism\n")
    assert "modify would be accepted (dry run)" in ran.out
    assert memory.state.get("departures").revision.desired == 1  # type: ignore[union-attr]


def test_apply_says_when_it_waits_for_the_next_run(memory: MemoryHeadgate, headgate: Headgate, write: Write) -> None:
    run(memory)
    headgate("pause departures --force")
    write("departures.yaml", definition(parallelism=2))
    ran = headgate("apply -f departures.yaml --wait")
    assert ran.code == 0
    assert ran.out.startswith("departures: used when it runs (it is PAUSED)\n")
    assert "PAUSED; revision 2 is used when it runs after" in ran.out


def test_apply_keeps_the_order_of_the_files(memory: MemoryHeadgate, headgate: Headgate, write: Write) -> None:
    run(memory, "b")
    write("all.yaml", "\n---\n".join(definition(name) for name in ("c", "b", "a")))
    assert headgate("apply -f all.yaml -o name").out == "c\nb\na\n"
