"""python tests/conformance/valve_pipe.py [--profile main|released] --channels N

Reads operations on standard input, a JSON object a line, and answers each with one line: the list of what leaves the
valve, in the vectors' form. So a valve of another make can be compared step by step. Channels are 0 to N-1; on the main
profile `open`, `add_channel`, `remove_channel` and `finish` work as well. Ends with 0 at the end of the input, and with
2 and one sentence on standard error at the first line that it cannot understand.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

# Run as a file, Python looks for modules beside it; the suite's own are found from the top.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from headgate_events.idleness.valve import Profile, WatermarkValve
from tests.conformance.valve.operations import (
    EXTENSION,
    PLAIN,
    BadOperation,
    ChannelId,
    channel_of,
    operation_of,
    shown,
    step_valve,
)

MAX_CHANNELS = 1_000_000
MAX_LINE_BYTES = 65_536


class _Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{message}; see {self.prog} --help\n")
        raise SystemExit(2)


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = -1
    if not 0 <= count <= MAX_CHANNELS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {MAX_CHANNELS}")
    return count


class Pipe:
    """One valve that is spoken to in lines."""

    def __init__(self, channels: int, profile: Profile) -> None:
        self._profile = profile
        self._valve: WatermarkValve[ChannelId] = WatermarkValve(range(channels), profile=profile)
        self._known: set[ChannelId] = set(range(channels))

    def answer(self, line: bytes) -> str:
        """Return the answer to one line; BadOperation when there is none."""
        step = self._parsed(line)
        op = operation_of(step)
        if op in EXTENSION and self._profile is not Profile.MAIN:
            raise BadOperation(f'"{op}" is our extension, which no release has; use --profile main')
        if op == "add_channel":
            self._known.add(channel_of(step))
        elif op in (*PLAIN, *EXTENSION) and op != "open" and channel_of(step) not in self._known:
            raise BadOperation(f"there is no channel {json.dumps(step['channel'])}; --channels says how many there are")
        return json.dumps(shown(step_valve(self._valve, step)))

    @staticmethod
    def _parsed(line: bytes) -> dict[str, Any]:
        if len(line) > MAX_LINE_BYTES:
            raise BadOperation(f"the line is longer than {MAX_LINE_BYTES} bytes")
        try:
            step = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadOperation("the line is not JSON") from error
        operation_of(step)
        found: dict[str, Any] = step
        return found


def main(arguments: list[str] | None = None) -> int:
    parser = _Arguments(prog="valve_pipe.py", description="Answer valve operations line by line.")
    parser.add_argument("--channels", type=_count, required=True, help="how many channels there are, numbered from 0")
    parser.add_argument("--profile", choices=[each.value for each in Profile], default=Profile.MAIN.value)
    chosen = parser.parse_args(arguments)
    pipe = Pipe(chosen.channels, Profile(chosen.profile))
    number = 0
    try:
        while line := sys.stdin.buffer.readline(MAX_LINE_BYTES + 1):
            number += 1
            if line.strip():
                sys.stdout.write(pipe.answer(line) + "\n")
                sys.stdout.flush()
    except BadOperation as error:
        sys.stderr.write(f"line {number}: {error}\n")
        return 2
    except BrokenPipeError:
        # Nobody listens any more. What is left in the buffer must not be tried again when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
