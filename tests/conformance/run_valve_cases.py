"""python tests/conformance/run_valve_cases.py FILE [--profile main|released]

Plays every case of a file in the vectors' format (`valve-cases/1`) through our classes and prints each step that comes
out differently; the last line reads `N cases, M mismatches`. Ends with 0 when M is 0, with 1 when it is not, and with 2
when the file cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NoReturn

# Run as a file, Python looks for modules beside it; the suite's own are found from the top.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from headgate_events.idleness.valve import Profile
from tests.conformance.valve.playing import play

FORMAT = "valve-cases/1"


class _Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{message}; see {self.prog} --help\n")
        raise SystemExit(2)


def read_cases(path: Path) -> list[dict[str, Any]]:
    """Return the cases of a file; ValueError with a sentence when it has none to give."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError(f'{path} is not a file of cases: its "format" should read "{FORMAT}"')
    cases = document.get("cases")
    if not isinstance(cases, list) or not all(isinstance(case, dict) for case in cases):
        raise ValueError(f'{path} has no list of objects called "cases"')
    return cases


def main(arguments: list[str] | None = None) -> int:
    parser = _Arguments(prog="run_valve_cases.py", description="Play valve cases and report each difference.")
    parser.add_argument("file", type=Path, help=f'a JSON file of the format "{FORMAT}"')
    parser.add_argument("--profile", choices=[each.value for each in Profile], default=Profile.MAIN.value)
    chosen = parser.parse_args(arguments)
    try:
        cases = read_cases(chosen.file)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    mismatches = [mismatch for case in cases for mismatch in play(case, Profile(chosen.profile))]
    for mismatch in mismatches:
        sys.stdout.write(f"{mismatch}\n")
    sys.stdout.write(f"{len(cases)} cases, {len(mismatches)} mismatches\n")
    return 1 if mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
