"""Writes the generated parts of the documentation anew: `python docs/generate.py`; `--check` only says what is stale.

A page marks such a part by `<!-- generated: NAME -->` and `<!-- end -->`; what stands between them comes from the code.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from headgate.cli import reference
from headgate.client_settings import CONSUMER_SETTINGS, PRODUCER_SETTINGS
from headgate.core import diagram
from headgate_events import tables

HERE = Path(__file__).parent


def decisions() -> str:
    """Return a list of the decision pages, the oldest first, each by its title."""
    pages = sorted((HERE / "decisions").glob("*.md"))
    return "\n".join(
        f"- {page.name[:10]} [{page.read_text().partition(chr(10))[0].lstrip('# ')}](decisions/{page.name})"
        for page in pages
    )


def client_settings() -> str:
    """Return a table of what a stream may set of its Kafka clients."""
    rows = ["| section | setting | value |", "| --- | --- | --- |"]
    for section, settings in (("source", CONSUMER_SETTINGS), ("destination", PRODUCER_SETTINGS)):
        rows += [f"| {section} | `{name}` | {bound} |" for name, bound in settings.items()]
    return "\n".join(rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "lifecycle diagram": lambda: f"```mermaid\n{diagram.diagram()}\n```",
    "lifecycle commands": diagram.command_table,
    "lifecycle reports": diagram.report_table,
    "lifecycle refusals": diagram.refusals,
    "topics": tables.topics,
    "headers": tables.headers,
    "command records": tables.commands,
    "report records": tables.reports,
    "history records": tables.history,
    "command line": reference.reference,
    "decisions": decisions,
    "client settings": client_settings,
}
_BLOCK = re.compile(r"(<!-- generated: (?P<name>[^>]+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def regenerated(page: str) -> str:
    """Return a page with every generated part as the code has it now; raises KeyError for an unknown name."""
    return _BLOCK.sub(lambda found: f"{found[1]}{BLOCKS[found['name']]()}\n{found[3]}", page)


def main(arguments: list[str]) -> int:
    """Rewrite (or check) every page of this folder and the README; return the exit status."""
    stale = []
    for path in [HERE.parent / "README.md", *sorted(HERE.glob("*.md"))]:
        page = path.read_text()
        if (fresh := regenerated(page)) != page:
            stale.append(path.name)
            if "--check" not in arguments:
                path.write_text(fresh)
    if "--check" in arguments and stale:
        sys.stdout.write(f"stale: {', '.join(stale)}; run python docs/generate.py\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
