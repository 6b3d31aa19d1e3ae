"""Write the golden file of every sample that has none: `python -m tests.golden.write`. It never changes one.

A file that stands is the record as somebody's topic may hold it; a different one would be another record.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.golden.samples import Sample, samples

FOLDER = Path(__file__).with_name("records")


def text(sample: Sample) -> str:
    """Write one record as a golden file: its key, headers and value as text, all of them UTF-8."""
    record = {
        "key": sample.key.decode(),
        "headers": [[name, value.decode()] for name, value in sample.headers],
        "value": sample.value.decode(),
    }
    return json.dumps(record, ensure_ascii=False, indent=1) + "\n"


def main() -> None:
    """Write what is missing, and say what was written."""
    FOLDER.mkdir(exist_ok=True)
    for sample in samples():
        path = FOLDER / f"{sample.name}.json"
        if not path.exists():
            path.write_text(text(sample), encoding="utf-8")
            print(f"written: {path.name}")  # noqa: T201 - it is a program


if __name__ == "__main__":
    main()
