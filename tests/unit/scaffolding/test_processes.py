"""Processes of the suite end with their parent: `tests.support.die_with_parent`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.processes import DIE_WITH_PARENT

PARENT = """
import os, subprocess, sys, time
program = [sys.executable, "-c", "import time; time.sleep(60)"]
child = subprocess.Popen([sys.executable, sys.argv[1], str(os.getpid()), *program])
print(child.pid, flush=True)
time.sleep(60)
"""


def is_running(pid: int) -> bool:
    """A process that ended and was not reaped yet (a zombie) does not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_process_is_gone_when_the_one_that_started_it_was_killed() -> None:
    command = [sys.executable, "-c", PARENT, str(DIE_WITH_PARENT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        eventually(
            lambda: b"import time" in Path(f"/proc/{child}/cmdline").read_bytes(), 20, "the child is the program"
        )
        eventually(lambda: str(DIE_WITH_PARENT).encode() not in Path(f"/proc/{child}/cmdline").read_bytes(), 20, "exec")
        assert is_running(child)
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
        eventually(lambda: not is_running(child), 20, "the child of a killed parent is gone")


def test_a_process_whose_parent_is_gone_already_does_not_start() -> None:
    not_the_parent = os.getppid()
    command = [sys.executable, str(DIE_WITH_PARENT), str(not_the_parent), sys.executable, "-c", "print('started')"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "parent was gone" in done.stderr
