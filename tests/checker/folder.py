"""What a run left in a folder of files: finished ones only, as their reader would pick them up.

A lane is a source partition: its files one after the other, in the order of their names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
from pyarrow import parquet  # type: ignore[import-untyped]

from tests.checker.model import Delivered, Seen


def delivered(folder: Path) -> tuple[Delivered, ...]:
    """Read every finished file of JSON Lines or Parquet."""
    lanes: Counter[str] = Counter()
    found = []
    for path in sorted(each for each in folder.glob("*") if each.is_file()):
        lane = path.name.split(".")[-3]
        for row in _rows(path):
            key = row.get("k")
            found.append(Delivered(row.get("n"), lane, lanes[lane], None if key is None else key.encode()))
            lanes[lane] += 1
    return tuple(found)


def seen(folder: Path) -> Seen:
    """Return how many records each partition's finished files hold now."""
    return Counter(each.lane for each in delivered(folder))


def _rows(path: Path) -> Iterator[dict[str, object]]:
    if path.suffix == ".parquet":
        yield from parquet.read_table(path).to_pylist()
        return
    for line in path.read_bytes().splitlines():
        yield orjson.loads(line)
