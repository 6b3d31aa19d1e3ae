"""`python -m tests.chaos projector --kills 200 --commands 20000 --streams 500`: prints figures, exit 1 on a finding."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import uuid
from pathlib import Path

from tests.support.kafka import delete_namespaces
from tests.support.processes import Processes


def main() -> int:
    """Run what is asked for, on the broker that the product itself would choose."""
    from headgate.broker.choose import choose_broker
    from tests.chaos import projector

    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["projector"], default="projector")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--commands", type=int, default=20_000)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with choose_broker() as broker, tempfile.TemporaryDirectory() as folder:
        print(broker.said, flush=True)
        namespace = f"chaos-{uuid.uuid4().hex[:10]}"
        environment = {
            **os.environ,
            "HEADGATE_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "HEADGATE_NAMESPACE": namespace,
            "PYTHONUNBUFFERED": "1",
        }
        with Processes(environment, Path(folder)) as started:
            figures = projector.run(
                broker.bootstrap_servers,
                namespace,
                started,
                kills=asked.kills,
                commands=asked.commands,
                streams=asked.streams,
                processes=asked.processes,
                seed=asked.seed,
                say=lambda line: print(line, flush=True),
            )
        delete_namespaces(broker.bootstrap_servers, [namespace])
    print(*figures.lines(), sep="\n")
    for problem in figures.problems[:50]:
        print(f"PROBLEM  {problem}")
    print("Everything held." if not figures.problems else f"{len(figures.problems)} problems.")
    return 1 if figures.problems else 0


if __name__ == "__main__":
    sys.exit(main())
