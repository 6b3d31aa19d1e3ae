"""`python -m tests.support.killed_writers KIND FOLDER SEED ROUNDS`: writers of files, killed one after the other.

Each writer is a child of its own: it takes on what its predecessor committed, goes on from there, and is killed
(SIGKILL), in turns after a time drawn from the seed, and before a file-system call whose number is drawn from it. This
process is the reader meanwhile: it looks at finished files while the writer writes, and after each death. At last a
writer is left alone until all records are there. Prints one line of JSON; any wrong sight ends it with an error.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import headgate.destinations.files.columns  # noqa: F401 - once, and not in every child
from headgate.ports.destination import Token
from tests.support.file_system_steps import Steps
from tests.support.files import Owner, check_prefix, make, passes, read

PARTITIONS = (0, 1, 2)


def kill_oneself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def write(kind: str, folder: Path, seed: int, round_: int, kill_at: int | None, until: int | None) -> None:
    """Write as a task does, until the end or until killed."""
    draw = random.Random(f"{seed}/{round_}")
    steps = Steps(folder)
    owner = Owner(make(kind, folder), Token(7, 3, round_), PARTITIONS)
    with steps.act_before(-1 if kill_at is None else kill_at, kill_oneself):
        owner.take_on()
        while until is None or min(owner.at.values()) < until:
            for _ in range(draw.randint(0, 3)):
                owner.write(draw.randint(1, 60))
            owner.commit()


def main(kind: str, folder: Path, seed: int, rounds: int) -> None:
    """Kill writers, and look."""
    draw = random.Random(seed)
    looks, done = 0, dict.fromkeys(PARTITIONS, 0)
    for round_ in range(rounds):
        last = round_ == rounds - 1
        by_step = round_ % 2 == 0 and not last
        kill_at = draw.randrange(120) if by_step else None
        wait_s = draw.random() * 0.1
        writer = os.fork()
        if not writer:
            try:
                write(kind, folder, seed, round_, kill_at, max(done.values()) + 50 if last else None)
                os._exit(0)
            except BaseException as error:  # noqa: BLE001 - a child says what went wrong with it
                sys.stderr.write(f"round {round_}: {type(error).__name__}: {error}\n")
                os._exit(1)
        begun_s = time.monotonic()
        while True:
            ended, status = os.waitpid(writer, os.WNOHANG)
            if ended:
                break
            check_parts(folder)
            looks += 1
            if not by_step and not last and time.monotonic() - begun_s >= wait_s:
                os.kill(writer, signal.SIGKILL)
        expected = 0 if last else -signal.SIGKILL
        assert os.waitstatus_to_exitcode(status) == expected, f"round {round_} ended with {status}"
        now = check_prefix(folder, PARTITIONS)
        assert all(now[each] >= done[each] for each in PARTITIONS), "finished files never go away"
        done = now
    beside = [each.name for each in (folder / ".headgate" / "orders.7").iterdir() if not each.name.endswith("json")]
    assert not beside, f"left over: {beside}"
    sys.stdout.write(json.dumps({"records": sum(done.values()), "looks": looks}))


def check_parts(folder: Path) -> None:
    """Assert, while files appear, that those that are there are whole and that no record is in two of them."""
    for number, numbers in read(folder).items():
        assert len(set(numbers)) == len(numbers), f"partition {number} has doubles"
        assert all(map(passes, numbers))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
