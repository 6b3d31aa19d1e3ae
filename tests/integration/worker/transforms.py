"""Transforms of the tests."""

from __future__ import annotations

import sys
from threading import Event
from typing import Any

from headgate.transform import Out, Record, RetryLater, batch, factory


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


def not_now(record: Record) -> None:
    raise RetryLater("the oracle is silent")
