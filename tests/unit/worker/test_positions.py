"""What resume and recover mean in positions, what they have a stream read again or skip, and what is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from headgate.ports.log import Committed, Range, TopicPartition
from headgate.worker.pipeline import Pipeline
from headgate.worker.positions import Checked, check_positions
from headgate.worker.view import View, view_of

P0, P1, P2 = (TopicPartition("orders", number) for number in range(3))
HELD = {P0: Range(100, 200), P1: Range(0, 50), P2: Range(7, 7)}
COMMITTED = {P0: 150, P1: 20, P2: 7}


class Catalogue:
    def __init__(self, committed: Mapping[TopicPartition, int]) -> None:
        self._committed = committed

    def partitions(self) -> Mapping[str, int]:
        return {"orders": len(HELD)}

    def range(self, partition: TopicPartition) -> Range:
        return HELD[partition]

    def at_time(self, partitions: Sequence[TopicPartition], timestamp_ms: int) -> Mapping[TopicPartition, int]:
        return {each: min(HELD[each].start + timestamp_ms, HELD[each].end) for each in partitions}

    def committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, Committed]:
        return {each: Committed(self._committed[each]) for each in partitions if each in self._committed}

    def close(self) -> None: ...


class Parts:
    """The parts of a pipeline that a check touches."""

    def __init__(self, committed: Mapping[TopicPartition, int], positions_in: str) -> None:
        self._committed, self.positions_in = committed, positions_in

    def make_catalogue(self) -> Catalogue:
        return Catalogue(self._committed)

    def make_destination(self) -> Parts:
        return self

    def close(self) -> None: ...


def view(policy: dict[str, Any] | None, *, failed: Sequence[int] = (), receipts: Any = None) -> View:
    payload = {} if policy is None else {"positions": policy}
    errors = {
        f"e{number}": {"recoverable": False, "topic": "orders", "partition": number, "worker": "a"} for number in failed
    }
    return view_of(
        {
            "stream": "copy",
            "incarnation": 7,
            "version": 9,
            "status": "FAILED_PERMANENTLY" if failed else "PAUSED",
            "epoch": 5,
            "started_epoch": 3,
            "revision": {"desired": 1},
            "config": {},
            "positions": {"orders": {"0": 90, "1": 0}},
            "drain": {"receipts": receipts or {}},
            "checking": {"command_id": "c", "payload": payload},
            "errors": errors,
            "carries_on": bool(failed),
        }
    )


def check(
    policy: dict[str, Any] | None = None,
    *,
    committed: Mapping[TopicPartition, int] = COMMITTED,
    positions_in: str = "source_transaction",
    **more: Any,
) -> Checked:
    parts: Any = Parts(committed, positions_in)
    pipeline: Pipeline = parts
    return check_positions(pipeline, view(policy, **more))


SKIP = {"policy": "skip", "topic": "orders", "partition": "1", "records": 5}


@pytest.mark.parametrize(
    ("policy", "positions", "reread", "skipped"),
    [
        (None, {"0": 150, "1": 20, "2": 7}, 0, 0),
        ({"policy": "committed"}, {"0": 150, "1": 20, "2": 7}, 0, 0),
        ({"policy": "earliest"}, {"0": 100, "1": 0, "2": 7}, 70, 0),
        ({"policy": "latest"}, {"0": 200, "1": 50, "2": 7}, 0, 80),
        ({"policy": "timestamp", "timestamp_ms": 30}, {"0": 130, "1": 30, "2": 7}, 20, 10),
        ({"policy": "offsets", "offsets": {"orders": {"0": 160, "1": 0}}}, {"0": 160, "1": 0, "2": 7}, 20, 10),
        (SKIP, {"0": 150, "1": 25, "2": 7}, 0, 5),
        ({**SKIP, "records": 1_000}, {"0": 150, "1": 50, "2": 7}, 0, 30),
    ],
    ids=str,
)
def test_each_policy_names_every_partition_and_counts_what_it_moves(
    policy: dict[str, Any] | None, positions: dict[str, int], reread: int, skipped: int
) -> None:
    assert check(policy) == Checked(True, {"orders": positions}, reread=reread, skipped=skipped)


@pytest.mark.parametrize(
    ("policy", "positions"),
    [
        ({"policy": "committed"}, {"1": 20}),
        (SKIP, {"1": 25}),
        ({"policy": "offsets", "offsets": {"orders": {"0": 160}}}, {"0": 160, "1": 20}),
        ({"policy": "earliest"}, {"0": 100, "1": 0, "2": 7}),
    ],
    ids=str,
)
def test_of_a_stream_that_carries_on_only_what_failed_or_was_named_is_moved(
    policy: dict[str, Any], positions: dict[str, int]
) -> None:
    assert check(policy, failed=[1]).positions == {"orders": positions}


def test_a_partition_that_moves_on_is_not_in_the_way_of_recovering_another() -> None:
    lost_elsewhere = {**COMMITTED, P0: 3}
    assert check(committed=lost_elsewhere, failed=[1]).passed
    assert not check(committed=lost_elsewhere).passed


@pytest.mark.parametrize(("policy", "told"), [(None, {}), (SKIP, {"orders": {"1": 25}})], ids=str)
def test_positions_that_the_destination_keeps_are_left_to_it(policy: dict[str, Any] | None, told: Any) -> None:
    assert check(policy, positions_in="destination").positions == told


def test_commits_that_expired_are_found_in_the_receipts_and_then_in_the_state() -> None:
    receipts = {"orders": {"0": {"end": 170}}}
    assert check(committed={}, receipts=receipts).positions == {"orders": {"0": 170, "1": 0, "2": 7}}


def test_what_is_gone_is_refused_with_its_size() -> None:
    found = check(committed={**COMMITTED, P0: 60, P2: 5})
    assert (found.passed, found.code, found.gap) == (False, "position.lost", 42)
    assert "42 record(s)" in found.message and "orders[0], orders[2]" in found.message


def test_a_position_beyond_the_end_is_a_topic_that_was_made_anew() -> None:
    found = check(committed={**COMMITTED, P2: 8})
    assert (found.passed, found.code, found.gap) == (False, "position.lost", 0)
    assert "made anew" in found.message


@pytest.mark.parametrize(
    "policy",
    [{**SKIP, "partition": "9"}, {"policy": "offsets", "offsets": {"other": {"0": 1}}}],
    ids=str,
)
def test_a_partition_that_the_source_has_not_is_refused(policy: dict[str, Any]) -> None:
    assert check(policy).code == "position.unknown_partition"
