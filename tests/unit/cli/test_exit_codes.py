"""Exit codes: 0 ok, 1 runtime, 2 refused or invalid, 3 environment."""

from __future__ import annotations

import pytest

from headgate.broker.errors import JavaMissing
from headgate.cli.exits import exit_code_of
from headgate.ports.errors import LogUnavailable, NotAuthorized, TransactionInDoubt
from headgate_events.errors import (
    ClusterUnreachable,
    HeadgateError,
    InvalidRequest,
    NotFound,
    OutcomeTimeout,
    SendFailed,
    TopicsMissing,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OutcomeTimeout, 1),
        (SendFailed, 1),
        (TransactionInDoubt, 1),
        (HeadgateError, 1),
        (InvalidRequest, 2),
        (NotFound, 2),
        (ClusterUnreachable, 3),
        (TopicsMissing, 3),
        (JavaMissing, 3),
        (LogUnavailable, 3),
        (NotAuthorized, 3),
    ],
)
def test_each_family_of_errors_has_its_code(error: type[HeadgateError], code: int) -> None:
    assert exit_code_of(error("It is so.")) == code
