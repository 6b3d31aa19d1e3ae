"""What goes wrong: said in one sentence of the right class, within the bound, and without a trace once it is over."""

from __future__ import annotations

import pytest

from headgate.testing.owner import Owner, not_covered
from headgate.testing.records import MadeRecord
from headgate.testing.subject import DestinationUnderTest, Owners
from headgate.testing.visibility import refused_at
from headgate_events.errors import HeadgateError


class Trouble(DestinationUnderTest):
    """Tests of errors, of closing, and of records that are refused."""

    def test_closing_never_raises_and_may_be_done_twice(self, owners: Owners) -> None:
        never_opened = owners.make()
        never_opened.close()
        never_opened.close()
        owner = owners.make()
        owner.begin(self.partition(0))
        owner.forward(self.records(3))
        owner.close()
        owner.close()
        self.sees_at_most(*self.records(3))

    def test_a_closed_destination_can_be_opened_again(self, owners: Owners) -> None:
        owner, records = owners.make(), self.records(6)
        owner.begin(self.partition(0))
        owner.forward(records[:3])
        owner.commit()
        owner.close()
        owner.forward(not_covered(records, owner.begin(self.partition(0))))
        owner.commit()
        self.sees(*records)

    def test_opening_again_forgets_what_was_in_flight(self, owners: Owners) -> None:
        owner, records = owners.make(), self.records(6)
        owner.begin(self.partition(0))
        for _ in range(3):
            owner.forward(records)
            owner.begin(self.partition(0))
        self.sees_at_most(*records)
        owner.forward(records)
        owner.commit()
        self.sees(*records)

    def test_a_refused_record_is_named_and_the_others_survive(self, owners: Owners) -> None:
        wrong = self.record(3, value=self.refused_value())
        records = [*self.records(3), wrong, *self.records(3, start=4)]
        good = [record for record in records if record is not wrong]
        owner = owners.make()
        owner.begin(self.partition(0))
        refused_at(owner, records, wrong)
        # As the engine does: the records before it are committed, it is left out, and the others follow.
        stands = owner.begin(self.partition(0))
        owner.forward(not_covered(good[:3], stands))
        owner.moved_past([wrong])
        owner.commit()
        owner.forward(good[3:])
        owner.commit()
        self.sees(*good)

    def test_an_outage_is_said_and_survived(self, owners: Owners) -> None:
        records = self.records(10)
        owner = owners.make()
        owner.begin(self.partition(0))
        owner.forward(records[:4])
        owner.commit()
        self.break_other_side()
        with pytest.raises(HeadgateError) as outage:
            _move(owner, records[4:7])
        _is_said(outage.value)
        owner.timed(owner.destination.close)
        self.heal_other_side()
        owner.forward(not_covered(records, owner.begin(self.partition(0))))
        owner.commit()
        self.sees(*records)

    def test_an_outage_with_records_in_flight_is_survived_without_a_close(self, owners: Owners) -> None:
        records = self.records(10)
        owner = owners.make()
        owner.begin(self.partition(0))
        owner.forward(records[:4])
        owner.commit()
        self.break_other_side()
        with pytest.raises(HeadgateError):
            _move(owner, records[4:7])
        with pytest.raises(HeadgateError):
            _begin_and_move(self, owner, records[4:7])
        self.heal_other_side()
        owner.forward(not_covered(records, owner.begin(self.partition(0))))
        owner.commit()
        self.sees(*records)

    def test_an_outage_fails_the_check(self, owners: Owners) -> None:
        self.break_other_side()
        try:
            checks = owners.check()
        finally:
            self.heal_other_side()
        assert any(check.result in {"failed", "warning"} for check in checks)


def _move(owner: Owner, records: list[MadeRecord]) -> None:
    owner.forward(records)
    owner.commit()


def _begin_and_move(subject: DestinationUnderTest, owner: Owner, records: list[MadeRecord]) -> None:
    owner.begin(subject.partition(0))
    _move(owner, records)


def _is_said(error: HeadgateError) -> None:
    assert error.retriable, f"an outage passes by itself, so it is retried: {error.code}"
    assert error.code != "internal", "programs branch on the code"
    assert "\n" not in error.message
    assert error.message.rstrip().endswith("."), "one sentence"
