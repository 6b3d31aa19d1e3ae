"""Where a partition begins, what is counted of it, and what its receipt says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.drain import Account, begin, watermark_of
from headgate.ports.log import Committed, TopicPartition
from headgate.worker.accounts import Accounts


class FakeRecord:
    def __init__(self, partition: int, offset: int, topic: str = "t") -> None:
        self._at = (topic, partition, offset)

    def topic(self) -> str:
        return self._at[0]

    def partition(self) -> int:
        return self._at[1]

    def offset(self) -> int:
        return self._at[2]


P0, P1, OTHER = TopicPartition("t", 0), TopicPartition("t", 1), TopicPartition("u", 0)


def test_a_partition_that_this_run_committed_goes_on_there_with_its_account() -> None:
    before = Account(start=10, position=15, read=5, written=4)
    after = begin(3, (15, before.metadata(3)), explicit=99)
    assert after == Account(start=10, position=15, read=5, written=4, dirty=False)


def test_a_commit_of_another_run_yields_to_an_explicit_position() -> None:
    text = Account(start=10, position=15).metadata(2)
    assert begin(3, (15, text), explicit=7) == Account(start=7, position=7)


def test_without_an_explicit_position_any_commit_counts_and_a_new_account_begins() -> None:
    text = Account(start=10, position=15, read=5).metadata(2)
    assert begin(3, (15, text), explicit=None) == Account(start=15, position=15, read=0)
    assert begin(3, (15, ""), explicit=None) == Account(start=15, position=15)


def test_of_a_partition_without_either_nothing_is_known() -> None:
    assert begin(3, None, None) == "unknown"


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        "null",
        '{"e":3}',
        '{"e":3,"s":-1,"r":0,"w":0}',
        '{"e":3,"s":20,"r":0,"w":0}',
        '{"e":"3","s":1,"r":0,"w":0}',
        "[" * 4_000,
        '{"e":3,"s":1,"r":0,"w":0}' + " " * 5_000,
    ],
)
def test_a_text_that_is_not_ours_is_no_account(text: str) -> None:
    assert begin(3, (15, text), None) == Account(start=15, position=15)


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_an_account_survives_its_owner(epoch: int, start: int, read: int, written: int) -> None:
    account = Account(start=start, position=start + read, read=read, written=written)
    text = account.metadata(epoch)
    assert len(text) < 200
    found = begin(epoch, (account.position, text), None)
    assert isinstance(found, Account)
    assert (found.start, found.position, found.read, found.written) == (start, start + read, read, written)


def test_a_receipt_speaks_only_of_what_is_committed() -> None:
    account = Account(start=1, position=4, read=3, written=2)
    with pytest.raises(AssertionError):
        account.receipt("t", 0, "a")
    account.dirty = False
    assert account.receipt("t", 0, "a") == {
        "topic": "t",
        "partition": 0,
        "start": 1,
        "end": 4,
        "read": 3,
        "written": 2,
        "worker": "a",
        "set_aside": 0,
        "digest": None,
    }


def test_a_batch_moves_each_partition_past_its_last_record() -> None:
    accounts = Accounts()
    accounts.take_on({P0: Account(0, 0), P1: Account(5, 5)})
    accounts.advance([FakeRecord(0, 0), FakeRecord(1, 5), FakeRecord(0, 3), FakeRecord(1, 9)], [1, 0, 2, 0])
    assert (accounts.of[P0].position, accounts.of[P0].read, accounts.of[P0].written) == (4, 2, 3)
    assert (accounts.of[P1].position, accounts.of[P1].read, accounts.of[P1].written) == (10, 2, 0)
    assert accounts.uncommitted(7)[P0] == Committed(4, '{"e":7,"s":0,"r":2,"w":3}')
    accounts.committed([P0])
    assert set(accounts.uncommitted(7)) == {P1}


def test_partitions_of_several_topics_are_told_apart() -> None:
    accounts = Accounts()
    accounts.take_on({P0: Account(0, 0), OTHER: Account(0, 0)})
    accounts.advance([FakeRecord(0, 0), FakeRecord(0, 8, "u")], None)
    assert accounts.positions() == {P0: 1, OTHER: 9}
    assert accounts.partitions == (P0, OTHER)


def test_what_went_away_and_what_was_read_before_is_left_out() -> None:
    accounts = Accounts()
    accounts.take_on({P0: Account(0, 5), P1: Account(0, 0)})
    accounts.give_up([P1, TopicPartition("never", 1)])
    kept = accounts.owned([FakeRecord(0, 4), FakeRecord(0, 5), FakeRecord(1, 0), FakeRecord(0, 6)])
    assert [record.offset() for record in kept] == [5, 6]


def test_a_position_never_goes_back() -> None:
    account = Account(start=0, position=5)
    with pytest.raises(AssertionError):
        account.advance(4, 1, 1)


def test_the_watermark_travels_with_the_position_also_into_another_run() -> None:
    text = Account(start=0, position=4, watermark=-7).metadata(started_epoch=3)
    assert watermark_of(text) == -7
    continued = begin(3, (4, text), None)
    assert isinstance(continued, Account)
    assert (continued.position, continued.watermark) == (4, None)  # whoever continues it reads the text for it


@pytest.mark.parametrize(
    "text", ["", "null", "7", "[]", "{", '{"e":3}', '{"m":true}', '{"m":"7"}', '{"m":9223372036854775807}', "x" * 5_000]
)
def test_a_text_that_tells_no_watermark_tells_none(text: str) -> None:
    assert watermark_of(text) is None
