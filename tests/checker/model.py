"""A run as its judge sees it: source, destination, what was set aside, and the pauses, with nothing of any technology.

Every record carries its identity in its value (`record`, a number that its sender gave it), so nothing that the product
adds is needed to recognise it. What the reader of a destination sees lies in *lanes*, each in an order of its own: a
partition of a topic, the finished files of a source partition. Where a destination has no order (a table), each row is
a lane of its own. A lane only grows, so how long each lane was at a moment tells what was visible then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

Seen = Mapping[str, int]
"""What was visible at a moment: for each lane the index that its next record would have. A lane not named was empty."""


class Place(NamedTuple):
    """Where a record stands in the source."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Sent:
    """A committed record of the source. `content` is what of it must arrive unchanged."""

    record: int
    place: Place
    key: bytes | None = None
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A record that a reader of the destination sees. `record` is None where its value names none."""

    record: int | None
    lane: str
    index: int
    key: bytes | None = None
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a drain said of one partition: records `read` and `written` over the offsets `start`…`end`."""

    topic: str
    partition: int
    start: int
    end: int
    read: int
    written: int


@dataclass(frozen=True, slots=True)
class Pause:
    """A stream that was PAUSED, from `seen` to `until` (None: to the end of the run).

    `epoch` is the version at which the drain, or the forced pause, began. A forced pause has no receipts to judge, and
    `seen` is what was visible once its stragglers were fenced.
    """

    epoch: int
    seen: Seen
    until: Seen | None = None
    forced: bool = False
    receipts: tuple[Receipt, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that is known after a run. `pauses` are in the order in which they happened.

    `set_aside` names records by what was read from the dead letters (or skipped by the stream's own setting);
    `partitions` says how many the source has, by topic.
    """

    sent: tuple[Sent, ...]
    delivered: tuple[Delivered, ...]
    set_aside: tuple[int, ...] = ()
    pauses: tuple[Pause, ...] = ()
    partitions: Mapping[str, int] = field(default_factory=dict)
