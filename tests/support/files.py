"""What a reader of finished files sees, and what a stream of made-up records must have put there.

The records of partition p are numbered from 0; those whose number divides by 7 are filtered out, so that positions and
records differ. The reader knows nothing but names: `*.jsonl` and `*.parquet`, in the order of their names.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headgate.destinations.files.kinds import JsonLinesFiles, ParquetFiles
from headgate.destinations.files.local import LocalFiles
from headgate.ports.destination import Output, Token
from headgate.ports.log import Committed, TopicPartition
from headgate.testing import MadeRecord
from tests.support.made import context

TOPIC = "flights"
MADE: list[LocalFiles] = []
"""Every destination made, for `close_all`."""


def make(kind: str, folder: Path, **settings: Any) -> LocalFiles:
    """Make a destination of the kind in a folder, not open yet."""
    of: Any = JsonLinesFiles() if kind == "jsonl" else ParquetFiles()
    made = of.destination(of.settings.model_validate({"folder": str(folder), **settings}), context())
    assert isinstance(made, LocalFiles)
    MADE.append(made)
    return made


def close_all() -> None:
    """Close every destination that was made."""
    while MADE:
        MADE.pop().close()


def record(partition: int, offset: int) -> MadeRecord:
    """Return the record at this place."""
    value = json.dumps({"p": partition, "n": offset, "text": "x" * (offset % 50)}).encode()
    return MadeRecord(TOPIC, partition, offset, value)


def passes(offset: int) -> bool:
    """Say whether the made-up transform lets a record pass."""
    return offset % 7 != 0


def outputs(partition: int, start: int, end: int) -> list[Output]:
    """Return what the records of this range lead to."""
    made = [record(partition, offset) for offset in range(start, end) if passes(offset)]
    return [Output(each.value(), None, None, None, 0, each) for each in made]


def account(position: int) -> Committed:
    """Return a position with the text that a task would commit beside it."""
    return Committed(position, f'{{"w":{sum(map(passes, range(position)))}}}')


class Owner:
    """A task's use of a destination: it takes partitions on, writes and commits, from the committed positions on."""

    def __init__(self, destination: LocalFiles, token: Token, partitions: Sequence[int]) -> None:
        self.destination = destination
        self.token = token
        self.at: dict[int, int] = dict.fromkeys(partitions, 0)

    def take_on(self) -> dict[int, int]:
        """Open, claim, and go to the committed positions; check the text beside them. Return the positions."""
        self.destination.open()
        claims = {TopicPartition(TOPIC, number): self.token for number in self.at}
        found = self.destination.positions(claims)
        for number in self.at:
            committed = found.get(TopicPartition(TOPIC, number), account(0))
            assert committed == account(committed.position), committed
            self.at[number] = committed.position
        return dict(self.at)

    def write(self, count: int) -> None:
        """Write the next records of every partition."""
        for number, start in self.at.items():
            self.destination.write(outputs(number, start, start + count))
            self.at[number] = start + count

    def commit(self) -> None:
        """Commit every partition."""
        self.destination.commit({TopicPartition(TOPIC, number): account(at) for number, at in self.at.items()}, None)

    def written(self) -> dict[int, int]:
        """Return how many records a reader finds once all that was written is committed."""
        return {number: sum(map(passes, range(at))) for number, at in self.at.items()}


def read(folder: Path) -> dict[int, list[int]]:
    """Return the numbers that a reader finds, by partition, in the order of names and lines."""
    found: defaultdict[int, list[int]] = defaultdict(list)
    for path in sorted([*folder.glob("*.jsonl"), *folder.glob("*.parquet")]):
        for row in rows(path):
            found[row["p"]].append(row["n"])
    return dict(found)


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of one finished file."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return list(pq.ParquetFile(path).read().to_pylist())
    text = path.read_text()
    assert text.endswith("\n"), f"{path.name} ends in the middle of a line"
    return [json.loads(line) for line in text.splitlines()]


def check_prefix(folder: Path, partitions: Sequence[int]) -> dict[int, int]:
    """Assert that finished files hold each record once, in order, from the first on without a hole; count them."""
    found = read(folder)
    for number in partitions:
        numbers = found.get(number, [])
        expected = [offset for offset in range(numbers[-1] + 1) if passes(offset)] if numbers else []
        assert numbers == expected, f"partition {number} of {folder}: {numbers} instead of {expected}"
    return {number: len(found.get(number, [])) for number in partitions}
