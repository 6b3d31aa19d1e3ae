"""The committed schemas are the code's, say what it says, and hold together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from headgate_events import contract
from headgate_events.contract import export, to_bytes
from headgate_events.schema.commands import COMMAND_KINDS
from headgate_events.topics import Topics
from tests.golden.samples import Sample, samples

COMMITTED = Path(__file__).resolve().parents[3] / "schemas"
FAMILIES = {"command": "commands", "report": "reports", "history": "history"}
DEFINITION = """
stream: departures
source:
  kind: kafka
  topic: flights
destination:
  kind: kafka
  topic: departures
"""


@cache
def documents() -> dict[str, dict[str, Any]]:
    return contract.documents()


@cache
def validator(family: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(documents()[f"{family}.schema.json"])


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_committed_files_are_what_the_code_says_now() -> None:
    expected = {name: to_bytes(document) for name, document in documents().items()}
    committed = {path.name: path.read_bytes() for path in COMMITTED.iterdir()}
    assert committed == expected, "run `headgate schema export schemas`"


def test_export_makes_the_folder_and_writes_every_document(tmp_path: Path) -> None:
    written = export(tmp_path / "new" / "folder")
    assert [path.name for path in written] == sorted(documents())
    assert json.loads(written[0].read_bytes())["asyncapi"] == "3.0.0"


@pytest.mark.parametrize("name", sorted(documents().keys() - {"asyncapi.json"}))
def test_every_schema_is_a_json_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(documents()[name])


@pytest.mark.parametrize("sample", samples(), ids=lambda sample: sample.name)
def test_every_record_is_valid_by_its_published_schema(sample: Sample) -> None:
    published = validator(FAMILIES.get(sample.family, sample.family))
    value = {**sample.payload, "kind": sample.kind}
    published.validate(value)
    broken = {**value, "kind": "nothing-of-ours"}
    assert not published.is_valid(broken)


def test_a_definition_file_is_valid_by_its_published_schema_and_a_wrong_key_is_not() -> None:
    published = validator("stream")
    definition = yaml.safe_load(DEFINITION)
    published.validate(definition)
    assert not published.is_valid({**definition, "paralelism": 2})
    assert not published.is_valid({**definition, "stream": "Not A Name"})
    assert not published.is_valid({"stream": "departures"})


def test_asyncapi_has_a_channel_for_every_topic_and_a_message_for_every_command() -> None:
    document = documents()["asyncapi.json"]
    assert list(document["channels"]) == [spec.name for spec in Topics().specs]
    assert set(document["channels"]["headgate.commands"]["messages"]) == set(COMMAND_KINDS)


def test_every_reference_of_asyncapi_leads_somewhere() -> None:
    everything = documents()
    for reference in references(everything["asyncapi.json"]):
        file, _, pointer = reference.partition("#")
        value: Any = everything[file or "asyncapi.json"]
        for part in pointer.split("/")[1:]:
            value = value[part]
        assert value
