"""The examples that need no Kafka work as they stand on their pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headgate_events.testing import MemoryHeadgate

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.mark.parametrize("page", ["records-and-topics.md", "idleness.md"])
def test_the_example_runs(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    (example,) = [code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "MemoryHeadgate" in code]
    names: dict[str, object] = {}
    exec(example, names)  # the page is ours
    assert isinstance(names["memory"], MemoryHeadgate)
