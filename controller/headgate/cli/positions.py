"""Where `resume` and `recover` go on, as it is written on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from headgate.cli.wording import moment_ms, safe
from headgate_events.errors import InvalidRequest
from headgate_events.schema.commands import (
    AtCommitted,
    AtEarliest,
    AtLatest,
    AtOffsets,
    AtTime,
    PositionPolicy,
    Skip,
)
from headgate_events.schema.common import MAX_INT64, MAX_PARTITIONS_PER_TOPIC

_PLACE: Final = re.compile(r"([a-zA-Z0-9._-]{1,249}):([0-9]{1,6})=([0-9]{1,19})")


def read_policy(at: str | None, offsets: Sequence[str], skip: str | None) -> PositionPolicy:
    """Return the policy that the options mean. Raises InvalidRequest, which names the option that is wrong."""
    if sum((at is not None, bool(offsets), skip is not None)) > 1:
        raise InvalidRequest("--at, --offsets and --skip do not go together.", hint="Give one of them.")
    if offsets:
        found: dict[str, dict[str, int]] = {}
        for text in offsets:
            topic, partition, number = _place(text, "--offsets", "OFFSET")
            if partition in found.setdefault(topic, {}):
                raise InvalidRequest(f"--offsets names {topic}:{partition} twice.", hint="Name each partition once.")
            found[topic][partition] = number
        return AtOffsets(offsets=found)
    if skip is not None:
        topic, partition, number = _place(skip, "--skip", "N")
        return Skip(topic=topic, partition=partition, records=number)
    match at:
        case None | "committed":
            return AtCommitted()
        case "earliest":
            return AtEarliest()
        case "latest":
            return AtLatest()
        case _:
            try:
                return AtTime(timestamp_ms=moment_ms(at, "--at"))
            except InvalidRequest as error:
                raise InvalidRequest(
                    f"--at is not a position: {safe(at, 60)!r}.",
                    hint="Write committed, earliest, latest, or a time like 2026-11-21T10:00:00Z.",
                ) from error


def _place(text: str, option: str, number: str) -> tuple[str, str, int]:
    match = _PLACE.fullmatch(text)
    if match is None or int(match[2]) >= MAX_PARTITIONS_PER_TOPIC or int(match[3]) > MAX_INT64:
        raise InvalidRequest(
            f"{option} cannot be read: {safe(text, 80)!r}.", hint=f"Write TOPIC:PARTITION={number}, like flights:0=42."
        )
    return match[1], str(int(match[2])), int(match[3])
