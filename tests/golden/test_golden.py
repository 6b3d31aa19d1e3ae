"""Records as they lie in topics: each decodes for ever, and what is written today is still byte for byte the same.

The files in `records/` are never edited. A changed record type is a new version with an upcaster and a new file.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from headgate_events.codec import decode_history, decode_input, read, validate
from headgate_events.envelope import from_headers
from headgate_events.records import HistoryRecord, Input
from headgate_events.schema.commands import COMMAND_KINDS
from headgate_events.schema.history import HISTORY_KINDS
from headgate_events.schema.reports import REPORT_KINDS
from headgate_events.testing import StoredRecord
from headgate_events.upcast import PRESENT_VERSION, parse_type
from tests.golden.samples import Sample, samples
from tests.golden.write import FOLDER

SAMPLES = {sample.name: sample for sample in samples()}
FILES = sorted(FOLDER.glob("*.json"))


def stored(name: str) -> StoredRecord:
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    headers = [(header, value.encode()) for header, value in content["headers"]]
    return StoredRecord("topic", 0, 7, content["key"].encode(), content["value"].encode(), headers)


def test_every_kind_of_record_has_a_golden_file() -> None:
    kinds = {
        *(f"command.{kind}" for kind in COMMAND_KINDS),
        *(f"report.{kind}" for kind in REPORT_KINDS),
        *(f"history.{kind}" for kind in HISTORY_KINDS),
        *(f"{family}.{family}" for family in ("state", "progress", "heartbeat", "cordon", "marker")),
    }
    expected = {f"{kind}.v{version}" for kind in kinds for version in range(1, PRESENT_VERSION + 1)}
    assert {path.stem for path in FILES} == expected


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_what_is_written_today_is_what_was_written_then(sample: Sample) -> None:
    golden = stored(sample.name)
    assert golden.key() == sample.key
    assert golden.headers() == list(sample.headers)
    assert golden.value() == sample.value


@pytest.mark.parametrize("name", [path.stem for path in FILES])
def test_a_golden_record_decodes(name: str) -> None:
    record = stored(name)
    parsed = parse_type(from_headers(record.headers()).type or "")
    assert parsed is not None
    match parsed.family:
        case "command" | "report":
            decoded = decode_input("commands" if parsed.family == "command" else "reports", record)
            assert isinstance(decoded, Input), decoded
            assert (decoded.kind, decoded.stream) == (parsed.kind, "departures")
            model = validate(parsed.family, decoded.payload)
        case "history":
            read_back = decode_history(record)
            assert isinstance(read_back, HistoryRecord)
            assert read_back.value == record.value()
            model = read("history", read_back.payload)
        case single:
            model = read(single, json.loads(record.value() or b""))
    assert model.kind == parsed.kind


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_a_golden_record_holds_every_field_of_its_kind_and_loses_none_in_reading(sample: Sample) -> None:
    model = read(sample.family, {"kind": sample.kind, **sample.payload})
    again = model.model_dump(mode="json")
    again.pop("kind")
    given = {key: value for key, value in sample.payload.items() if key != "kind"}
    if sample.family == "command":
        # A time may be written in more than one way.
        again["not_before"] = given["not_before"]
    assert again == given
