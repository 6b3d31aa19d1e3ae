"""A module that the tests allow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headgate.transform import Out, RetryLater, batch, factory

not_callable = 3


def nothing(record: Any) -> None:
    return None


def text(record: Any) -> str:
    return "ä"


def table(record: Any, settings: dict[str, Any]) -> dict[str, Any]:
    return {"n": int(record.value()), **settings}


def itself(record: Any) -> Any:
    return record


def several(record: Any) -> Iterator[Any]:
    yield b"one"
    yield Out("two", key=None, headers=[("h", b"1")], partition=3, timestamp_ms=5)


def endless(record: Any) -> Iterator[bytes]:
    while True:
        yield b"x"


def number(record: Any) -> Any:
    return 3


def third_fails(record: Any) -> Any:
    if record.offset() == 2:
        raise KeyError("carrier")
    return record


def half_then_fails(record: Any) -> Iterator[bytes]:
    yield b"half"
    raise RetryLater("later")


@batch
def all_upper(records: list[Any]) -> list[bytes]:
    return [record.value().upper() for record in records]


@batch
def too_few(records: list[Any]) -> list[bytes]:
    return [b"one"]


@factory
def picky(settings: dict[str, Any]) -> Any:
    if "text" not in settings:
        raise ValueError("text is missing")
    return lambda record: settings["text"]


@factory
def batching(settings: dict[str, Any]) -> Any:
    return all_upper


@factory
def useless(settings: dict[str, Any]) -> Any:
    return 3


def three(a: Any, b: Any, c: Any) -> None:
    return None


def optional(record: Any, settings: dict[str, Any] | None = None) -> Any:
    return (settings or {}).get("text", "none")


ODD = {
    "value": lambda: Out(5),  # type: ignore[arg-type]
    "key": lambda: Out(b"", key=5),  # type: ignore[arg-type]
    "no_headers": lambda: Out(b"", headers=5),  # type: ignore[arg-type]
    "no_pair": lambda: Out(b"", headers=[5]),  # type: ignore[list-item]
    "header": lambda: Out(b"", headers=[("a", 5)]),  # type: ignore[list-item]
    "header_text": lambda: Out(b"", headers=[("a", "\ud800")]),
    "no_partition": lambda: Out(b"", partition="a"),  # type: ignore[arg-type]
    "partition": lambda: Out(b"", partition=-7),
    "no_time": lambda: Out(b"", timestamp_ms="x"),  # type: ignore[arg-type]
    "time": lambda: Out(b"", timestamp_ms=2**70),
}


def odd(record, settings):
    return ODD[settings["what"]]() if record.offset() == 2 else record


def leaving(record):
    if record.offset() == 2:
        raise SystemExit(3)
    return record


@batch
def all_leaving(records):
    raise SystemExit(3)
