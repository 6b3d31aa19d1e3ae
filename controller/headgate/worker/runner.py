"""How tasks are run: each in a thread of its own, or one after the other by whoever steps a simulation."""

from __future__ import annotations

import threading
from typing import Protocol

import structlog

from headgate.ports.log import Clock
from headgate.worker.mailbox import Mailbox
from headgate.worker.task import Task

logger = structlog.get_logger("headgate.worker")


class Running(Protocol):
    """A task that was started."""

    def alive(self) -> bool:
        """Say whether it still runs; False for one that ended, in good order or not."""
        ...


class Runner(Protocol):
    """Starts tasks."""

    def start(self, task: Task, mailbox: Mailbox) -> Running: ...

    def step(self, now_s: float) -> None:
        """Let the tasks work, where they have no threads of their own."""
        ...


class ThreadRunner:
    """One thread a task: it makes, owns and closes the task's clients."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def start(self, task: Task, mailbox: Mailbox) -> Running:
        """Start the task's thread."""
        return _Thread(task, mailbox, self._clock)

    def step(self, now_s: float) -> None:
        """Nothing to do: the threads work by themselves."""


class _Thread:
    def __init__(self, task: Task, mailbox: Mailbox, clock: Clock) -> None:
        self._task = task
        self._mailbox = mailbox
        self._clock = clock
        self._thread = threading.Thread(target=self._run, name=f"headgate-task-{task.view.stream}", daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            while self._task.phase != "ended":
                wait_s = self._task.step(self._clock.monotonic_s())
                if wait_s > 0:
                    self._mailbox.wait(wait_s)
        except BaseException:
            logger.exception("task thread died", action="task.died", stream=self._task.view.stream)
            raise


class InlineRunner:
    """Steps its tasks in the order in which they were started."""

    def __init__(self) -> None:
        self._tasks: list[Task] = []

    def start(self, task: Task, mailbox: Mailbox) -> Running:  # noqa: ARG002 - the task reads its mailbox itself
        """Add the task; its next order is read at its next step."""
        self._tasks.append(task)
        return _Inline(task)

    def step(self, now_s: float) -> None:
        """Step each task once."""
        for task in self._tasks:
            task.step(now_s)
        self._tasks = [task for task in self._tasks if task.phase != "ended"]


class _Inline:
    def __init__(self, task: Task) -> None:
        self._task = task

    def alive(self) -> bool:
        return self._task.phase != "ended"
