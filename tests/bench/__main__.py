"""`python -m tests.bench [NAME …] [--quick] [--write]`: speed as ratios, side by side with hand-written loops.

Names: latency, projector, worker, markers, files, control, restore, idle, valve; all of them without a name. `--quick`
takes smaller sizes and fewer turns, to see that it works. `--write` puts the table into docs/performance.md, between
its marks.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import control, files, idle, latency, markers, measuring, projector, restore, worker
from tests.bench.cluster import chosen_cluster

ON_A_CLUSTER = {
    "latency": latency.main,
    "projector": projector.main,
    "worker": worker.main,
    "markers": markers.main,
    "files": files.main,
    "control": control.main,
    "restore": restore.main,
    "idle": idle.main,
}
PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
_BLOCK = re.compile(r"(<!-- measured -->\n).*?(<!-- end -->)", re.DOTALL)


def main(arguments: list[str]) -> int:
    """Run the benchmarks that were named; exit status 0 whether or not a bar was missed, 2 for a wrong name."""
    quick, write = "--quick" in arguments, "--write" in arguments
    names = [argument for argument in arguments if not argument.startswith("--")] or [*ON_A_CLUSTER, "valve"]
    if unknown := set(names) - {*ON_A_CLUSTER, "valve"}:
        print(f"No benchmark is called {', '.join(sorted(unknown))}; there are {', '.join([*ON_A_CLUSTER, 'valve'])}.")
        return 2
    rows: list[measuring.Row] = []
    if on_cluster := [name for name in names if name in ON_A_CLUSTER]:
        with chosen_cluster() as cluster:
            for name in on_cluster:
                rows += ON_A_CLUSTER[name](cluster, quick)
    if "valve" in names:
        from tests.bench import valve

        valve.main()
    lines = [measuring.HEAD, *(row.shown() for row in rows)]
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    table = "\n".join([f"Measured on {when}: {measuring.machine()}.", "", *lines])
    print(f"\n{table}")
    if write:
        PAGE.write_text(_BLOCK.sub(lambda found: f"{found[1]}{table}\n{found[2]}", PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
