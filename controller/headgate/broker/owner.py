"""Who started a thing that outlives processes, in a form that a reused process id cannot fake.

A token is `host:pid:start`, where start is the process's start time as the kernel counts it. A token of another host
(a shared Docker engine) is taken for alive: nobody here can know better.
"""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

_PS_TIMEOUT_S = 5.0


def token() -> str:
    """Return the token of this process."""
    return f"{platform.node()}:{os.getpid()}:{start_of(os.getpid())}"


def is_alive(owner: str) -> bool:
    """Whether the process of a token still runs; True for one that cannot be judged from here."""
    host, _, rest = owner.rpartition(":")[0].rpartition(":")
    start = owner.rpartition(":")[2]
    if host != platform.node() or not rest.isdigit():
        return True
    return start_of(int(rest)) == start


def start_of(pid: int) -> str:
    """Return when process `pid` started, as a string without colons to compare; empty when there is none.

    One that has ended and only waits to be reaped is none: where nobody reaps orphans, it would wait for ever.
    """
    try:
        # Fields after the command's name, which may hold anything, and which is in parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
    else:
        return "" if fields[0] in ("Z", "X") else fields[19]
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=_PS_TIMEOUT_S, check=False)
    return "-".join(run.stdout.replace(":", "-").split())
