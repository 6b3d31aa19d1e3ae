"""A task's activity, derived from its channels: what the fleet's overview shows, and what nothing is gated by."""

from __future__ import annotations

import pytest

from headgate.core.idleness.derived import task_activity


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], ("IDLE", "NO_ASSIGNMENT")),
        (["IDLE", "IDLE"], ("IDLE", "EMPTY")),
        (["IDLE", "FINISHED"], ("IDLE", "EMPTY")),
        (["FINISHED", "FINISHED"], ("FINISHED", "FINISHED")),
        (["IDLE", "ACTIVE"], ("ACTIVE", None)),
        (["FINISHED", "ACTIVE"], ("ACTIVE", None)),
        (["IDLE", None], ("ACTIVE", None)),
        ([None], ("ACTIVE", None)),
    ],
)
def test_a_task_is_idle_only_when_all_its_channels_say_so_and_without_any_it_is_idle_and_says_why(
    statuses: list[str | None], expected: tuple[str, str | None]
) -> None:
    assert task_activity(statuses) == expected
