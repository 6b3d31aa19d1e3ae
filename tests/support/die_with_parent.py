"""Become another program that the kernel kills when the parent goes, however the parent goes.

    python die_with_parent.py <pid of the parent> [--as <user id>:<group id>] <program> [argument …]

A suite that is itself killed with SIGKILL runs no fixture, and would leave workers behind that write to a shared
broker. The wish is made in the child, before the program starts, because code between fork and exec in a process with
threads (the Kafka client's) can deadlock. `--as` comes before the wish, which a change of the account takes back.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if program[0] == "--as":
        user, group = map(int, program[1].split(":"))
        program = program[2:]
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit("The parent was gone before the program could start.")
    os.execv(program[0], program)
