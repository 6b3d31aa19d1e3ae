"""How the demo sums up: 0 when every check held, 1 with the name of what did not, or the environment's error."""

from __future__ import annotations

import io
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from headgate.demo import run
from headgate.demo.scene import StoryBroke
from headgate.demo.view import Lane, Picture, View, draw
from headgate_events.errors import ClusterUnreachable, OutcomeTimeout

PICTURE = Picture("RUNNING", "2013-02-08", [Lane("EWR", 100, 50, 25, "worker-1")], [("late", 7)])


def view_of(*, terminal: bool = False) -> tuple[View, io.StringIO]:
    said = io.StringIO()
    return View(Console(file=said, force_terminal=terminal, width=100, highlight=False)), said


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Run the demo with a story of the test's own, on no broker at all."""

    class NoBroker:
        said = "Broker: none."

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    def told(story: Callable[[View], None], set_up: Callable[[], Any] = SimpleNamespace) -> tuple[int, str]:
        view, said = view_of()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        monkeypatch.setattr(run, "choose_broker", lambda **_: NoBroker())
        monkeypatch.setattr(run, "_set_up", lambda *_: set_up())
        monkeypatch.setattr(run, "_tell", lambda view, _: story(view))
        monkeypatch.setattr(run, "_close", lambda view, _: view.check(True, "ended well"))
        return run.run_demo(view=view), said.getvalue()

    return told


def test_when_every_check_held_the_exit_status_is_0(demo: Any, tmp_path: Path) -> None:
    status, said = demo(lambda view: view.check(True, "water is wet"))
    assert status == 0
    assert "[ok]     water is wet" in said
    assert "All 2 checks held" in said
    assert list(tmp_path.iterdir()) == []


def test_a_check_that_failed_is_named_at_the_end_and_the_exit_status_is_1(demo: Any, tmp_path: Path) -> None:
    status, said = demo(lambda view: view.check(False, "water is dry"))
    assert status == 1
    assert "[FAILED] water is dry" in said
    assert "1 of 2 checks did not hold" in said.splitlines()[-3]
    assert said.splitlines()[-2].strip() == "- water is dry"
    assert [str(folder) in said for folder in tmp_path.iterdir()] == [True], "what the parts wrote is kept, and where"


@pytest.mark.parametrize("problem", [StoryBroke("it did not start"), OutcomeTimeout("it did not start")])
def test_a_story_that_cannot_go_on_is_a_failed_check_and_the_parts_are_still_ended(
    demo: Any, problem: Exception
) -> None:
    def story(_: View) -> None:
        raise problem

    status, said = demo(story)
    assert status == 1
    assert "[FAILED] it did not start" in said
    assert "[ok]     ended well" in said


def test_a_story_that_could_not_begin_is_a_failed_check(demo: Any) -> None:
    def set_up() -> Any:
        raise StoryBroke("there are no topics")

    status, said = demo(lambda _: None, set_up)
    assert (status, "- there are no topics" in said) == (1, True)


def test_a_problem_of_the_environment_is_the_callers_to_show(demo: Any) -> None:
    def story(_: View) -> None:
        raise ClusterUnreachable("Nobody answers.")

    with pytest.raises(ClusterUnreachable):
        demo(story)


def test_a_story_past_its_bound_ends_whatever_it_waits_for(demo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "WHOLE_STORY_S", 1)
    status, said = demo(lambda _: signal.pause())
    assert status == 1
    assert "[FAILED] The story was not through after 1 s." in said


def test_sigterm_interrupts_and_leaves_nothing(demo: Any, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        demo(lambda _: os.kill(os.getpid(), signal.SIGTERM))
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_there_are_plain_lines_and_no_picture() -> None:
    view, said = view_of()
    with view.picture(lambda: PICTURE):
        view.step("First")
        view.check(True, "a check whose line is " + "long " * 40)
    assert "\x1b" not in said.getvalue()
    assert "EWR" not in said.getvalue()
    assert len([line for line in said.getvalue().splitlines() if line]) == 2, "one line for each, however long"


def test_in_a_terminal_the_story_is_told_above_the_picture() -> None:
    view, said = view_of(terminal=True)
    with view.picture(lambda: PICTURE):
        view.say("A sentence.")
    assert "A sentence." in said.getvalue()


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_picture_shows_every_airport_in_terminals_of_every_width(width: int) -> None:
    said = io.StringIO()
    Console(file=said, width=width).print(draw(PICTURE))
    lines = [line.split() for line in said.getvalue().splitlines()]
    assert ["departures", "RUNNING", "2013-02-08"] in lines
    assert ["source", "destination", "waiting", "carried", "by"] in lines
    assert ["EWR", "━" * 6 + "━" * 6 + "─" * 12, "50", "25", "25", "worker-1"] in lines
    assert ["late", "7"] in lines
