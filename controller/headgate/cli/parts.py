"""The long-running parts as processes: their settings, and several workers on one machine.

A worker uses one core, so `--processes` starts several of them. The parent does no work: it hands signals on, and when
one of its children ends by itself it ends the others, so that whoever supervises it sees one thing that failed.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Final

from headgate.cli.exits import OK, RUNTIME
from headgate.cli.options import Logs, Where
from headgate.cli.output import note
from headgate.cli.verbs import target_of
from headgate.settings import Settings, load_settings
from headgate_events.names import check_worker_name

LOOK_EVERY_S: Final = 0.2
STOP_S: Final = 600.0
"""How long children may take to drain before they are killed; no drain should be cut short by it."""


def part_settings(where: Where, logs: Logs, **given: str | None) -> Settings:
    """Read the settings of a part: flags, then the context and the environment. Sets up its logs, too.

    Raises InvalidRequest, which names the flag or the variable that is wrong.
    """
    from headgate.observability import configure_logging

    target = target_of(where)
    for name in given.values():
        if name is not None:
            check_worker_name(name)
    settings = load_settings(
        bootstrap_servers=target.bootstrap_servers,
        namespace=target.namespace,
        log_level=logs.log_level,
        log_format=logs.log_format,
        **given,
    )
    configure_logging(settings.log_level, settings.log_format)
    return settings


def run_processes(settings: Settings, count: int) -> int:
    """Run `count` workers as processes until they are told to stop. Return the worst of their exit codes."""
    children = [_child(settings, f"{settings.worker_name}-{number}") for number in range(1, count + 1)]
    stopping: list[float] = []

    def stop(*_: int | FrameType | None) -> None:
        if not stopping:
            stopping.append(time.monotonic())
        _signal(children, signal.SIGTERM)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while any(child.poll() is None for child in children):
            ended = [child for child in children if child.poll() is not None]
            if ended and not stopping:
                note(f"headgate: the worker process {ended[0].pid} ended by itself; the others are stopped.")
                stop()
            if stopping and time.monotonic() - stopping[0] > STOP_S:
                note(f"headgate: workers did not drain within {STOP_S:.0f} s and are killed.")
                _signal(children, signal.SIGKILL)
            time.sleep(LOOK_EVERY_S)
    finally:
        _signal(children, signal.SIGKILL)
        for child in children:
            child.wait()
        for number, handler in before.items():
            signal.signal(number, handler)
    return max((_code(child.returncode) for child in children), default=OK)


def _child(settings: Settings, name: str) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "headgate.cli.main", "worker", "--name", name]
    environment = {
        **os.environ,
        "HEADGATE_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "HEADGATE_NAMESPACE": settings.namespace,
        "HEADGATE_LOG_LEVEL": settings.log_level,
        "HEADGATE_LOG_FORMAT": settings.log_format,
    }
    # It ends (in good order) when this process is gone, however that went.
    ends_with_us = functools.partial(_end_with, os.getpid()) if sys.platform == "linux" else None
    # A session of its own, or Ctrl-C in a terminal would reach each child twice: from the terminal and from here.
    return subprocess.Popen(arguments, env=environment, start_new_session=True, preexec_fn=ends_with_us)  # noqa: PLW1509 - no threads here


def _end_with(parent: int) -> None:
    """Ask the kernel to send SIGTERM to this process when its parent ends."""
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        # It was gone before the kernel knew of our wish.
        os.kill(os.getpid(), signal.SIGTERM)


def _signal(children: Sequence[subprocess.Popen[bytes]], number: signal.Signals) -> None:
    for child in children:
        if child.poll() is None:
            child.send_signal(number)


def _code(returned: int) -> int:
    """Return a child's exit code; one that a signal ended counts as a failure."""
    return returned if returned >= 0 else RUNTIME
