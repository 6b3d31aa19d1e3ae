"""Every vector comes out as it says, under both profiles, and a vector that should fail does."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from headgate_events.idleness.valve import Profile
from tests.conformance.run_valve_cases import read_cases
from tests.conformance.valve.playing import play
from tests.conformance.valve.programs import VECTORS

CASES = read_cases(VECTORS)
OWN_CASES = read_cases(VECTORS.with_name("own_cases.json"))
A_NODE = {"nodes": {"a": 1}, "sink": "a"}
ASTRAY = {"op": "watermark", "node": ["a"], "channel": 0, "value": 1}
A_RECORD = {"op": "record", "node": "a", "value": "r"}


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_vector_comes_out_as_it_says(case: dict[str, Any], profile: Profile) -> None:
    assert play(case, profile) == []


@pytest.mark.parametrize("case", OWN_CASES, ids=lambda case: case["name"])
def test_our_own_vector_of_joins_removals_finishes_and_epochs_comes_out_as_the_rules_say(case: dict[str, Any]) -> None:
    assert play(case, Profile.MAIN) == []


def test_there_are_vectors_of_every_component() -> None:
    assert {case["component"] for case in CASES} == {
        "valve",
        "valve_ext",
        "combiner",
        "gate",
        "idle_timer",
        "topology",
    }


def test_where_the_profiles_differ_each_fails_the_others_expectation() -> None:
    differing = [case for case in CASES if "expect_released" in case]
    assert differing
    for case in differing:
        turned = {**case, "expect": case["expect_released"], "expect_released": case["expect"]}
        assert play(turned, Profile.MAIN)
        assert play(turned, Profile.RELEASED)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_spoilt_vector_is_a_mismatch(case: dict[str, Any]) -> None:
    spoilt = copy.deepcopy(case)
    spoilt["expect"][-1] = [*spoilt["expect"][-1], {"watermark": 12345}]
    spoilt.pop("expect_released", None)
    mismatches = play(spoilt, Profile.MAIN)
    assert [mismatch.step for mismatch in mismatches] == [len(case["steps"]) - 1]


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        ({"component": "oracle", "steps": [], "expect": []}, "no component is called 'oracle' here"),
        ({"component": "valve", "channels": 1, "steps": [{"op": "x"}], "expect": [[]]}, "no operation of a valve"),
        ({"component": "valve", "channels": 1, "steps": [{}], "expect": []}, "as many expectations as steps"),
        ({"component": "valve", "steps": [], "expect": []}, '"channels" is a count or a list of names'),
        ({"component": "idle_timer", "steps": [], "expect": []}, '"timeout_ms"'),
        ({"component": "topology", "steps": [], "expect": []}, '"nodes"'),
        ({"component": "topology", "nodes": {"a": 1}, "sink": ["a"], "steps": [], "expect": []}, '"nodes"'),
        ({"component": "topology", **A_NODE, "edges": [["a", "z", 0]], "steps": [], "expect": []}, "from node to node"),
        ({"component": "topology", **A_NODE, "edges": [], "steps": [ASTRAY], "expect": [[]]}, "there is no node"),
        (
            {"component": "topology", **A_NODE, "edges": [["a", "a", 0]], "steps": [A_RECORD], "expect": [[]]},
            "a circle",
        ),
        ({"component": "valve", "channels": ["a", "a"], "steps": [], "expect": []}, "each once"),
        ({"component": "valve", "channels": 10**12, "steps": [], "expect": []}, "up to 1000000"),
        ({"component": "valve", "channels": 1, "flush_on_all_idle": 1, "steps": [], "expect": []}, '"max" or "none"'),
        ({"component": "gate", "steps": [{"op": "jump"}], "expect": [[]]}, "no operation of a gate"),
    ],
)
def test_a_case_that_cannot_be_played_is_a_mismatch_and_no_crash(case: dict[str, Any], problem: str) -> None:
    (mismatch,) = play({"name": "odd", **case}, Profile.MAIN)
    assert problem in str(mismatch)


def test_a_number_is_not_a_truth_value_and_a_float_is_not_a_number() -> None:
    step = {"op": "probe", "at_ms": 1}
    case = {"component": "idle_timer", "timeout_ms": 1, "steps": [step], "expect": [[{"idle": 0}]]}
    assert play(case, Profile.MAIN)
    five = {"op": "watermark", "channel": 0, "value": 5}
    case = {"component": "valve", "channels": 1, "steps": [five], "expect": [[{"watermark": 5.0}]]}
    assert play(case, Profile.MAIN)


def record(node: str) -> dict[str, Any]:
    return {"op": "record", "node": node, "value": "r"}


def test_records_pass_an_idle_gate_and_an_idle_topology() -> None:
    gate = {
        "component": "gate",
        "steps": [{"op": "status", "value": "IDLE"}, {"op": "record", "value": "r"}, {"op": "watermark", "value": 1}],
        "expect": [[{"status": "IDLE"}], [{"record": "r"}], []],
    }
    chain = {
        "component": "topology",
        "nodes": {"a": 1, "b": 1},
        "edges": [["a", "b", 0]],
        "sink": "b",
        "steps": [{"op": "status", "node": "a", "channel": 0, "value": "IDLE"}, record("a"), record("b")],
        "expect": [[{"status": "IDLE"}], [{"record": "r"}], [{"record": "r"}]],
    }
    assert play(gate, Profile.MAIN) == play(chain, Profile.MAIN) == []
