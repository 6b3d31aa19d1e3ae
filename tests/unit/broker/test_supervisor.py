"""Nothing is left behind: the supervised process ends with its owner, however the owner goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate.broker import supervisor
from headgate.broker.owner import start_of
from tests.support.eventually import eventually

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(300)"
OWNER = """
import os, subprocess, sys
arguments, forks = sys.argv[2:], sys.argv[1] == "forks"
process = subprocess.Popen(
    [sys.executable, "-I", "-S", arguments[0], str(os.getpid()), *arguments[1:]],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
)
started = process.stdout.readline().decode().split()[1]
heir = 0
if forks:
    heir = os.fork()
    if heir == 0:
        import time
        time.sleep(300)
print(process.pid, started, heir, flush=True)
process.wait()
"""


def gone(pid: int) -> bool:
    """Whether no process of this id runs; one that only waits to be reaped has ended."""
    return not start_of(pid)


GONE_S = 30.0
"""How long it may take on a busy machine, and less than it takes until what does not heed SIGTERM is killed."""


class Family:
    """An owner, its supervisor, and the supervised process."""

    def __init__(self, tmp_path: Path, command: list[str], *, forks: bool = False, stop_timeout_s: float = 60) -> None:
        self.folder = tmp_path / "temporary"
        self.folder.mkdir()
        self.console = tmp_path / "console.log"
        arguments = [supervisor.__file__, str(stop_timeout_s), str(self.folder), str(self.console), "", "--"]
        self.owner = subprocess.Popen(
            [sys.executable, "-c", OWNER, "forks" if forks else "alone", *arguments, *command], stdout=subprocess.PIPE
        )
        assert self.owner.stdout is not None
        self.supervisor_pid, self.child_pid, self.heir_pid = map(int, self.owner.stdout.readline().split())

    def close(self) -> None:
        self.owner.kill()
        self.owner.wait()
        assert self.owner.stdout is not None
        self.owner.stdout.close()
        for pid in filter(None, (self.heir_pid, self.supervisor_pid, self.child_pid)):
            if not gone(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def families() -> Iterator[list[Family]]:
    made: list[Family] = []
    yield made
    for family in made:
        family.close()


SLEEP = [sys.executable, "-c", "import time; time.sleep(300)"]


@pytest.mark.parametrize("forks", [False, True], ids=["alone", "a forked child keeps the pipe open"])
def test_it_ends_when_its_owner_is_killed(tmp_path: Path, families: list[Family], forks: bool) -> None:
    family = Family(tmp_path, SLEEP, forks=forks)
    families.append(family)
    family.owner.kill()
    family.owner.wait()
    eventually(lambda: gone(family.child_pid), GONE_S, "the supervised process is gone")
    eventually(lambda: gone(family.supervisor_pid), GONE_S, "so is the supervisor")
    assert not family.folder.exists(), "the temporary folder is removed"


def test_one_that_does_not_heed_sigterm_is_killed_after_the_bound(tmp_path: Path, families: list[Family]) -> None:
    family = Family(tmp_path, [sys.executable, "-c", DEAF], stop_timeout_s=0.5)
    families.append(family)
    eventually(lambda: "deaf" in family.console.read_text(), GONE_S, "it ignores SIGTERM")
    family.owner.kill()
    eventually(lambda: gone(family.child_pid), GONE_S, "the supervised process is gone")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux alone kills children with their parent")
def test_it_ends_when_its_supervisor_is_killed(tmp_path: Path, families: list[Family]) -> None:
    family = Family(tmp_path, SLEEP)
    families.append(family)
    os.kill(family.supervisor_pid, signal.SIGKILL)
    eventually(lambda: gone(family.child_pid), GONE_S, "the supervised process is gone")


def test_a_paused_one_ends_with_its_owner_as_well(tmp_path: Path, families: list[Family]) -> None:
    family = Family(tmp_path, SLEEP)
    families.append(family)
    os.kill(family.child_pid, signal.SIGSTOP)
    family.owner.kill()
    eventually(lambda: gone(family.child_pid), GONE_S, "the supervised process is gone")


def test_it_obeys_words_and_tells_how_it_ended(tmp_path: Path) -> None:
    console = tmp_path / "console.log"
    command = [sys.executable, "-I", "-S", supervisor.__file__, str(os.getpid()), "5", "", str(console), "", "--"]
    with subprocess.Popen([*command, *SLEEP], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        word, pid = process.stdout.readline().split()
        assert word == b"started"
        process.stdin.write(b"pause\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"paused\n"
        state = Path(f"/proc/{int(pid)}/stat")
        if state.exists():
            eventually(lambda: state.read_text().rpartition(")")[2].split()[0] == "T", GONE_S, "it is stopped")
        process.stdin.write(b"resume\nunknown\nstop\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"resumed\n"
        assert process.stdout.readline() == b"exited -15\n"
        assert process.wait(GONE_S) == 143
