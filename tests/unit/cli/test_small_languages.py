"""What is written on the command line in small languages: selectors, positions, actors."""

from __future__ import annotations

import getpass

import pytest

from headgate.cli.actor import find_actor
from headgate.cli.positions import read_policy
from headgate.cli.selector import parse_selector
from headgate_events.errors import InvalidRequest
from headgate_events.schema.commands import AtCommitted, AtEarliest, AtLatest, AtOffsets, AtTime, Skip

LABELS = {"team": "ops", "tier": "1"}


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ("team=ops", True), ("team==ops", True), ("team=dev", False), ("team!=dev", True), ("other!=x", True),
        ("team", True), ("other", False), ("!other", True), ("!team", False), ("team=ops,tier=1", True),
        ("team=ops, tier=2", False), ("team = ops", True), ("other=", False),
    ],
)  # fmt: skip
def test_a_selector_matches_labels(selector: str, *, matches: bool) -> None:
    assert parse_selector(selector)(LABELS) is matches


@pytest.mark.parametrize("selector", ["", "a=b,", "=b", "a=b=c", "a in (b)", "a>1", "a b", "a=ü"])
def test_a_bad_selector_names_the_term(selector: str) -> None:
    with pytest.raises(InvalidRequest, match="--selector cannot be read at"):
        parse_selector(selector)


def test_a_selector_has_a_bound() -> None:
    with pytest.raises(InvalidRequest, match="more than 32 terms"):
        parse_selector(",".join(["a"] * 33))


def test_positions_are_read() -> None:
    assert read_policy(None, [], None) == AtCommitted()
    assert read_policy("committed", [], None) == AtCommitted()
    assert read_policy("earliest", [], None) == AtEarliest()
    assert read_policy("latest", [], None) == AtLatest()
    assert read_policy("2026-01-01T00:00:00Z", [], None) == AtTime(timestamp_ms=1_767_225_600_000)
    assert read_policy(None, ["a.b:0=12", "a.b:1=7", "c:0=1"], None) == AtOffsets(
        offsets={"a.b": {"0": 12, "1": 7}, "c": {"0": 1}}
    )
    assert read_policy(None, [], "flights:2=1") == Skip(topic="flights", partition="2", records=1)


@pytest.mark.parametrize(
    ("at", "offsets", "skip", "said"),
    [
        ("ealiest", [], None, "--at is not a position: 'ealiest'"),
        ("2026-01-01", [], None, "--at is not a position"),
        (None, ["flights:0"], None, "--offsets cannot be read: 'flights:0'"),
        (None, ["flights:0=-1"], None, "--offsets cannot be read"),
        (None, ["flights:x=1"], None, "--offsets cannot be read"),
        (None, ["flights:100000=1"], None, "--offsets cannot be read"),
        (None, ["flights:0=9999999999999999999"], None, "--offsets cannot be read"),
        (None, ["flights:0=1", "flights:00=2"], None, "--offsets names flights:0 twice"),
        (None, [], "flights=1", "--skip cannot be read: 'flights=1'"),
        ("latest", [], "flights:0=1", "--at, --offsets and --skip do not go together"),
        ("latest", ["flights:0=1"], None, "--at, --offsets and --skip do not go together"),
    ],
)
def test_bad_positions_name_their_option(at: str | None, offsets: list[str], skip: str | None, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        read_policy(at, offsets, skip)


def test_the_actor_is_what_was_said_or_the_variable_or_user_and_host() -> None:
    assert find_actor("ana", {"HEADGATE_ACTOR": "ci"}) == "ana"
    assert find_actor(None, {"HEADGATE_ACTOR": "ci"}) == "ci"
    assert find_actor(None, {}).startswith(f"{getpass.getuser()}@")
    assert find_actor(None, {"HEADGATE_ACTOR": ""}).startswith(f"{getpass.getuser()}@")


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert find_actor(None, {}).startswith("uid-")


@pytest.mark.parametrize(
    ("said", "environ", "origin"),
    [
        ("", {}, "--actor"), (" ", {}, "--actor"), ("a\nb", {}, "--actor"), ("a" * 257, {}, "--actor"),
        (None, {"HEADGATE_ACTOR": "a\x1b[0m"}, "HEADGATE_ACTOR"), (None, {"HEADGATE_ACTOR": "  "}, "HEADGATE_ACTOR"),
    ],
)  # fmt: skip
def test_a_bad_actor_names_its_origin(said: str | None, environ: dict[str, str], origin: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{origin} is not valid"):
        find_actor(said, environ)
