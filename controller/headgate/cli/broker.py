"""`headgate broker`: a real Kafka on this machine for development, started and stopped like a service of one's own."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from headgate.broker import ports
from headgate.broker.artifacts import KAFKA_VERSION, ensure_jars, jars_folder
from headgate.broker.background import BackgroundBroker, described
from headgate.broker.errors import BrokerNotRunning, BrokerRefused
from headgate.broker.logfile import follow as follow_log
from headgate.broker.logfile import tail
from headgate.broker.node import DEFAULT_HEAP_MB, NodeSettings
from headgate.broker.progress import progress_for_person

app = typer.Typer(help="A real Kafka on this machine, for development.", no_args_is_help=True)

PREFERRED_PORT = 9092
_MAX_LINES = 100_000


class Output(StrEnum):
    """The forms in which `status` answers."""

    TABLE = "table"
    JSON = "json"


@app.command()
def start(
    port: Annotated[
        int | None, typer.Option(help=f"Port to listen on; by default {PREFERRED_PORT}, or a free one if it is taken.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder for data and log; kept when the broker stops.")] = None,
    heap_mb: Annotated[int, typer.Option(help="Bound of the Java heap, in MB.")] = DEFAULT_HEAP_MB,
    set_property: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A Kafka property; may be repeated.")
    ] = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay, and end the broker on Ctrl-C.")] = False,
) -> None:
    """Start the broker, or say that it runs already."""
    broker = BackgroundBroker()
    folder = data_dir.expanduser().absolute() if data_dir else None
    properties = dict(_property(text) for text in set_property or [])
    settings = NodeSettings(port, heap_mb, properties)
    if port is None and broker.status() is None and ports.port_is_free(PREFERRED_PORT):
        settings = NodeSettings(PREFERRED_PORT, heap_mb, properties)
    if foreground:
        _run_in_foreground(broker, settings, folder)
        return
    running, started = broker.start(settings, folder, progress_for_person())
    verb = "is started" if started else "runs already"
    typer.echo(f"Kafka {KAFKA_VERSION} {verb} at {running.bootstrap_servers} (process {running.pid}).")
    if started:
        typer.echo(f"Log: {running.log_path}. Stop it with `headgate broker stop`.")


@app.command()
def stop() -> None:
    """Stop the broker; its data stays."""
    typer.echo("The broker is stopped." if BackgroundBroker().stop() else "No broker runs.")


@app.command()
def status(
    output: Annotated[Output, typer.Option("--output", "-o", help="Form of the answer.")] = Output.TABLE,
) -> None:
    """Say whether the broker runs, and where. Exit status 1 when it does not."""
    running = BackgroundBroker().status()
    facts = {"running": False} if running is None else described(running)
    if output is Output.JSON:
        typer.echo(json.dumps(facts))
    elif running is None:
        typer.echo("No broker runs. Start one with `headgate broker start`.")
    else:
        table = Table(show_header=False, box=None, pad_edge=False)
        for name, fact in facts.items():
            table.add_row(name.replace("_", " "), _in_words(fact))
        Console(soft_wrap=True).print(table)
    if running is None:
        raise typer.Exit(1)


@app.command()
def logs(
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, max=_MAX_LINES, help="How many of the last lines.")
    ] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines while the broker runs.")] = False,
) -> None:
    """Show the end of the broker's log, of the last run when none is running."""
    broker = BackgroundBroker()
    path = broker.last_log_path
    if not path.exists():
        raise BrokerNotRunning(f"There is no log at {path}: no broker has run.", hint="Run `headgate broker start`.")
    if lines and (text := tail(path, lines, at_most_bytes=lines * 1_000)):
        typer.echo(text)
    if follow:
        try:
            for chunk in follow_log(path, lambda: broker.status() is not None):
                typer.echo(chunk, nl=False)
        except KeyboardInterrupt:
            # The way to end it.
            return


@app.command()
def fetch() -> None:
    """Download Kafka into the cache without starting it; the folder may be copied to a machine without a network."""
    count = len(ensure_jars(progress_for_person()))
    typer.echo(f"Kafka {KAFKA_VERSION} ({count} jars, each checked) is in {jars_folder()}.")


def _in_words(fact: object) -> str:
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    return "not known yet" if fact is None else str(fact)


def _property(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise BrokerRefused(f"--set {text} is no property.", hint="Write it as name=value.")
    return name.strip(), value.strip()


def _run_in_foreground(broker: BackgroundBroker, settings: NodeSettings, folder: Path | None) -> None:
    with _interrupted_by_sigterm(), broker.foreground(settings, folder, progress_for_person()) as embedded:
        typer.echo(f"{embedded.said}. Log: {embedded.log_path}. Ctrl-C stops it.")
        try:
            while (code := embedded.wait(1.0)) is None:
                continue
        except KeyboardInterrupt:
            typer.echo("Stopping the broker.")
            return
        # 143 is SIGTERM's: `headgate broker stop` from elsewhere.
        if code not in (0, 143):
            raise BrokerNotRunning(f"The broker ended with status {code}.", hint="See `headgate broker logs`.")
        typer.echo("The broker was stopped.")


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that the broker is stopped on the way out."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
