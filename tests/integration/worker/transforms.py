"""Transforms of the tests."""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Event
from typing import Any

from headgate.transform import Out, Record, RetryLater, StopStream, batch, factory


def suffix(record: Record, settings: dict[str, Any]) -> Out:
    return Out(record.value() + settings.get("text", "!").encode())


def stop_at(record: Record, settings: dict[str, Any]) -> Record:
    if int(record.value()) == settings["number"]:
        raise ValueError(f"cannot bear {settings['number']}")
    return record


def even(record: Record) -> Record | None:
    return record if int(record.value()) % 2 == 0 else None


@batch
def twice(records: list[Record]) -> list[list[Record]]:
    return [[record, record] for record in records]


@factory
def needs_text(settings: dict[str, Any]) -> Any:
    if "text" not in settings:
        raise ValueError("text is missing")
    text = settings["text"].encode()
    return lambda record: record.value() + text


def stuck(record: Record) -> None:
    sys.stderr.write("stuck now\n")
    sys.stderr.flush()
    Event().wait(300)


def held_back(record: Record, settings: dict[str, Any]) -> Record:
    """Keep everything waiting until a file exists."""
    while not Path(settings["until"]).exists():
        Event().wait(0.05)
    return record


def not_now(record: Record) -> None:
    raise RetryLater("the oracle is silent")


def bear_unless(record: Record, settings: dict[str, Any]) -> Record:
    """Fail for the numbers that the settings name; `later` ones pass once a file exists."""
    number = int(record.value())
    if number in settings.get("bad", ()):
        raise ValueError(f"cannot bear {number}")
    if number in settings.get("later", ()) and not Path(settings["until"]).exists():
        raise ConnectionError("the oracle is silent")
    if number in settings.get("stops", ()):
        raise StopStream("look at this first")
    return record


def bear_as_json(record: Record, settings: dict[str, Any]) -> dict[str, int]:
    return {"number": int(bear_unless(record, settings).value())}


@batch
def bear_all(records: list[Record], settings: dict[str, Any]) -> list[Record]:
    return [bear_unless(record, settings) for record in records]


def nothing(record: Record) -> None:
    """Filter everything out."""
