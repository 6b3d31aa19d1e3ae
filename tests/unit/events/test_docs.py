"""The example on the page of records and topics works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from headgate_events.testing import MemoryHeadgate

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "records-and-topics.md").read_text(encoding="utf-8")


def test_the_example_runs() -> None:
    (example,) = [code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "MemoryHeadgate" in code]
    names: dict[str, object] = {}
    exec(example, names)  # the page is ours
    assert isinstance(names["memory"], MemoryHeadgate)
