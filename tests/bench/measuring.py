"""Ratios with their spread: two ways to do one thing, in turns, on one broker.

A shared machine drifts, so single times mean little. Each pair is measured back to back, the ratio is taken within the
pair, and what is reported is the median of the ratios with the smallest and the largest.
"""

from __future__ import annotations

import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some measurements, with the smallest and the largest."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def shown(self, unit: str = "", digits: int = 2) -> str:
        return f"{self.median:,.{digits}f}{unit} ({self.least:,.{digits}f}–{self.most:,.{digits}f})"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what, ours, the other, their ratio, and the bar that it should reach."""

    what: str
    ours: str
    other: str
    ratio: str
    bar: str
    met: bool

    def shown(self) -> str:
        verdict = "met" if self.met else "MISSED"
        return f"| {self.what} | {self.ours} | {self.other} | {self.ratio} | {self.bar}: {verdict} |"


HEAD = "| what | ours | compared with | ratio: median (least–most) | bar |\n|---|---|---|---|---|"


def in_turns(
    ours: Callable[[], float], other: Callable[[], float], pairs: int, say: Callable[[str], None] = print
) -> tuple[Spread, Spread, Spread]:
    """Measure both `pairs` times, in turns, also as to their order; return ours, other and ours/other."""
    mine: list[float] = []
    theirs: list[float] = []
    for number in range(pairs):
        if number % 2:
            theirs.append(other())
            mine.append(ours())
        else:
            mine.append(ours())
            theirs.append(other())
        say(f"  pair {number + 1} of {pairs}: {mine[-1]:,.1f} against {theirs[-1]:,.1f}")
    ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
    return Spread.of(mine), Spread.of(theirs), Spread.of(ratios)


def machine() -> str:
    """Describe the machine and the versions in one line."""
    cores = model = "?"
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        cores = str(sum(line.startswith("processor") for line in lines))
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")
    return (
        f"{cores} cores ({model}), Python {platform.python_version()}, "
        f"confluent-kafka {version('confluent-kafka')}, Headgate {version('headgate')}"
    )
