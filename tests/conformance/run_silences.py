"""python tests/conformance/run_silences.py FILE [--from DATE] [--to DATE | --days N] [--threshold MINUTES]

Replays departures through a real Headgate with time compressed, and compares every IDLE and ACTIVE with the silences
that the file itself shows. FILE is a table like `nyc_departures_2013_02.csv.gz`: comma-separated, packed by gzip or
not, with the columns `departure` (local time without zone) and `origin`, in the order of departure.

Each origin is a partition. From one and a half times the threshold on a gap is a silence: IDLE has to be said in it,
and ACTIVE with the departure that ends it. Below the threshold there must be none. What lies between is the dead band,
and may go either way. The same is asked of the stream as a whole, which is silent when all origins are. The replay
begins and ends with every partition empty, so each begins and ends IDLE; these edges count as well.

The broker is HEADGATE_BOOTSTRAP_SERVERS if set, else a container, else the embedded one. The last line reads
`N edges expected, M mismatches`. Ends with 0 when M is 0, with 1 when it is not, with 2 when the input is bad, and with
3 when there is no broker or the replay comes to no end.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn

# Run as a file, Python looks for modules beside it; the suite's own are found from the top.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.conformance.silences.expecting import BadInput, Departure, Lane, between, lanes_of, read_departures

LASTING_S = 1.0
"""How long a gap of the threshold lasts in the replay, unless a compression is asked for."""
LEAST_LASTING_S = 0.5
"""Below, a worker's own polls are as long as the gaps."""
KEPT_OUT = ("HEADGATE_CONTEXT", "HEADGATE_CONFIG", "HEADGATE_LOG_LEVEL", "HEADGATE_LOG_FORMAT")


class _Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{message}; see {self.prog} --help\n")
        raise SystemExit(2)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _when(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is not None:
        raise ValueError("without a zone, as in the file")
    return found


_when.__name__ = "date or time"


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = _Arguments(
        prog="run_silences.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="the departures")
    parser.add_argument("--from", dest="first", type=_when, help="leave out what is before, like 2013-02-07")
    until = parser.add_mutually_exclusive_group()
    until.add_argument("--to", dest="end", type=_when, help="leave out this moment and what is after it")
    until.add_argument("--days", type=float, help="so many days, from the first that is taken")
    parser.add_argument("--threshold", type=float, default=180.0, metavar="MINUTES", help="180 unless said")
    parser.add_argument(
        "--compression",
        type=float,
        metavar="FACTOR",
        help=f"so many times faster than it happened; unless said, the threshold lasts {LASTING_S:g} s",
    )
    return parser.parse_args(arguments)


def _chosen(asked: argparse.Namespace) -> tuple[list[Departure], list[Lane], float]:
    """Return departures, lanes and compression; BadInput for what makes no sense."""
    threshold_s = asked.threshold * 60
    if not 1 <= asked.threshold <= 100_000:
        raise BadInput("The threshold has to be between 1 and 100,000 minutes.")
    compression = threshold_s / LASTING_S if asked.compression is None else asked.compression
    if not compression > 0 or threshold_s / compression < LEAST_LASTING_S:
        raise BadInput(
            f"A gap of {asked.threshold:g} minutes has to last {LEAST_LASTING_S:g} s at least in the replay, so the "
            f"compression has to be above 0 and at most {threshold_s / LEAST_LASTING_S:g}."
        )
    if asked.days is not None and not 0 < asked.days <= 100_000:
        raise BadInput("There have to be more than 0 days.")
    departures = read_departures(asked.file)
    end = asked.end
    if asked.days is not None:
        began = asked.first or departures[0].at.replace(hour=0, minute=0, second=0, microsecond=0)
        end = began + timedelta(days=asked.days)
    departures = between(departures, asked.first, end)
    return departures, lanes_of(departures, timedelta(seconds=threshold_s)), compression


def main(arguments: list[str] | None = None) -> int:
    asked = _parsed(arguments)
    try:
        departures, lanes, compression = _chosen(asked)
    except BadInput as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    return replayed(departures, lanes, asked.threshold * 60, compression)


def replayed(departures: list[Departure], lanes: list[Lane], threshold_s: float, compression: float) -> int:
    """Replay on the chosen broker, show what was found, and return the exit code."""
    from headgate.broker.choose import choose_broker
    from headgate_events.errors import EnvironmentProblem
    from tests.conformance.silences.replaying import Replay
    from tests.support.kafka import delete_namespaces
    from tests.support.processes import Processes

    namespace = f"silences-{uuid.uuid4().hex[:10]}"
    began_s = time.monotonic()
    try:
        with choose_broker() as broker, tempfile.TemporaryDirectory(prefix="headgate-silences-") as folder:
            _say(broker.said)
            servers = broker.bootstrap_servers
            environment = {
                **{name: value for name, value in os.environ.items() if name not in KEPT_OUT},
                "HEADGATE_BOOTSTRAP_SERVERS": servers,
                "HEADGATE_NAMESPACE": namespace,
                "PYTHONUNBUFFERED": "1",
            }
            replay = Replay(
                servers, namespace, departures, lanes, threshold_s=threshold_s, compression=compression, say=_say
            )
            span = departures[-1].at - departures[0].at
            _say(
                f"{len(departures):,} departures from {departures[0].at} to {departures[-1].at}, {compression:,.0f} "
                f"times faster: {span.total_seconds() / compression:.0f} s. A gap of {threshold_s / 60:g} min lasts "
                f"{threshold_s / compression:.2f} s, and workers say IDLE after {replay.idle_after_s:.2f} s."
            )
            try:
                with Processes(environment, Path(folder)) as processes:
                    try:
                        found = replay.run(processes)
                    except (AssertionError, RuntimeError) as problem:
                        words = "\n".join(process.tail(8) for process in processes.started)
                        sys.stderr.write(f"The replay came to no end: {problem}\n{words}\n")
                        return 3
            finally:
                delete_namespaces(servers, [namespace])
    except EnvironmentProblem as problem:
        sys.stderr.write(f"{problem}\n")
        return 3
    for lane in lanes:
        count = {kind: sum(gap.kind == kind for gap in lane.gaps[1:-1]) for kind in ("silence", "band")}
        _say(
            f"  {lane.name}: {len(lane.times_s):,} departures, {count['silence']} silences and the ones before and "
            f"after all, {lane.edges()} edges; {count['band']} gaps in the dead band"
        )
    waits, idle = sorted(replay.waits_s) or [0.0], sorted(found.idle_s) or [0.0]
    _say(
        f"{time.monotonic() - began_s:.0f} s, of which the schedule stood for {replay.held_s:.1f} s; an edge was "
        f"waited for {waits[len(waits) // 2] * 1000:.0f} ms (median) and {waits[-1] * 1000:.0f} ms at most. IDLE was "
        f"seen {idle[0]:.2f} to {idle[-1]:.2f} s after the departure before it."
    )
    for each in found.undecided:
        _say(f"undecided, since the replay stood still: {each}")
    for each in found.mismatches:
        _say(each)
    _say(f"{sum(lane.edges() for lane in lanes)} edges expected, {len(found.mismatches)} mismatches")
    return 1 if found.mismatches else 0


if __name__ == "__main__":
    sys.exit(main())
