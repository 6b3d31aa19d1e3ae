"""Reading inputs: whatever stands in a topic is either an input or a refusal that names why."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import given

from headgate_events.client.request import CommandOptions, build_request
from headgate_events.codec import command_headers, decode_input, encode, validate
from headgate_events.envelope import Envelope, from_headers, header, parse_rfc3339_ms, rfc3339, to_headers
from headgate_events.records import Input, Unreadable
from headgate_events.schema.commands import COMMAND_KINDS, AtOffsets
from headgate_events.schema.reports import REPORT_KINDS
from headgate_events.testing import StoredRecord
from headgate_events.upcast import RecordType, parse_type, type_of, upcast
from tests.golden.samples import COMMANDS, COMMON_COMMAND, COMMON_REPORT, CONFIG, REPORTS

PAUSE = [("ce_type", b"headgate.command.pause.v1"), ("ce_id", b"1")]


def stored(key: Any, headers: Any, value: bytes | None) -> StoredRecord:
    return StoredRecord("headgate.commands", 3, 41, key, value, headers, at_ms=1_000)


def refused(key: Any, headers: Any, value: bytes | None) -> Unreadable:
    found = decode_input("commands", stored(key, headers, value))
    assert isinstance(found, Unreadable), found
    assert (found.topic, found.partition, found.offset, found.at_ms) == ("headgate.commands", 3, 41, 1_000)
    assert found.message
    assert found.hint
    return found


def test_two_headers_and_a_key_are_a_command() -> None:
    found = decode_input("commands", stored(b"departures", PAUSE, None))
    assert isinstance(found, Input)
    assert (found.kind, found.stream, found.id, found.actor) == ("pause", "departures", "1", "unknown")
    assert found.payload == {"kind": "pause"}
    assert found.expected_version is None


@pytest.mark.parametrize(
    ("key", "headers", "value", "code"),
    [
        (None, PAUSE, b"{}", "command.invalid_key"),
        (b"", PAUSE, b"{}", "command.invalid_key"),
        (b"Departures", PAUSE, b"{}", "command.invalid_key"),
        (b"departures\n", PAUSE, b"{}", "command.invalid_key"),
        (b"_progress.1", PAUSE, b"{}", "command.invalid_key"),
        (b"\xff\xfe", PAUSE, b"{}", "command.invalid_key"),
        (b"x" * 64, PAUSE, b"{}", "command.invalid_key"),
        (b"departures", None, b"{}", "command.missing_header"),
        (b"departures", [], b"{}", "command.missing_header"),
        (b"departures", PAUSE[:1], b"{}", "command.missing_header"),
        (b"departures", PAUSE[1:], b"{}", "command.missing_header"),
        (b"departures", [PAUSE[0], ("ce_id", None)], b"{}", "command.missing_header"),
        (b"departures", [PAUSE[0], ("ce_id", b"x" * 129)], b"{}", "command.invalid_header"),
        (b"departures", [*PAUSE, ("ce_expectedversion", b"3.5")], b"{}", "command.invalid_header"),
        (b"departures", [*PAUSE, ("ce_expectedversion", b"-3")], b"{}", "command.invalid_header"),
        (b"departures", [("ce_type", b"headgate.command.pauze.v1"), PAUSE[1]], b"{}", "command.unknown_type"),
        (b"departures", [("ce_type", b"headgate.command.pause.v2"), PAUSE[1]], b"{}", "command.unknown_type"),
        (b"departures", [("ce_type", b"headgate.report.fenced.v1"), PAUSE[1]], b"{}", "command.unknown_type"),
        (b"departures", [("ce_type", b"pause"), PAUSE[1]], b"{}", "command.unknown_type"),
        (b"departures", PAUSE, b"{", "command.malformed_json"),
        (b"departures", PAUSE, b"[]", "command.malformed_json"),
        (b"departures", PAUSE, b"\xff", "command.malformed_json"),
        (b"departures", PAUSE, b"[" * 200_000, "command.malformed_json"),
        (b"departures", PAUSE, b'{"x":' * 40_000, "command.malformed_json"),
        (b"departures", PAUSE, b'{"kind":"resume"}', "command.invalid"),
        (b"departures", PAUSE, b'{"force":"yes"}', "command.invalid"),
        (b"departures", PAUSE, b'{"reason":"' + b"x" * 1_001 + b'"}', "command.invalid"),
        (b"departures", PAUSE, b'{"not_before":"tomorrow"}', "command.invalid"),
        (b"departures", PAUSE, b'{"not_before":"2026-01-01T00:00:00"}', "command.invalid"),
        (b"departures", PAUSE, b'{"not_before":1795000000}', "command.invalid"),
        (b"departures", PAUSE, b'{"not_before":"1795000000"}', "command.invalid"),
        (b"departures", PAUSE, b'{"not_before":"2026-01-01T00:00:00z "}', "command.invalid"),
        (b"departures", PAUSE, b'{"not_before":"2026-01-01T00:00:00+99:99"}', "command.invalid"),
        (b"departures", PAUSE, b" " * (256 * 1024 + 1), "command.too_large"),
    ],
)
def test_a_command_that_cannot_be_read_is_refused_with_its_reason(
    key: Any, headers: Any, value: bytes, code: str
) -> None:
    assert refused(key, headers, value).code == code


def test_a_mistake_in_a_definition_names_the_key_and_the_nearest_right_one() -> None:
    headers = [("ce_type", b"headgate.command.create.v1"), ("ce_id", b"1")]
    value = encode({"config": {**CONFIG, "paralelism": 2, "retry": {"initial": 1}}})
    said = refused(b"departures", headers, value).message
    assert "config.paralelism: is not a known key (did you mean parallelism?)" in said
    assert "config.retry.initial: is not a known key (did you mean initial_s?)" in said


def test_settings_nested_too_deep_are_refused() -> None:
    deep: Any = 1
    for _ in range(40):
        deep = {"x": deep}
    headers = [("ce_type", b"headgate.command.create.v1"), ("ce_id", b"1")]
    config = {**CONFIG, "source": {"kind": "kafka", "x": deep}}
    assert refused(b"departures", headers, encode({"config": config})).code == "command.invalid"


def test_an_accepted_definition_is_completed_with_its_defaults() -> None:
    headers = [("ce_type", b"headgate.command.create.v1"), ("ce_id", b"1")]
    config = {"source": {"topic": "a"}, "destination": {"kind": "kafka"}}
    found = decode_input("commands", stored(b"departures", headers, encode({"config": config})))
    assert isinstance(found, Input)
    assert found.payload["config"]["parallelism"] == 1
    assert found.payload["config"]["source"] == {
        "kind": "kafka",
        "start": "earliest",
        "until": None,
        "topic": "a",
    }


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("pause", b'{"not_before":"2030-01-01T00:00:00Z","x":DEEP}'),
        ("recover", b'{"positions":{"policy":"earliest","x":DEEP},"x":1}'),
    ],
)
def test_of_what_a_command_holds_only_what_is_known_is_kept_because_the_rest_may_not_be_writable(
    kind: str, content: bytes
) -> None:
    headers = [("ce_type", type_of("command", kind).encode()), ("ce_id", b"1")]
    found = decode_input("commands", stored(b"departures", headers, content.replace(b"DEEP", b"[" * 500 + b"]" * 500)))
    assert isinstance(found, Input)
    assert b"x" not in encode(found.payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
NAMES = st.sampled_from(
    ["ce_type", "ce_id", "ce_actor", "ce_expectedversion", "traceparent", "headgate_forwarded", "x"]
)
TYPES = st.sampled_from([type_of("command", kind) for kind in COMMAND_KINDS] + [type_of("report", REPORT_KINDS[0])])
HEADER_VALUES = st.none() | st.binary(max_size=40) | st.text(max_size=40) | TYPES.map(str.encode)
FIELDS = st.sampled_from(["kind", "force", "config", "reason", "not_before", "positions", "when_idle", "command_id"])


@given(
    family=st.sampled_from(["commands", "reports"]),
    key=st.none() | st.binary(max_size=70) | st.just(b"departures"),
    headers=st.none() | st.lists(st.tuples(NAMES, HEADER_VALUES), max_size=8),
    value=st.none() | st.binary(max_size=200) | JSON.map(lambda value: orjson.dumps(str(value))),
)
def test_whatever_stands_in_a_topic_reading_it_never_raises(family: Any, key: Any, headers: Any, value: Any) -> None:
    found = decode_input(family, stored(key, headers, value))
    assert (found.topic, found.partition, found.offset) == ("headgate.commands", 3, 41)


@given(kind=st.sampled_from(COMMAND_KINDS), fields=st.dictionaries(FIELDS, JSON, max_size=4))
def test_whatever_stands_in_a_wellformed_command_reading_it_never_raises(kind: str, fields: dict[str, Any]) -> None:
    headers = [("ce_type", type_of("command", kind).encode()), ("ce_id", b"1")]
    try:
        value = orjson.dumps(fields)
    except orjson.JSONEncodeError:
        return
    found = decode_input("commands", stored(b"departures", headers, value))
    if isinstance(found, Input):
        assert found.kind == kind
        validate("command", found.payload)
        if (not_before := found.payload.get("not_before")) is not None:
            parse_rfc3339_ms(not_before)
    else:
        assert found.code.startswith("command.")


@given(
    kind=st.sampled_from(sorted(COMMANDS)),
    command_id=st.text(min_size=1, max_size=128),
    actor=st.text(min_size=1, max_size=256),
    version=st.none() | st.integers(0, 10**17),
    reason=st.none() | st.text(max_size=1_000),
)
def test_a_command_that_is_written_reads_back_the_same(
    kind: str, command_id: str, actor: str, version: int | None, reason: str | None
) -> None:
    headers = command_headers(
        kind, command_id, "departures", source="test", at_ms=1_000, actor=actor, expected_version=version
    )
    payload = {**COMMON_COMMAND, **COMMANDS[kind], "reason": reason}
    found = decode_input("commands", stored(b"departures", headers, encode(payload)))
    assert isinstance(found, Input), found
    assert (found.id, found.actor, found.expected_version) == (command_id, actor, version)
    assert found.payload == {**payload, "kind": kind}


@given(kind=st.sampled_from(sorted(REPORTS)), incarnation=st.integers(0, 2**63 - 1), epoch=st.integers(0, 2**63 - 1))
def test_a_report_that_is_written_reads_back_the_same(kind: str, incarnation: int, epoch: int) -> None:
    payload = {**COMMON_REPORT, **REPORTS[kind], "incarnation": incarnation, "epoch": epoch}
    headers = [("ce_type", type_of("report", kind).encode()), ("ce_id", b"1")]
    found = decode_input("reports", stored(b"departures", headers, encode(payload)))
    assert isinstance(found, Input), found
    assert found.payload == {**payload, "kind": kind}


TEXT = st.none() | st.text(min_size=1, max_size=50)


@given(
    st.builds(
        Envelope,
        type=TEXT,
        id=TEXT,
        source=TEXT,
        subject=TEXT,
        time=TEXT,
        actor=TEXT,
        correlation_id=TEXT,
        causation_id=TEXT,
        expected_version=TEXT,
        traceparent=TEXT,
        forwarded=st.booleans(),
    )
)
def test_an_envelope_that_is_written_reads_back_the_same(envelope: Envelope) -> None:
    assert from_headers(to_headers(envelope)) == envelope


def test_the_last_of_repeated_headers_counts_and_what_is_no_text_is_absent() -> None:
    headers = [("ce_id", b"1"), ("ce_id", b"2"), ("ce_type", b"\xff"), ("ce_actor", b"x" * 5_000), ("else", b"\xff")]
    assert from_headers(headers) == Envelope(type=None, id="2")
    assert header(headers, "ce_id") == b"2"
    assert header(headers, "ce_source") is None


@given(st.integers(0, 253_402_300_799_999))
def test_a_time_that_is_written_reads_back_the_same(at_ms: int) -> None:
    assert parse_rfc3339_ms(rfc3339(at_ms)) == at_ms


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        parse_rfc3339_ms("2026-01-01T00:00:00")


def test_old_versions_pass_through_every_upcaster_in_turn_and_are_not_changed_in_place() -> None:
    steps = {
        ("command.pause", 1): lambda payload: {**payload, "steps": [1]},
        ("command.pause", 2): lambda payload: {**payload, "steps": [*payload["steps"], 2]},
    }
    old = {"force": True}
    found, payload = upcast(RecordType("command", "pause", 1), old, steps)
    assert (found, payload) == (RecordType("command", "pause", 3), {"force": True, "steps": [1, 2]})
    assert old == {"force": True}


@pytest.mark.parametrize(
    "text", ["headgate.state.v1", "headgate.command.cancel-drain.v1", "headgate.history.outcome.v9"]
)
def test_a_type_taken_apart_is_put_together_again(text: str) -> None:
    assert str(parse_type(text)) == text


@pytest.mark.parametrize(
    "text", ["", "headgate.command.v1", "headgate.state.v0", "headgate.state.v1\n", "other.state.v1"]
)
def test_a_type_that_is_not_ours_is_none(text: str) -> None:
    assert parse_type(text) is None


def test_a_position_policy_given_as_a_model_says_which_policy_it_is() -> None:
    options: CommandOptions = {}
    request = build_request(
        "recover",
        "departures",
        {"positions": AtOffsets(offsets={"flights": {"0": 7}})},
        options,
        actor="ada",
        source="test",
        at_ms=0,
    )
    sent = orjson.loads(request.value)
    assert sent["positions"] == {"policy": "offsets", "offsets": {"flights": {"0": 7}}}
