"""`Suspects` by itself: what a refusal means, and for how long records are sent one by one."""

from __future__ import annotations

from typing import Any

from headgate.destinations.kafka_suspects import BATCH_BYTES, SMALLER, Suspects
from headgate.ports.destination import RecordRefused, WriteInDoubt
from headgate.ports.errors import RecordRejected, RecordTooLarge

LARGE = RecordTooLarge("too large")


def raised(suspects: Suspects, error: RecordRejected) -> Exception:
    try:
        with suspects.judged():
            raise error
    except (RecordRejected, RecordRefused, WriteInDoubt) as meant:
        return meant


def test_a_refusal_without_a_name_begins_a_search_that_ends_with_the_last_suspect() -> None:
    suspects = Suspects({})
    suspects.sent(10)
    assert isinstance(raised(suspects, LARGE), WriteInDoubt)
    suspects.opened()
    assert suspects.client["batch.num.messages"] == 1
    suspects.sent(9)
    suspects.committed()
    assert suspects.looks
    suspects.sent(1)
    suspects.committed()
    assert not suspects.looks
    assert "batch.num.messages" not in suspects.client


def test_who_was_heard_to_be_refused_is_named_by_its_origin() -> None:
    suspects, origin = Suspects({}), object()
    suspects.sent(2)
    raised(suspects, LARGE)
    suspects.opened()
    suspects.sent(2)
    anything: Any = origin
    suspects.hearing(anything)(RecordRejected("no key"), anything)
    refused = raised(suspects, LARGE)
    assert isinstance(refused, RecordRefused)
    assert (refused.origin, refused.code, refused.message) == (origin, "log.record_rejected", "no key")


def test_where_nobody_was_at_fault_the_batches_become_smaller() -> None:
    suspects = Suspects({})
    suspects.sent(1)
    raised(suspects, LARGE)
    suspects.opened()
    suspects.sent(1)
    suspects.committed()
    assert suspects.client["batch.size"] == BATCH_BYTES // SMALLER


def test_what_is_refused_and_is_no_output_keeps_its_error() -> None:
    suspects = Suspects({})
    assert raised(suspects, LARGE) is LARGE
    suspects.sent(1)
    raised(suspects, LARGE)
    suspects.opened()
    suspects.sent(1)
    assert raised(suspects, LARGE) is LARGE
