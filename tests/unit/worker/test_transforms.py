"""Transforms: which are loaded, what they may return, and what becomes of their errors."""

from __future__ import annotations

from typing import Any

import pytest

from headgate.transform import KEEP, Out
from headgate.worker.failures import classify
from headgate.worker.transforms import TransformRefused, load_transform
from tests.unit.worker.allowed_transforms import ODD

MODULE = "tests.unit.worker.allowed_transforms"


class FakeRecord:
    def __init__(self, offset: int, value: bytes = b"1") -> None:
        self._offset, self._value = offset, value

    def topic(self) -> str:
        return "flights"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return b"key"

    def value(self) -> bytes:
        return self._value

    def headers(self) -> list[tuple[str, bytes]]:
        return [("a", b"b")]

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_000


def run(name: str, count: int = 1, **settings: Any) -> Any:
    records = [FakeRecord(offset, b"a%d" % offset if name != "table" else b"7") for offset in range(count)]
    return load_transform(f"{MODULE}:{name}", settings, [MODULE]).run(records)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("nothing", []),
        ("text", ["ä".encode()]),
        ("table", [b'{"n":7,"unit":"min"}']),
        ("itself", [b"a0"]),
        ("several", [b"one", b"two"]),
        ("all_upper", [b"A0"]),
        ("batching", [b"A0"]),
    ],
)
def test_what_a_transform_returns_becomes_records(name: str, values: list[bytes]) -> None:
    ran = run(name, **({"unit": "min"} if name == "table" else {}))
    assert [output.value for output in ran.outputs] == values
    assert ran.counts == [len(values)]
    assert ran.failure is None


def test_what_is_not_given_stays_and_what_is_given_counts() -> None:
    kept, changed = run("several").outputs
    assert (kept.key, kept.headers, kept.partition, kept.timestamp_ms) == (b"key", [("a", b"b")], None, 1_000)
    assert (changed.key, changed.headers, changed.partition, changed.timestamp_ms) == (None, [("h", b"1")], 3, 5)


def test_a_record_that_fails_keeps_what_came_before_it() -> None:
    ran = run("third_fails", 5)
    assert [output.origin.offset() for output in ran.outputs] == [0, 1]
    assert ran.counts == [1, 1]
    assert str(ran.failure) == (
        f"The transform {MODULE}:third_fails raised KeyError: 'carrier' (at flights[0] offset 2)."
    )
    failure = classify(ran.failure, worker="a", now_ms=5, about="orders|1")
    assert (failure.code, failure.recoverable, failure.offset) == ("transform.failed", False, 2)


def test_half_of_a_record_is_nothing_and_a_retry_is_recoverable() -> None:
    ran = run("half_then_fails")
    assert (ran.outputs, ran.counts) == ([], [])
    failure = classify(ran.failure, worker="a", now_ms=5, about="orders|1")
    assert (failure.code, failure.recoverable) == ("transform.retry_later", True)


@pytest.mark.parametrize(
    ("name", "said"), [("number", "cannot return int"), ("endless", "more than 10,000"), ("too_few", "came back as 1")]
)
def test_what_cannot_be_written_is_the_transforms_error(name: str, said: str) -> None:
    ran = run(name, 2)
    assert said in str(ran.failure)
    assert ran.counts == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("os:system", "not allowed"),
        (f"{MODULE}_of_another:itself", "not allowed"),
        (f"{MODULE}.below:itself", "cannot be imported"),
        (f"{MODULE}:absent", "has no function absent"),
        (f"{MODULE}:not_callable", "has no function not_callable"),
        (f"{MODULE}:picky", "refuses its settings: text is missing"),
        (f"{MODULE}:useless", "returned int, not a function"),
        (f"{MODULE}:three", "must take a record"),
    ],
)
def test_what_is_not_loaded_says_why(path: str, said: str) -> None:
    with pytest.raises(TransformRefused, match=said.replace("(", r"\(")):
        load_transform(path, {}, [MODULE])


def test_nothing_is_imported_before_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []
    monkeypatch.setattr("importlib.import_module", imported.append)
    with pytest.raises(TransformRefused):
        load_transform("antigravity:fly", {}, [MODULE])
    assert imported == []


def test_settings_reach_a_parameter_of_that_name_even_when_it_has_a_default() -> None:
    assert run("optional", text="given").outputs[0].value == b"given"


def test_an_output_is_compared_by_what_it_says() -> None:
    assert Out(b"1") == Out("1", key=KEEP)
    assert Out.json({"a": 1}).value == b'{"a":1}'
    assert Out(b"1") != Out(b"1", key=None)


@pytest.mark.parametrize("what", sorted(ODD))
def test_an_out_that_no_producer_takes_is_the_transforms_fault_at_its_record(what: str) -> None:
    ran = run("odd", 4, what=what)
    assert len(ran.outputs) == 2
    assert ran.failure.offset == 2
    assert not classify(ran.failure, worker="w", now_ms=1, about="s").recoverable


def test_a_transform_that_calls_exit_stops_its_stream_and_not_the_worker() -> None:
    ran = run("leaving", 4)
    assert len(ran.outputs) == 2
    assert ran.failure.offset == 2
    assert "SystemExit" in str(ran.failure)
    assert run("all_leaving", 4).failure.offset == 0
