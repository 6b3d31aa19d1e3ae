"""What a projector is started with, and the errors that end it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from headgate.core.policy import DEFAULT_POLICY, Policy
from headgate_events.errors import EnvironmentProblem
from headgate_events.topics import Topics

TOPICS_WAIT_S: Final = 5.0
"""How long missing topics are waited for at the start: somebody may be creating them just now."""
ASK_TIMEOUT_S: Final = 10.0
"""Bound for one question to the broker."""


@dataclass(frozen=True, slots=True)
class ProjectorSettings:
    """The bounds of one projector process.

    `name` is a person's, for logs and ids; `instance` is unique to this process, so that two of one name never fence
    each other. A killed process keeps its partitions for `session_timeout_ms`. The broker ends a transaction that
    nobody can end for it after `transaction_timeout_ms`. `batch_records` inputs at most go into one transaction.
    """

    name: str
    instance: str
    session_timeout_ms: int = 6_000
    transaction_timeout_ms: int = 15_000
    batch_records: int = 1_000
    parsed_states: int = 4_096
    poll_s: float = 0.1
    policy: Policy = DEFAULT_POLICY


class NotColocated(EnvironmentProblem):
    """The group's assignor gave commands and reports of one partition to different members."""

    code = "environment.not_colocated"


class PartitionsDiffer(EnvironmentProblem):
    """The topics of the namespace do not have the same number of partitions, or not the one they once had."""

    code = "environment.partitions_differ"


class LogRewritten(EnvironmentProblem):
    """An input topic ends before the position up to which it was folded: it was made anew or cut."""

    code = "environment.log_rewritten"


def group_of(topics: Topics) -> str:
    """Name the consumer group of a namespace's projectors."""
    return f"{topics.namespace}.projector"
