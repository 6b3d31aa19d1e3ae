"""What can befall a stream, each from the inside of one draw: inflicted, lived with for a while, taken back.

After a fault of the network or the broker everything is whole again; a worker that was killed is back; a stream that
was paused runs. So faults do not add up to a standstill, while what they leave behind does meet the next one.
"""

from __future__ import annotations

import errno
import signal
import time
from collections.abc import Callable

from tests.chaos.streams.stage import SESSION_TIMEOUT_MS, STREAM, Stage
from tests.support.proxy import Direction

Fault = Callable[[Stage], str]
LONGER_THAN_A_SESSION_S = SESSION_TIMEOUT_MS / 1000 + 3
BLOCK = 65_536


def _dwell(stage: Stage, longest_s: float = 1.5) -> None:
    time.sleep(stage.draw.uniform(0.0, longest_s))


def kill(stage: Stage) -> str:
    """SIGKILL; the worker comes back under its name."""
    name = stage.victim()
    stage.workers[name].kill()
    _dwell(stage)
    stage.worker(name)
    return f"SIGKILL for {name}"


def stop_and_continue(stage: Stage) -> str:
    """SIGSTOP, half of the time for longer than the session lasts, then SIGCONT."""
    return _stopped(stage, stage.draw.choice((1.0, LONGER_THAN_A_SESSION_S)))


def stop_long(stage: Stage) -> str:
    """SIGSTOP for longer than the session lasts, then SIGCONT: another worker has its partitions by then."""
    return _stopped(stage, LONGER_THAN_A_SESSION_S)


def _stopped(stage: Stage, longest_s: float) -> str:
    name = stage.victim()
    stage.workers[name].signal(signal.SIGSTOP)
    time.sleep(longest_s)
    stage.workers[name].signal(signal.SIGCONT)
    return f"SIGSTOP for {name}, {longest_s:.0f} s"


def terminate(stage: Stage) -> str:
    """SIGTERM, as a deployment does it; the worker comes back."""
    name = stage.victim()
    code = stage.end(name)
    assert code in {0, 1}, f"{name} ended with {code} after SIGTERM: {stage.workers[name].tail(5)}"
    stage.worker(name)
    return f"SIGTERM for {name}"


def scale(stage: Stage) -> str:
    """Another number of workers."""
    count = stage.draw.randint(1, 4)
    stage.scale(count)
    _dwell(stage)
    return f"{count} workers"


def scale_to_four_and_back(stage: Stage) -> str:
    """From what there is to four workers, each of which takes its share, and down to one."""
    stage.modify(parallelism=4)
    stage.scale(4)
    stage.until(lambda state: len(state.tasks) == 4, "four workers run it")
    stage.scale(1)
    stage.until(lambda state: len(state.tasks) == 1, "one worker runs it")
    stage.scale(2)
    return "one, four and two workers"


def modify(stage: Stage) -> str:
    """Another revision: live, or, with another parallelism, by a restart of the tasks."""
    stage.modify(
        commit_interval_ms=stage.draw.choice((1, 5, 100)),
        parallelism=stage.draw.choice((1, 2, 4, 4)),
    )
    _dwell(stage)
    return f"modify to {stage.config['commit_interval_ms']} ms and parallelism {stage.config['parallelism']}"


def pause(stage: Stage) -> str:
    """Pause, in half of the draws with a worker that dies or leaves while it drains, then resume."""
    return _paused(stage, stage.draw.choice((None, None, kill, terminate)))


def pause_and_kill(stage: Stage) -> str:
    """Pause, and a worker that dies while it drains."""
    return _paused(stage, kill)


def _paused(stage: Stage, inner: Fault | None) -> str:
    stage.accepted(stage.commands.pause(STREAM))
    said = "" if inner is None else f" with {inner(stage)}"
    stage.until_status("PAUSED")
    stage.paused()
    _dwell(stage, 0.5)
    stage.resume()
    return f"pause{said}, resume"


def force_pause(stage: Stage) -> str:
    """A forced pause, in half of the draws of a worker that is stopped and continues when it is fenced."""
    stopped = stage.victim() if stage.draw.random() < 0.5 and len(stage.workers) > 1 else None
    if stopped is not None:
        stage.workers[stopped].signal(signal.SIGSTOP)
    try:
        stage.accepted(stage.commands.pause(STREAM, force=True))
        stage.until(
            lambda state: state.status == "PAUSED" and "fence_pending" not in state.conditions, "stragglers are fenced"
        )
        stage.paused()
    finally:
        if stopped is not None:
            stage.workers[stopped].signal(signal.SIGCONT)
    _dwell(stage)
    stage.resume()
    return f"forced pause{f' with {stopped} stopped' if stopped else ''}, resume"


def broker_restart(stage: Stage) -> str:
    """The broker stops and starts again, or is killed first."""
    assert stage.broker is not None
    killed = stage.draw.random() < 0.5
    if killed:
        stage.broker.kill()
    stage.broker.restart()
    return f"broker {'killed and started' if killed else 'restarted'}"


def broker_paused(stage: Stage) -> str:
    """The broker's connections stay open and nothing answers."""
    assert stage.broker is not None
    lasting_s = stage.draw.uniform(0.5, 6.0)
    stage.broker.pause()
    time.sleep(lasting_s)
    stage.broker.resume()
    return f"broker silent for {lasting_s:.1f} s"


def connections_cut(stage: Stage) -> str:
    """Every connection through the proxy is reset, some times in a row."""
    assert stage.proxy is not None
    times = stage.draw.randint(1, 5)
    for _ in range(times):
        stage.proxy.cut()
        time.sleep(stage.draw.uniform(0.05, 0.5))
    return f"connections cut {times} times"


def connections_slow(stage: Stage) -> str:
    """Every piece is late, and little of it."""
    assert stage.proxy is not None
    delay_s = stage.draw.choice((0.02, 0.1, 0.3))
    stage.proxy.slow(delay_s, 2_000_000)
    time.sleep(stage.draw.uniform(1.0, 4.0))
    stage.proxy.heal()
    return f"connections slow by {delay_s * 1000:.0f} ms"


def connections_silent(stage: Stage) -> str:
    """Nothing comes through in one direction or in both, for shorter or longer than a session; then everything does."""
    directions: tuple[Direction, ...] = stage.draw.choice((("up",), ("down",), ("up", "down")))
    return _silent(stage, directions, stage.draw.choice((1.0, LONGER_THAN_A_SESSION_S)))


def cut_off(stage: Stage) -> str:
    """The workers behind the proxy hear nothing of the broker for longer than a session, and reach all else."""
    return _silent(stage, ("up", "down"), LONGER_THAN_A_SESSION_S)


def _silent(stage: Stage, directions: tuple[Direction, ...], lasting_s: float) -> str:
    assert stage.proxy is not None
    stage.proxy.hold(*directions)
    time.sleep(lasting_s)
    stage.proxy.heal()
    return f"connections silent {' and '.join(directions)} for {lasting_s:.0f} s"


def disk_full(stage: Stage) -> str:
    """The destination's disk is full for a while."""
    disk = stage.target.disk
    if disk is None:
        return "no disk that could be filled"
    ballast = disk / "ballast"
    try:
        with ballast.open("wb", buffering=0) as filling:
            while filling.write(bytes(BLOCK)) == BLOCK:
                pass
    except OSError as full:
        if full.errno != errno.ENOSPC:
            raise
    _dwell(stage, 3.0)
    ballast.unlink()
    return "disk full"


OF_WORKERS: tuple[tuple[int, Fault], ...] = (
    (6, kill),
    (3, stop_and_continue),
    (2, terminate),
    (2, scale),
    (2, modify),
    (3, pause),
    (2, force_pause),
)
OF_BROKER: tuple[tuple[int, Fault], ...] = (
    (2, broker_restart),
    (1, broker_paused),
    (1, connections_cut),
    (1, connections_slow),
    (1, connections_silent),
)
OF_DISK: tuple[tuple[int, Fault], ...] = ((3, disk_full),)
"""For destinations that are files."""
