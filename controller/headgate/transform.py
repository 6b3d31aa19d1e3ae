"""What the author of a transform imports: the record that comes in, and what may go out.

A transform is a plain function in a module that the administrator allows. It gets one record and returns what goes on:
nothing, one or several. It is called in the order of the records of each source partition, by one thread, and holds no
state that has to survive: after a failure the same records come again.

The shapes of a function, told apart by its parameters and by two decorators:

    def clean(record): ...                     one record in
    def clean(record, settings): ...           with the stream's settings, a dictionary

    @batch
    def clean_all(records, settings): ...      many records in, a list of as many results out

    @factory
    def make(settings): return clean           built once per task: for what is costly to prepare

docs/writing-a-transform.md tells the whole story.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

import orjson

from headgate_events.records import Record

__all__ = ["KEEP", "Headers", "Out", "Record", "Result", "RetryLater", "StopStream", "batch", "factory"]

Headers: TypeAlias = Sequence[tuple[str, bytes | str | None]]


class _Keep:
    """The type of KEEP."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final = _Keep()
"""Stands for "as the record that came in has it"."""


class Out:
    """One record that goes on. What is not given stays as it came in; `key=None` and `value=None` really mean null.

    `value` is bytes, a string (written as UTF-8) or None (a tombstone); `Out.json(…)` writes JSON. `partition` None
    leaves the choice to the destination. `timestamp_ms` is epoch milliseconds.
    """

    __slots__ = ("headers", "key", "partition", "timestamp_ms", "value")

    def __init__(
        self,
        value: bytes | str | None,
        *,
        key: bytes | str | _Keep | None = KEEP,
        headers: Headers | _Keep | None = KEEP,
        partition: int | None = None,
        timestamp_ms: int | _Keep = KEEP,
    ) -> None:
        self.value = value.encode() if isinstance(value, str) else value
        self.key = key.encode() if isinstance(key, str) else key
        self.headers = headers
        self.partition = partition
        self.timestamp_ms = timestamp_ms

    @classmethod
    def json(
        cls,
        value: Any,
        *,
        key: bytes | str | _Keep | None = KEEP,
        headers: Headers | _Keep | None = KEEP,
        partition: int | None = None,
        timestamp_ms: int | _Keep = KEEP,
    ) -> Out:
        """Write `value` (dictionaries, lists, strings, numbers, dates) as JSON. Raises TypeError for other objects."""
        return cls(orjson.dumps(value), key=key, headers=headers, partition=partition, timestamp_ms=timestamp_ms)

    def __repr__(self) -> str:
        return f"Out({self.value!r}, key={self.key!r}, partition={self.partition!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Out):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]


Single: TypeAlias = bytes | str | Mapping[str, Any] | Out | Record
Result: TypeAlias = Single | Iterable[Single] | None
"""What a transform returns for a record: None (nothing goes on), one, or a list or generator of several.

bytes and strings become the value, a dictionary becomes JSON; key, headers and timestamp stay. Returning the record
itself passes it on unchanged.
"""


class RetryLater(Exception):
    """Raise it when a record cannot be processed *now*: the stream becomes FAILED and retries with backoff.

    `after_s` is the least wait before the next attempt. Errors of networks, HTTP clients and databases that pass by
    themselves are treated alike without it, and so is any exception with an attribute `retriable` that is true.
    """

    def __init__(self, *words: object, after_s: float | None = None) -> None:
        super().__init__(*words)
        self.after_s = after_s


class StopStream(Exception):
    """Raise it when going on would be wrong, whatever `on_error` says: a person has to look first.

    Any other exception is about the record at hand: `on_error` decides whether the stream stops, passes over it, or
    makes a dead letter of it.
    """


Function = TypeVar("Function", bound=Callable[..., Any])


def batch(function: Function) -> Function:
    """Declare a transform that takes many records at once and returns a list with one result for each, in order."""
    function.__headgate_transform__ = "batch"  # type: ignore[attr-defined]
    return function


def factory(function: Function) -> Function:
    """Declare a function that is given the settings once per task and returns the transform (a function, also @batch).

    It runs in the validation too, so settings that it refuses (by raising ValueError with a sentence) refuse the start
    or the modify.
    """
    function.__headgate_transform__ = "factory"  # type: ignore[attr-defined]
    return function
