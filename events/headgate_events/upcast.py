"""Upcasters: pure functions that bring an old payload to the present version, one step at a time.

Events are for ever, so a record type is never changed in place: `….v1` keeps its meaning, a `….v2` gets an upcaster
from v1, and readers know only the newest version. Every type is at version 1 today.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

Payload = dict[str, Any]
Upcaster = Callable[[Payload], Payload]

_TYPE: Final = re.compile(r"headgate\.(command|report|history)\.([a-z][a-z-]{0,62})\.v([1-9][0-9]{0,3})")
_SINGLE: Final = re.compile(r"headgate\.(state|progress|marker|heartbeat|cordon)\.v([1-9][0-9]{0,3})")

UPCASTERS: Final[Mapping[tuple[str, int], Upcaster]] = {}
"""(`command.pause`, 1) → the function from version 1 to version 2."""
PRESENT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class RecordType:
    """A `ce_type` taken apart: `headgate.command.pause.v1` is family command, kind pause, version 1."""

    family: str
    kind: str
    version: int

    def __str__(self) -> str:
        middle = self.family if self.family == self.kind else f"{self.family}.{self.kind}"
        return f"headgate.{middle}.v{self.version}"


@lru_cache(maxsize=1_024)
def parse_type(text: str) -> RecordType | None:
    """Take a `ce_type` apart; None when it is not one of ours."""
    if found := _TYPE.fullmatch(text):
        return RecordType(found[1], found[2], int(found[3]))
    if found := _SINGLE.fullmatch(text):
        return RecordType(found[1], found[1], int(found[2]))
    return None


@lru_cache(maxsize=1_024)
def type_of(family: str, kind: str, version: int = PRESENT_VERSION) -> str:
    """Name the `ce_type` of a record: family `command`, kind `pause` is `headgate.command.pause.v1`."""
    return str(RecordType(family, kind, version))


def upcast(
    record_type: RecordType, payload: Payload, upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS
) -> tuple[RecordType, Payload]:
    """Apply the upcasters from the record's version on, as far as they reach. The payload is not changed in place."""
    version = record_type.version
    name = f"{record_type.family}.{record_type.kind}"
    while (step := upcasters.get((name, version))) is not None:
        payload = step(dict(payload))
        version += 1
    return RecordType(record_type.family, record_type.kind, version), payload
