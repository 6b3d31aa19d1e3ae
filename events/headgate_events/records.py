"""What the fold gets and gives: inputs and history records as small plain objects.

A payload is a plain dictionary that was validated once, at the edge. `Record` is the little that we need of a consumed
Kafka message; confluent-kafka's messages and those of the in-memory twin both have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

Payload = dict[str, Any]
Family = Literal["commands", "reports"]


class Record(Protocol):
    """One consumed record. The methods are confluent-kafka's, so that its messages need no wrapping."""

    def topic(self) -> str | None: ...
    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...
    def key(self) -> Any: ...
    def value(self) -> Any: ...
    def headers(self) -> Any: ...
    def timestamp(self) -> Any: ...


class Input(NamedTuple):
    """A readable command or report, with where it stands and when the broker appended it.

    `kind` is `pause`, `partition-drained` …; `expected_version` is None when the sender expects none; `actor` is
    `unknown` when none was given.
    """

    family: Family
    topic: str
    partition: int
    offset: int
    at_ms: int
    id: str
    type: str
    kind: str
    stream: str
    actor: str
    expected_version: int | None
    payload: Payload


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An input that cannot be decoded. It is answered with a refusal that names its offset, and never lost from view.

    `id`, `type` and `stream` are what could be read of them.
    """

    family: Family
    topic: str
    partition: int
    offset: int
    at_ms: int
    code: str
    message: str
    hint: str
    id: str | None = None
    type: str | None = None
    stream: str | None = None
    actor: str | None = None


class HistoryRecord(NamedTuple):
    """One record that goes to, or came from, the history: its kind, its id, and the payload with its exact bytes."""

    kind: str
    id: str
    payload: Payload
    value: bytes
