"""A stream's definition file, and what is said of a mistake in one."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from headgate_events.findings import Finding, explain, find, nearest
from headgate_events.schema.commands import AnyCommand
from headgate_events.schema.config import StreamConfig
from headgate_events.schema.definition import StreamDefinition

DEFINITION = {
    "stream": "departures",
    "source": {"kind": "kafka", "topic": "flights"},
    "destination": {"kind": "kafka", "topic": "departures"},
    "parallelism": 2,
}


def findings(**changes: object) -> list[Finding]:
    with pytest.raises(ValidationError) as raised:
        StreamDefinition.model_validate({**DEFINITION, **changes})
    return find(raised.value, StreamDefinition)


def test_a_definition_is_a_name_and_a_configuration() -> None:
    definition = StreamDefinition.model_validate(DEFINITION)
    assert definition.stream == "departures"
    given = {key: value for key, value in DEFINITION.items() if key != "stream"}
    assert definition.config == StreamConfig.model_validate(given)
    assert definition.config.model_dump(mode="json", exclude_unset=True) == given


def test_a_wrong_key_names_its_place_and_the_nearest_right_one() -> None:
    (found,) = findings(paralelism=3)
    assert found == Finding(("paralelism",), "is not a known key", "parallelism")
    (found,) = findings(retry={"initial": 1})
    assert found == Finding(("retry", "initial"), "is not a known key", "initial_s")
    (found,) = findings(wholly_else=3)
    assert found.nearest is None


def test_a_missing_or_wrong_value_names_its_place() -> None:
    (found,) = findings(destination={"topic": "departures"})
    assert found == Finding(("destination", "kind"), "is missing")
    (found,) = findings(retry={"initial_s": 5, "max_s": 1})
    assert str(found) == "retry: max_s must not be below initial_s"
    assert str(findings(parallelism=0)[0]).startswith("parallelism: input should be greater than or equal to 1")


def test_members_of_unions_are_not_taken_for_keys() -> None:
    places = {found.path for found in findings(source={"start": {"timestamp": 5}})}
    assert ("source", "start", "timestamp") in places
    assert not [path for path in places if "StartAtTime" in path]
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(AnyCommand).validate_python({"kind": "recover", "positions": {"policy": "skip"}})
    assert explain(raised.value, AnyCommand, limit=1) == "positions.topic: is missing; and 2 more"


@pytest.mark.parametrize(
    ("until", "said"),
    [
        ("never", ["source.until: input should be 'end', or {timestamp_ms: …}, or {offsets: …}"]),
        ({"timestamp_ms": "noon"}, ["source.until.timestamp_ms: input should be a valid integer"]),
        ({"offsets": {"f": {"0": -1}}}, ["source.until.offsets.f.0: input should be greater than or equal to 0"]),
    ],
)
def test_of_a_word_or_a_mapping_only_the_form_that_was_meant_is_told(until: object, said: list[str]) -> None:
    assert [str(found) for found in findings(source={"until": until})] == said


def test_the_nearest_word_is_near_or_none() -> None:
    assert nearest("pauze", ["pause", "resume"]) == "pause"
    assert nearest("xyz", ["pause", "resume"]) is None
