"""Destinations, found by the `kind` in a stream's definition; the entry point `headgate.destinations` adds others."""

from __future__ import annotations

from importlib.util import find_spec

from headgate.ports.connectors import Kinds, UnknownKind
from headgate.ports.destination import DestinationKind


def installed_destinations() -> Kinds[DestinationKind]:
    """Return the destinations of this worker. Each is imported when a stream first names it."""
    builtin = {
        "kafka": _kafka,
        "discard": _discard,
        "http": _http,
        "postgresql": _postgresql,
        "stdout": _stdout,
        "jsonl": _jsonl,
        "parquet": _parquet,
    }
    return Kinds("destination", "headgate.destinations", builtin)


def _kafka() -> DestinationKind:
    from headgate.destinations.kafka import KafkaDestination

    return KafkaDestination()


def _discard() -> DestinationKind:
    from headgate.destinations.discard import Discard

    return Discard()


def _http() -> DestinationKind:
    if find_spec("httpx") is None:
        raise UnknownKind(
            "The destination http needs the library httpx, which is not installed here.",
            hint="Install it on the workers: pip install 'headgate[http]'",
        )
    from headgate.destinations.http.kind import Http

    return Http()


def _postgresql() -> DestinationKind:
    if find_spec("psycopg") is None:
        raise UnknownKind(
            "The destination postgresql needs the library psycopg, which is not installed here.",
            hint="Install it on the workers: pip install 'headgate[postgresql]'",
        )
    from headgate.destinations.postgresql.kind import Postgresql

    return Postgresql()


def _stdout() -> DestinationKind:
    from headgate.destinations.stdout import Stdout

    return Stdout()


def _jsonl() -> DestinationKind:
    from headgate.destinations.files.kinds import JsonLinesFiles

    return JsonLinesFiles()


def _parquet() -> DestinationKind:
    if find_spec("pyarrow") is None:
        raise UnknownKind(
            "The destination parquet needs the library pyarrow, which is not installed here.",
            hint="Install it on the workers: pip install 'headgate[files]'",
        )
    from headgate.destinations.files.kinds import ParquetFiles

    return ParquetFiles()
