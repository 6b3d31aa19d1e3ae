"""What the pages say of the code is what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
_spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
assert _spec is not None and _spec.loader is not None
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)


@pytest.mark.parametrize("path", [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda path: path.name)
def test_a_page_is_as_the_code_has_it(path: Path) -> None:
    page = path.read_text()
    assert generate.regenerated(page) == page, "run python docs/generate.py"


def test_every_generated_part_stands_in_some_page() -> None:
    pages = "".join(path.read_text() for path in DOCS.glob("*.md"))
    for name in generate.BLOCKS:
        assert f"<!-- generated: {name} -->" in pages


def test_the_diagram_shows_the_way_of_a_stream() -> None:
    drawn = generate.diagram.diagram()
    assert "[*] --> NOT_STARTED: create" in drawn
    assert "DRAINING --> PAUSED: pause --force, /all partitions drained/" in drawn
    assert "FAILED --> RUNNING:" in drawn and "/error-cleared/" in drawn
