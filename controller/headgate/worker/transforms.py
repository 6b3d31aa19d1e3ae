"""Transforms: loading them from allowed modules only, and running them over a batch.

A function path in a stream's definition is code that somebody else wants to run, so only modules that the administrator
named are imported, and nothing else is ever looked at. What a transform returns is turned into outputs here, once, so
that destinations have one shape to deal with; how many outputs each record gave is returned too, for the receipts.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, NamedTuple

import orjson

from headgate.ports.destination import Output, timestamp_of
from headgate.transform import KEEP, Out, RetryLater, StopStream
from headgate.worker.error_classes import is_recoverable
from headgate.worker.failures import TransformFailed
from headgate_events.errors import HeadgateError
from headgate_events.records import Record

MAX_OUTPUTS_PER_RECORD: Final = 10_000
MAX_PARTITION: Final = 2**31 - 1
MAX_TIMESTAMP_MS: Final = 2**63 - 1


class TransformRefused(HeadgateError):
    """A transform that is not allowed, does not exist, or refuses its settings. The sentence says which."""

    code: ClassVar[str] = "transform.refused"


class Ran(NamedTuple):
    """What came of a batch: outputs in order, and for each record that was processed how many came of it.

    With a `failure`, only the records before it were processed: as many as there are counts.
    """

    outputs: list[Output]
    counts: list[int]
    failure: TransformFailed | None


class Transform:
    """A loaded transform. `run` is pure as far as its author made it; one task owns it."""

    def __init__(self, path: str, function: Callable[..., Any], settings: Mapping[str, Any]) -> None:
        self.path = path
        self._batch = _mark(function) == "batch"
        self._call = _with_settings(path, function, dict(settings))

    def run(self, records: Sequence[Record]) -> Ran:
        """Transform a batch, up to the first record that cannot be processed."""
        outputs: list[Output] = []
        counts: list[int] = []
        try:
            results = iter(self._all(records)) if self._batch else map(self._call, records)
        except TransformFailed as failure:
            return Ran(outputs, counts, failure)
        for record in records:
            before = len(outputs)
            try:
                _take(next(results), record, outputs)
            except TransformFailed as failure:
                return Ran(outputs, counts, failure)
            except BaseException as error:  # noqa: BLE001 - anything becomes the stream's error, SystemExit too
                del outputs[before:]
                return Ran(outputs, counts, self._failed(error, record))
            counts.append(len(outputs) - before)
        return Ran(outputs, counts, None)

    def _all(self, records: Sequence[Record]) -> Iterable[Any]:
        try:
            results = self._call(records)
            found = list(results) if results is not None else []
        except BaseException as error:
            failure = self._failed(error, records[0])
            if len(records) == 1 or failure.later or failure.stops:
                raise failure from error
            return self._one_by_one(records)  # which of them it was is known only so
        if len(found) != len(records):
            problem = ValueError(f"a batch of {len(records)} records came back as {len(found)} results")
            raise self._failed(problem, records[0]) from problem
        return found

    def _one_by_one(self, records: Sequence[Record]) -> Iterator[Any]:
        """Yield the results of records that are handed over one at a time, up to the one that raises."""
        for record in records:
            yield from self._all([record])

    def _failed(self, error: BaseException, record: Record) -> TransformFailed:
        topic, partition, offset = record.topic(), record.partition(), record.offset()
        asked, stops = isinstance(error, RetryLater), isinstance(error, StopStream)
        later = asked or (not stops and is_recoverable(error))
        said = str(error).strip() or "no words"
        what = f"raised {type(error).__name__}: {said}"
        if asked or stops:
            what = f"asked for {'a retry' if asked else 'the stream to stop'}: {said}"
        message = f"The transform {self.path} {what} (at {topic}[{partition}] offset {offset})."
        after_s = error.after_s if isinstance(error, RetryLater) else None
        failure = TransformFailed(
            message, topic=topic, partition=partition, offset=offset, later=later, stops=stops, retry_after_s=after_s
        )
        failure.__cause__ = error
        return failure


def load_transform(path: str, settings: Mapping[str, Any], allowed: Sequence[str]) -> Transform:
    """Return the transform that `module:function` names, with its settings.

    `allowed` are module names; each allows itself and what is below it. Raises TransformRefused.
    """
    module_name, _, name = path.partition(":")
    if not any(module_name == prefix or module_name.startswith(f"{prefix}.") for prefix in allowed):
        raise TransformRefused(
            f"Transforms of the module {module_name} are not allowed on this worker.",
            hint=f"Its administrator allows: {', '.join(allowed) or 'none'} (HEADGATE_TRANSFORM_MODULES).",
        )
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise TransformRefused(
            f"The module {module_name} cannot be imported: {type(error).__name__}: {error}.",
            hint="Install it beside the worker, or correct the path.",
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        raise TransformRefused(f"{module_name} has no function {name}.", hint="Correct the path.")
    if _mark(function) == "factory":
        try:
            function = _with_settings(path, function, dict(settings))()
        except Exception as error:
            raise TransformRefused(
                f"{path} refuses its settings: {str(error).strip() or type(error).__name__}.",
                hint="Correct transform.settings.",
            ) from error
        if not callable(function):
            raise TransformRefused(f"The factory {path} returned {type(function).__name__}, not a function.")
        settings = {}
    return Transform(path, function, settings)


def _mark(function: Callable[..., Any]) -> str | None:
    mark: str | None = getattr(function, "__headgate_transform__", None)
    return mark


def _with_settings(path: str, function: Callable[..., Any], settings: dict[str, Any]) -> Callable[..., Any]:
    """Hand the settings to a function that has room for them; a factory has room for nothing else."""
    try:
        parameters = [
            each
            for each in inspect.signature(function).parameters.values()
            if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}
        ]
    except (TypeError, ValueError):
        return function  # written in C: one record, no settings
    required = sum(each.default is each.empty for each in parameters)
    if _mark(function) == "factory":
        if required > 1:
            raise TransformRefused(f"The factory {path} must take the settings alone.")
        return lambda: function(settings) if parameters else function()
    if required > 2 or not parameters:
        raise TransformRefused(f"{path} must take a record, or a record and the settings.")
    if len(parameters) == 1 or (required < 2 and parameters[1].name != "settings"):
        return function
    return lambda record: function(record, settings)


def _take(result: Any, record: Record, outputs: list[Output]) -> None:
    if result is None:
        return
    if isinstance(result, (list, tuple)) or (
        hasattr(result, "__next__") and not isinstance(result, (bytes, str, Mapping, Out))
    ):
        for taken, each in enumerate(result):
            if taken >= MAX_OUTPUTS_PER_RECORD:
                raise ValueError(f"more than {MAX_OUTPUTS_PER_RECORD:,} records came of one")
            outputs.append(_one(each, record))
        return
    outputs.append(_one(result, record))


def _one(result: Any, record: Record) -> Output:
    if isinstance(result, bytes):
        return Output(result, record.key(), record.headers(), None, timestamp_of(record), record)
    if isinstance(result, Out):
        return _given(result, record)
    if isinstance(result, str):
        return Output(result.encode(), record.key(), record.headers(), None, timestamp_of(record), record)
    if isinstance(result, Mapping):
        return Output(orjson.dumps(result), record.key(), record.headers(), None, timestamp_of(record), record)
    if callable(getattr(result, "offset", None)) and callable(getattr(result, "value", None)):
        return Output(result.value(), result.key(), result.headers(), None, timestamp_of(result), record)
    raise TypeError(f"a transform cannot return {type(result).__name__}; return bytes, str, dict, Out, a list or None")


def _given(out: Out, record: Record) -> Output:
    """Turn an Out into an output, and refuse here what no producer takes: there it would pass for a fault of Kafka."""
    key = record.key() if out.key is KEEP else out.key
    headers: Any = record.headers()
    if out.headers is not KEEP:
        headers = out.headers
        _check_headers(headers)
    timestamp_ms = timestamp_of(record)
    if out.timestamp_ms is not KEEP:
        timestamp_ms = out.timestamp_ms  # type: ignore[assignment]
        _check_number("timestamp_ms", timestamp_ms, MAX_TIMESTAMP_MS)
    if out.partition is not None:
        _check_number("partition", out.partition, MAX_PARTITION)
    for name, given in (("value", out.value), ("key", key)):
        if given is not None and not isinstance(given, bytes):
            raise TypeError(f"the {name} of an Out must be bytes, str or None, not {type(given).__name__}")
    return Output(out.value, key, headers, out.partition, timestamp_ms, record)  # type: ignore[arg-type]


def _check_number(name: str, given: Any, most: int) -> None:
    if not isinstance(given, int):
        raise TypeError(f"the {name} of an Out must be a whole number, not {type(given).__name__}")
    if not 0 <= given <= most:
        raise ValueError(f"the {name} of an Out must be from 0 to {most}, not {given}")


def _check_headers(given: Any) -> None:
    if given is None:
        return
    if not isinstance(given, (list, tuple)):
        raise TypeError(f"the headers of an Out must be a list of pairs, not {type(given).__name__}")
    for each in given:
        if not isinstance(each, tuple) or len(each) != 2 or not isinstance(each[0], str):
            raise TypeError(f"a header of an Out must be a pair of a name and a value, not {each!r:.100}")
        name, value = each
        name.encode()
        if isinstance(value, str):
            value.encode()
        elif value is not None and not isinstance(value, bytes):
            raise TypeError(f"the header {name} of an Out must be bytes, str or None, not {type(value).__name__}")
