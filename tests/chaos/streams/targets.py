"""The destinations that promise exactly once, each as a stream's definition names it and as its own reader sees it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo

from headgate.broker.choose import choose_broker
from tests.checker import folder as in_folder
from tests.checker import kafka as in_kafka
from tests.checker import table as in_table
from tests.checker.model import Delivered, Seen
from tests.support.kafka import Topics

NAMES = ("kafka", "jsonl", "parquet", "postgresql")
"""What the suite runs."""
ALL = (*NAMES, "kafka-elsewhere")
"""With a second cluster, which takes a broker more."""
DISK_MB = 64


@dataclass(frozen=True, slots=True)
class Target:
    """A destination of a run: its section in the definition, and how to look at what is visible there."""

    name: str
    section: dict[str, Any]
    delivered: Callable[[], tuple[Delivered, ...]]
    seen: Callable[[], Seen]
    environment: Mapping[str, str] = field(default_factory=dict)
    """What workers need to reach it."""
    disk: Path | None = None
    """A small file system that holds it and nothing else, so that it can be filled; None where there is none."""


@contextmanager
def made(name: str, servers: str, namespace: str, partitions: int, scratch: Path) -> Iterator[Target]:
    """Make the destination called `name`, and take down what was started for it."""
    if name == "kafka":
        topic = Topics(servers, namespace).create("destination", partitions)
        section = {"kind": "kafka", "topic": topic, "partition": "source"}
        yield Target(name, section, lambda: in_kafka.delivered(servers, topic), lambda: in_kafka.seen(servers, topic))
    elif name in {"jsonl", "parquet"}:
        with _small_disk(scratch / "disk") as disk:
            folder = (disk or scratch) / "delivered"
            folder.mkdir()
            section = {"kind": name, "folder": str(folder), "roll": {"records": 1_000, "seconds": 0.5}}
            seen = partial(in_folder.seen, folder)
            yield Target(name, section, partial(in_folder.delivered, folder), seen, disk=disk)
    elif name == "kafka-elsewhere":
        with _another_cluster(namespace, partitions, scratch) as target:
            yield target
    elif name == "postgresql":
        with _table(scratch) as target:
            yield target
    else:
        raise AssertionError(f"no destination is called {name}")


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path | None]:
    """Mount a small file system, where this process may; else there is none."""
    folder.mkdir()
    arguments = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    mounted = subprocess.run(arguments, capture_output=True, check=False).returncode == 0
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def _another_cluster(namespace: str, partitions: int, scratch: Path) -> Iterator[Target]:
    """Start a second broker with the topic, and write the connection by which workers find it."""
    environ = {name: value for name, value in os.environ.items() if name != "HEADGATE_BOOTSTRAP_SERVERS"}
    with choose_broker(environ=environ) as chosen:
        servers = chosen.bootstrap_servers
        topic = Topics(servers, namespace).create("destination", partitions)
        file = scratch / "connections.json"
        file.write_text(json.dumps({"connections": {"there": {"kind": "kafka", "bootstrap_servers": servers}}}))
        section = {"kind": "kafka", "connection": "there", "topic": topic, "partition": "source"}
        yield Target(
            "kafka-elsewhere",
            section,
            lambda: in_kafka.delivered(servers, topic),
            lambda: in_kafka.seen(servers, topic),
            {"HEADGATE_CONNECTIONS": str(file)},
        )


@contextmanager
def _table(scratch: Path) -> Iterator[Target]:
    """Make a database with a table, and the connection by which workers find it."""
    from tests.support.postgres import choose_server, database_on

    server = choose_server(os.environ)
    try:
        with database_on(server) as database:
            database.run("CREATE TABLE delivered (n bigint, k text)")
            found = dict(database.connection)
            file = scratch / "connections.json"
            file.write_text(json.dumps({"connections": {"proof": {"kind": "postgresql", **found}}}))
            conninfo = make_conninfo(dbname=found.pop("database"), **found)
            section = {
                "kind": "postgresql",
                "connection": "proof",
                "table": "delivered",
                "columns": {"n": "/n", "k": "/k"},
                "fields": "none",
            }
            yield Target(
                "postgresql",
                section,
                lambda: in_table.delivered(conninfo, "delivered"),
                lambda: in_table.seen(conninfo, "delivered"),
                {"HEADGATE_CONNECTIONS": str(file)},
            )
    finally:
        server.stop()
