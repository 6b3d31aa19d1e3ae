"""The worker as a process: it runs until it is asked to end, then drains, leaves, and says how that went.

SIGTERM or SIGINT: tasks finish what is in flight, commit and leave their groups; exit code 0 when all of that was
done within the bound, 1 otherwise. A second signal ends the process at once, with 1: nothing is lost then either,
because what was not committed is read again by the heir.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from types import FrameType
from typing import Final

import structlog

from headgate.worker.chores import ThreadExecutor
from headgate.worker.pipeline import Means
from headgate.worker.runner import ThreadRunner
from headgate.worker.supervisor import Supervisor

CLOSE_S: Final = 10.0
EXIT_OK: Final = 0
EXIT_FAILED: Final = 1

logger = structlog.get_logger("headgate.worker")


class Worker:
    """One worker process. `run` belongs to the main thread; `stop` may be called from any."""

    def __init__(self, means: Means, draw: random.Random | None = None) -> None:
        self._means = means
        self._supervisor = Supervisor(means, ThreadRunner(means.clock), ThreadExecutor(), draw or random.Random())  # noqa: S311 - jitter
        self._stop = threading.Event()

    @property
    def supervisor(self) -> Supervisor:
        """The supervisor, for whoever looks at it."""
        return self._supervisor

    def stop(self) -> None:
        """Ask the worker to end in good order."""
        self._stop.set()

    def run(self, *, signals: bool = False) -> int:
        """Work until stop(); return the exit code. With `signals`, SIGTERM and SIGINT call stop().

        Raises HeadgateError when the worker cannot go on by itself (no topics, no rights, a fault of ours).
        """
        if signals:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._signalled)
        clock, supervisor = self._means.clock, self._supervisor
        logger.info("worker starts", action="worker.start", worker=self._means.options.name)
        while not self._stop.is_set():
            supervisor.step(clock.monotonic_s())
        code = self._leave()
        if signals and code != EXIT_OK:
            # What did not end in time (a transform that hangs, say) must not keep the process from ending either.
            sys.stderr.flush()
            os._exit(code)
        return code

    def _leave(self) -> int:
        clock, supervisor, options = self._means.clock, self._supervisor, self._means.options
        logger.info("worker leaves", action="worker.leave", worker=options.name, tasks=len(supervisor.handles))
        deadline_s = clock.monotonic_s() + options.shutdown_timeout_s
        supervisor.leave()
        while not supervisor.idle and clock.monotonic_s() < deadline_s:
            supervisor.step(clock.monotonic_s())
        finished = supervisor.idle
        finished = supervisor.close(CLOSE_S) and finished
        logger.info("worker ended", action="worker.end", worker=options.name, finished=finished)
        return EXIT_OK if finished else EXIT_FAILED

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        if self._stop.is_set():
            # Threads of clients may hang, so nothing is waited for any more.
            os._exit(EXIT_FAILED)
        self._stop.set()
