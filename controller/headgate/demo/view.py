"""What a person sees: the story line by line and, in a terminal, a live picture of the traffic below it.

Where standard output is no terminal (CI, a file) there are the same lines and no picture. Every check is one line with
its result, and what was checked is remembered for the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

REFRESHES_PER_S: Final = 5
BAR_CELLS: Final = 24
INDENT: Final = "   "
STATUS_STYLES: Final = {
    "RUNNING": "bold green",
    "DRAINING": "bold yellow",
    "PAUSED": "bold blue",
    "STARTING": "cyan",
    "FAILED": "bold red",
    "FAILED_PERMANENTLY": "bold red",
}


@dataclass(frozen=True, slots=True)
class Lane:
    """One airport in the picture: departures in all, in the source, and in the destination; who carries them."""

    airport: str
    total: int
    sent: int
    arrived: int
    worker: str


@dataclass(frozen=True, slots=True)
class Picture:
    """The traffic at one moment. `date` is how far into the month it is, `classes` how the departures were judged."""

    status: str
    date: str
    lanes: Sequence[Lane]
    classes: Sequence[tuple[str, int]]


class View:
    """Tells the story. The picture is drawn from a thread of rich's own, so `look` has to be safe to call there."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.checks: list[tuple[bool, str]] = []
        self._began_s = time.monotonic()
        self._steps = 0

    @property
    def elapsed_s(self) -> float:
        """For how long the story has been told."""
        return time.monotonic() - self._began_s

    @property
    def failed(self) -> list[str]:
        """The checks that did not hold."""
        return [what for held, what in self.checks if not held]

    def title(self, text: str) -> None:
        """Begin the story."""
        self._print(Text(text, style="bold"))

    def step(self, text: str) -> None:
        """Begin a step."""
        self._steps += 1
        self._print(Text())
        self._print(Text.assemble((f"{self._steps:>2} ", "bold cyan"), (text, "bold"), (self._time(), "dim")))

    def say(self, text: str) -> None:
        """Tell one sentence or two."""
        self._print(Text(text), INDENT)

    def detail(self, text: str) -> None:
        """Show a fact below a sentence."""
        self._print(Text(text, style="dim"), INDENT + "  ")

    def raw(self, text: str) -> None:
        """Show lines as they are, such as another command's output."""
        for line in text.rstrip("\n").splitlines():
            self.console.print(Text(INDENT + "  " + line), soft_wrap=True)

    def check(self, held: bool, text: str) -> bool:
        """Show the result of a check, remember it, and return it."""
        self.checks.append((held, text))
        sign = ("[ok]     ", "bold green") if held else ("[FAILED] ", "bold red")
        self._print(Text.assemble(sign, text), INDENT, len("[FAILED] "))
        return held

    def picture(self, look: Callable[[], Picture]) -> ShownPicture:
        """Show the traffic below the story for the length of a block; nothing where there is no terminal."""
        return ShownPicture(self, look)

    def _time(self) -> str:
        return f"   {self.elapsed_s:.0f} s"

    def _print(self, text: Text, indent: str = "", hang: int = 0) -> None:
        if not self.console.is_terminal:
            self.console.print(Text.assemble(indent, text), soft_wrap=True)
            return
        width = max(40, min(self.console.width, 118) - len(indent))
        lines = text.wrap(self.console, width - hang) if hang else text.wrap(self.console, width)
        for number, line in enumerate(lines):
            self.console.print(Text.assemble(indent, " " * (hang if number else 0), line), soft_wrap=True)


class ShownPicture:
    """A block during which the picture is shown."""

    def __init__(self, view: View, look: Callable[[], Picture]) -> None:
        self._view = view
        self._look = look
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._view.console.is_terminal:
            self._live = Live(
                _Drawn(self._look), console=self._view.console, refresh_per_second=REFRESHES_PER_S, transient=True
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()


class _Drawn:
    """A picture that is looked at anew each time it is drawn."""

    def __init__(self, look: Callable[[], Picture]) -> None:
        self._look = look

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield draw(self._look())


def draw(picture: Picture) -> Padding:
    """Lay one moment out: a line about the stream, one for each airport, one about the results."""
    head = Text.assemble(
        ("departures ", "bold"),
        (picture.status or "not created", STATUS_STYLES.get(picture.status, "dim")),
        (f"   {picture.date}", "dim"),
    )
    lanes = Table("", "", box=None, pad_edge=False, header_style="dim")
    for column in ("source", "destination", "waiting"):
        lanes.add_column(column, justify="right", min_width=7, no_wrap=True)
    lanes.add_column("carried by", no_wrap=True)
    for lane in picture.lanes:
        lanes.add_row(
            Text(lane.airport, style="bold"),
            _bar(lane),
            f"{lane.sent:,}",
            Text(f"{lane.arrived:,}", style="green"),
            Text(f"{max(0, lane.sent - lane.arrived):,}", style="yellow"),
            Text(lane.worker, style="cyan"),
        )
    judged = Text("   ".join(f"{name} {count:,}" for name, count in picture.classes), style="dim")
    return Padding(Group(head, lanes, judged), (1, 0, 0, len(INDENT)))


def _bar(lane: Lane) -> Text:
    """Draw a lane: what has arrived, what waits, what is still to come."""
    total = max(1, lane.total)
    arrived = BAR_CELLS * lane.arrived // total
    waiting = max(0, min(BAR_CELLS, -(-BAR_CELLS * lane.sent // total)) - arrived)
    rest = BAR_CELLS - arrived - waiting
    return Text.assemble(("━" * arrived, "green"), ("━" * waiting, "yellow"), ("─" * rest, "dim"))
