"""What a command prints: results on standard output in the form that was asked for, everything else on standard error.

Tables are for people, so they may change; they are drawn by rich on a terminal and plain otherwise: the same columns,
no colours, no boxes, nothing cut off, one line per row, so that `awk` and a diff work on them. Programs take json.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from headgate.cli.wording import safe

GAP: Final = "   "
EMPTY: Final = "-"
PADDING: Final = 2
"""The blanks that belong to a column on a terminal."""
WHOLE: Final = 12
"""Up to which width a column is not broken over lines on a terminal, as long as others can be."""


class Format(StrEnum):
    """The forms in which results can be printed."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


STATUS_COLOURS: Final[Mapping[str, str]] = {
    "NOT_STARTED": "dim",
    "STARTING": "cyan",
    "RUNNING": "green",
    "DRAINING": "yellow",
    "PAUSED": "blue",
    "FAILED": "red",
    "FAILED_PERMANENTLY": "bold red",
    "DELETED": "dim",
}


def for_terminal() -> bool:
    """Whether standard output is a terminal that can draw."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


class ReaderGone(Exception):
    """Whoever read our standard output has closed it (`| head`): there is nothing more to do, and nothing is wrong."""


def say(text: str) -> None:
    """Print one line of a result. Raises ReaderGone when nobody reads any more."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise ReaderGone from error


def note(text: str) -> None:
    """Print one line that is no result: progress, a hint, an error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def as_json(value: Any, *, indent: bool = True) -> str:
    """Write a value as JSON, indented for people who read it or on one line."""
    import orjson

    return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else 0).decode()


def as_yaml(value: Any) -> str:
    """Write a value as YAML, with the keys in their order."""
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)).rstrip("\n")


def structured(value: Any, form: Format) -> None:
    """Print a value as JSON or YAML."""
    say(as_json(value) if form is Format.JSON else as_yaml(value))


def several(values: Sequence[Any], form: Format, *, alone: bool) -> None:
    """Print values as kubectl does: one that was asked for alone stands alone, else they are the `items` of a list."""
    structured(values[0] if alone and len(values) == 1 else {"items": list(values)}, form)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], colours: Mapping[str, str] | None = None) -> None:
    """Print rows under their columns. A cell that equals a key of `colours` is coloured on a terminal."""
    cells = [[safe(cell) or EMPTY for cell in row] for row in rows]
    if for_terminal():
        _drawn(columns, cells, colours or {})
        return
    widths = [max(len(row[index]) for row in (columns, *cells)) for index in range(len(columns))]
    for row in (columns, *cells):
        say(GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _drawn(columns: Sequence[str], cells: Sequence[Sequence[str]], colours: Mapping[str, str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    widths = [max(len(row[index]) for row in (columns, *cells)) for index in range(len(columns))]
    shown = list(range(len(columns)))
    if sum(widths) + PADDING * len(shown) > console.width:
        # Where room is short, a column that holds nothing gives its place to the others.
        shown = [index for index in shown if index == 0 or any(row[index] != EMPTY for row in cells)]
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for index in shown:
        drawn.add_column(columns[index], overflow="fold", no_wrap=widths[index] <= WHOLE)
    for row in cells:
        drawn.add_row(*(Text(row[index], style=colours.get(row[index], "")) for index in shown))
    console.print(drawn)


def coloured(text: str, style: str) -> str:
    """Return `text` with a style on a terminal that wants colours, else as it is. `text` must be safe already."""
    if not for_terminal() or os.environ.get("NO_COLOR"):
        return text
    codes = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "cyan": 36}
    numbers = ";".join(
        str({"bold": 1, "dim": 2}.get(word) or codes[word]) for word in style.split() if word in {"bold", "dim", *codes}
    )
    return f"\x1b[{numbers}m{text}\x1b[0m" if numbers else text
