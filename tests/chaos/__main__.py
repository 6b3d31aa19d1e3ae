"""`python -m tests.chaos [projector | streams | soak | flights] …`: what takes long. Exit status 1 on a finding.

    python -m tests.chaos                                  everything: the projectors, and a stream to each destination
    python -m tests.chaos projector --kills 200 --commands 20000 --streams 500
    python -m tests.chaos streams --destination kafka --records 100000 --faults 40 --seed 7
    python -m tests.chaos soak --seconds 300 --seed 7      who says IDLE when, under faults
    python -m tests.chaos flights                          a month of silences, without faults

Faults are drawn from a seed. Streams and soak run on a broker of their own, which is restarted, silenced, and reached
through a proxy that cuts and slows connections; `--broker given` leaves the broker in peace and takes the one that the
tests would.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.chaos import projector
from tests.chaos.soak import run as soak
from tests.chaos.streams import faults, run, targets
from tests.support.kafka import delete_namespaces
from tests.support.processes import ROOT, Processes
from tests.support.proxied import proxied_broker

FLIGHTS = ROOT / "controller/headgate/demo/data/nyc_departures_2013_02.csv.gz"


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)


@contextlib.contextmanager
def _processes(servers: str, namespace: str, folder: str) -> Iterator[Processes]:
    environment = {
        **os.environ,
        "HEADGATE_BOOTSTRAP_SERVERS": servers,
        "HEADGATE_NAMESPACE": namespace,
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",  # SIGABRT makes a process say where its threads stand
    }
    with Processes(environment, Path(folder)) as started:
        yield started


def projectors(asked: argparse.Namespace) -> list[str]:
    """Kill projectors; return the problems."""
    from headgate.broker.choose import choose_broker

    namespace = f"chaos-{uuid.uuid4().hex[:10]}"
    with choose_broker() as broker, tempfile.TemporaryDirectory() as folder:
        say(broker.said)
        with _processes(broker.bootstrap_servers, namespace, folder) as started:
            figures = projector.run(
                broker.bootstrap_servers,
                namespace,
                started,
                kills=asked.kills,
                commands=asked.commands,
                streams=asked.streams,
                processes=asked.processes,
                seed=asked.seed,
                say=say,
            )
        delete_namespaces(broker.bootstrap_servers, [namespace])
    print(*figures.lines(), *(f"PROBLEM  {each}" for each in figures.problems[:50]), sep="\n")
    return figures.problems


def streams(asked: argparse.Namespace) -> list[str]:
    """Run a stream to each destination that is asked for; return the problems."""
    problems: list[str] = []
    for destination in asked.destination or targets.ALL:
        problems += _stream(asked, destination)
    return problems


def _stream(asked: argparse.Namespace, destination: str) -> list[str]:
    from headgate.broker.choose import choose_broker

    namespace = f"chaos-{uuid.uuid4().hex[:10]}"
    common = {"destination": destination, "records": asked.records, "count": asked.faults, "seed": asked.seed}
    with contextlib.ExitStack() as exits:
        folder = exits.enter_context(tempfile.TemporaryDirectory())
        if asked.broker == "given":
            chosen = exits.enter_context(choose_broker())
            say(chosen.said)
            started = exits.enter_context(_processes(chosen.bootstrap_servers, namespace, folder))
            figures = run.run(
                chosen.bootstrap_servers, namespace, started, Path(folder), **common, batch_records=asked.batch, say=say
            )
            delete_namespaces(chosen.bootstrap_servers, [namespace])
        else:
            own = exits.enter_context(proxied_broker())
            say(own.broker.said)
            started = exits.enter_context(_processes(own.direct, namespace, folder))
            figures = run.run(
                own.direct,
                namespace,
                started,
                Path(folder),
                **common,
                batch_records=asked.batch,
                say=say,
                drawn=(
                    *faults.OF_WORKERS,
                    *faults.OF_BROKER,
                    *(faults.OF_DISK if destination in {"jsonl", "parquet"} else ()),
                ),
                behind_proxy=own.proxied,
                broker=own.broker,
                proxy=own.proxy,
            )
        if figures.problems and asked.keep:
            for process in started.started:
                Path(asked.keep, process.output_path.name).write_bytes(process.output_path.read_bytes())
    print(figures.verdict(), flush=True)
    return figures.problems


def soaked(asked: argparse.Namespace) -> list[str]:
    """Soak a stream with gaps in its source; return the problems."""
    from headgate.broker.choose import choose_broker

    namespace = f"soak-{uuid.uuid4().hex[:10]}"
    with contextlib.ExitStack() as exits:
        folder = exits.enter_context(tempfile.TemporaryDirectory())
        common = {"seed": asked.seed, "seconds": asked.seconds, "say": say}
        if asked.broker == "given":
            chosen = exits.enter_context(choose_broker())
            say(chosen.said)
            started = exits.enter_context(_processes(chosen.bootstrap_servers, namespace, folder))
            figures = soak.run(chosen.bootstrap_servers, namespace, started, Path(folder), **common)
            delete_namespaces(chosen.bootstrap_servers, [namespace])
        else:
            own = exits.enter_context(proxied_broker())
            say(own.broker.said)
            started = exits.enter_context(_processes(own.direct, namespace, folder))
            figures = soak.run(
                own.direct,
                namespace,
                started,
                Path(folder),
                **common,
                drawn=(*faults.OF_WORKERS, *faults.OF_BROKER),
                behind_proxy=own.proxied,
                broker=own.broker,
                proxy=own.proxy,
            )
        if figures.problems and asked.keep:
            for process in started.started:
                Path(asked.keep, process.output_path.name).write_bytes(process.output_path.read_bytes())
    print(figures.verdict(), flush=True)
    return figures.problems


def flights() -> list[str]:
    """Replay the whole month and compare its silences; return the problems."""
    from tests.conformance.run_silences import main as silences

    say("The silences of a month of departures.")
    return [] if silences([str(FLIGHTS)]) == 0 else ["the silences of the month differ"]


def main() -> int:
    """Run what is asked for, on the broker that the product itself would choose, or on one of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", nargs="?", choices=["all", "projector", "streams", "soak", "flights"], default="all")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    of_projector = parser.add_argument_group("projector")
    of_projector.add_argument("--kills", type=int, default=200)
    of_projector.add_argument("--commands", type=int, default=20_000)
    of_projector.add_argument("--streams", type=int, default=500)
    of_projector.add_argument("--processes", type=int, default=2)
    of_streams = parser.add_argument_group("streams")
    of_streams.add_argument("--destination", action="append", choices=targets.ALL, help="all unless given")
    of_streams.add_argument("--records", type=int, default=100_000)
    of_streams.add_argument("--faults", type=int, default=40)
    of_streams.add_argument("--batch", type=int, default=750, help="records to a transaction, at most")
    of_soak = parser.add_argument_group("soak")
    of_soak.add_argument("--seconds", type=float, default=300.0)
    of_streams.add_argument("--broker", choices=["own", "given"], default="own")
    of_streams.add_argument("--keep", help="a folder for the processes' words when something was found")
    asked = parser.parse_args()
    say(f"Seed {asked.seed}.")
    problems = projectors(asked) if asked.what in {"all", "projector"} else []
    problems += streams(asked) if asked.what in {"all", "streams"} else []
    problems += soaked(asked) if asked.what in {"all", "soak"} else []
    problems += flights() if asked.what in {"all", "flights"} else []
    print("Everything held." if not problems else f"{len(problems)} problems.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
