"""Who owns a partition, and where it stands: positions come back as they were given, and an heir fences whoever was."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from headgate.ports.destination import StaleOwner, Token
from headgate.ports.log import Committed
from headgate.testing.owner import Owner, not_covered
from headgate.testing.records import MadeRecord
from headgate.testing.subject import DestinationUnderTest, Owners
from headgate_events.errors import HeadgateError


class Ownership(DestinationUnderTest):
    """Tests of positions, tokens and heirs.

    With `positions_in: destination` the token fences; with `source_transaction` the transactional id does, which an
    heir initialises; with `source` nobody is fenced here, the source's group is what refuses the predecessor's
    positions, and a reader may see a record twice.
    """

    def test_a_new_destination_has_no_positions(self, owners: Owners) -> None:
        assert owners.make().begin(self.partition(0), self.partition(1)) == {}

    def test_positions_come_back_exactly_with_their_text(self, owners: Owners) -> None:
        given = {
            self.partition(0): Committed(5, "run=3 größe ☕ 'quoted' \"twice\""),
            self.partition(1): Committed(2**40, "x" * 4_000),
            self.partition(2): Committed(0, ""),
        }
        owner = owners.make()
        owner.begin(*given)
        owner.commit(given)
        if owner.destination.positions_in == "destination":
            assert owner.begin(*given) == given
            assert owners.make().begin(*given) == given
            assert owners.make().begin(self.partition(1)) == {self.partition(1): given[self.partition(1)]}
        else:
            claims = dict.fromkeys(given, owner.token)
            assert owner.destination.positions(claims) == {}, "whoever leaves the positions to the source has none"

    def test_what_is_committed_moves_with_its_position(self, owners: Owners) -> None:
        owner, records = owners.make(), self.records(12)
        owner.begin(self.partition(0))
        for start in range(0, 12, 4):
            owner.forward(records[start : start + 4])
            owner.commit()
            assert owner.take_on(self.partition(0))[self.partition(0)].position == start + 4
        self.sees(*records)

    def test_the_same_owner_begins_anew_without_doubles(self, owners: Owners) -> None:
        owner, records = owners.make(), self.records(10)
        owner.begin(self.partition(0))
        owner.forward(records[:4])
        owner.commit()
        owner.forward(records[4:])
        owner.forward(not_covered(records, owner.begin(self.partition(0))))
        owner.commit()
        self.sees(*records)

    def test_a_commit_after_beginning_anew_with_nothing_new_doubles_nothing(self, owners: Owners) -> None:
        owner, records = owners.make(), self.records(10)
        owner.begin(self.partition(0))
        owner.forward(records)
        owner.commit()
        for _ in range(2):
            stands = owner.begin(self.partition(0))
            assert stands[self.partition(0)].position == 10
            owner.commit(stands)
        self.sees(*records)

    def test_a_further_partition_does_not_touch_what_is_in_flight(self, owners: Owners) -> None:
        owner, first, second = owners.make(), self.records(5), self.records(5, partitions=2)[1::2]
        owner.begin(self.partition(0))
        owner.forward(first)
        owner.take_on(self.partition(1))
        owner.forward(second)
        owner.commit()
        self.sees(*first, *second)

    def test_an_heir_goes_on_where_its_predecessor_committed(self, owners: Owners) -> None:
        records = self.records(10)
        old = owners.make()
        old.begin(self.partition(0))
        old.forward(records[:6])
        old.commit()
        old.close()
        heir = owners.make("worker-b")
        heir.forward(not_covered(records, heir.begin(self.partition(0))))
        heir.commit()
        self.sees(*records)

    def test_an_heir_fences_a_predecessor_that_has_written(self, owners: Owners) -> None:
        records = self.records(10)
        old, heir = self._predecessor(owners, records[:4]), owners.make()
        old.forward(records[4:7])
        stands = heir.begin(self.partition(0))
        self._is_fenced(old, old.commit)
        heir.forward(not_covered(records, stands))
        heir.commit()
        self.sees(*records)

    def test_an_heir_fences_a_predecessor_that_is_about_to_write(self, owners: Owners) -> None:
        records = self.records(10)
        old, heir = self._predecessor(owners, records[:4]), owners.make()
        stands = heir.begin(self.partition(0))

        def write_and_commit() -> None:
            old.forward(records[4:7])
            old.commit()

        self._is_fenced(old, write_and_commit)
        heir.forward(not_covered(records, stands))
        heir.commit()
        self.sees(*records)

    def test_a_predecessor_that_comes_to_itself_after_its_heir_committed_changes_nothing(self, owners: Owners) -> None:
        records = self.records(10)
        old, heir = self._predecessor(owners, records[:4]), owners.make()
        old.forward(records[4:7])
        heir.forward(not_covered(records, heir.begin(self.partition(0))))
        heir.commit()
        self._is_fenced(old, old.commit)
        self.sees(*records)
        if heir.destination.positions_in == "destination":
            assert heir.take_on(self.partition(0))[self.partition(0)].position == 10

    def test_a_predecessor_that_is_let_go_late_takes_nothing_of_its_heir_along(self, owners: Owners) -> None:
        records = self.records(10)
        old, heir = self._predecessor(owners, records[:4]), owners.make()
        old.forward(records[4:7])
        stands = heir.begin(self.partition(0))
        heir.forward(not_covered(records, stands))
        old.close()
        heir.commit()
        self.sees(*records)

    @pytest.mark.parametrize("lower", [Token(1, 3, 0), Token(1, 2, 10**9), Token(0, 10**9, 10**9)])
    def test_a_lower_token_is_a_stale_owner(self, owners: Owners, lower: Token) -> None:
        records = self.records(4)
        owner = owners.make(token=Token(1, 3, 7))
        owner.begin(self.partition(0))
        stale = owners.make("worker-b", token=lower)
        if owner.destination.positions_in == "destination":
            with pytest.raises(StaleOwner):
                stale.begin(self.partition(0))
        owner.forward(records)
        owner.commit()
        if owner.destination.positions_in == "destination":
            with pytest.raises(StaleOwner):
                stale.begin(self.partition(0))
        self.sees(*records)

    @pytest.mark.parametrize("higher", [Token(1, 3, 8), Token(1, 4, 0), Token(2, 0, 0)])
    def test_a_higher_token_takes_over_by_whichever_part_is_higher(self, owners: Owners, higher: Token) -> None:
        records = self.records(8)
        old = self._predecessor(owners, records[:4], token=Token(1, 3, 7))
        heir = owners.make(token=higher)
        stands = heir.begin(self.partition(0))
        old.moved_past(records[4:5])
        self._is_fenced(old, old.commit)
        heir.forward(not_covered(records, stands))
        heir.commit()
        self.sees(*records)

    def test_one_partition_moves_and_the_others_stay(self, owners: Owners) -> None:
        records = self.records(8, partitions=2)
        first, second = records[::2], records[1::2]
        old, heir = owners.make("worker-a"), owners.make("worker-b")
        old.begin(self.partition(0), self.partition(1))
        old.forward(first[:3])
        old.forward(second[:3])
        old.commit()
        old.give_up(self.partition(1))
        heir.forward(not_covered(second, heir.begin(self.partition(1))))
        old.forward(first[3:])
        old.commit()
        heir.commit()
        self.sees(*first, *second)

    def test_a_commit_that_touches_a_partition_which_moved_writes_nothing_at_all(self, owners: Owners) -> None:
        records = self.records(6, partitions=2)
        first, second = records[::2], records[1::2]
        old, heir = owners.make(), owners.make("worker-b")
        old.begin(self.partition(0), self.partition(1))
        old.forward(first)
        old.forward(second)
        if old.destination.positions_in != "destination":
            old.commit()
            self.sees(*records)
            return
        stands = heir.begin(self.partition(1))
        self._is_fenced(old, old.commit)
        self.sees()
        old.forward(not_covered(first, old.begin(self.partition(0))))
        old.commit()
        heir.forward(not_covered(second, stands))
        heir.commit()
        self.sees(*first, *second)

    def test_a_partition_that_comes_back_is_taken_up_where_the_other_left_it(self, owners: Owners) -> None:
        records = self.records(9)
        one, other = owners.make("worker-a"), owners.make("worker-b")
        one.begin(self.partition(0))
        one.forward(records[:3])
        one.commit()
        one.give_up(self.partition(0))
        other.forward(not_covered(records[:6], other.begin(self.partition(0))))
        other.commit()
        stands = one.take_on(self.partition(0), token=other.token._replace(claim=other.token.claim + 1))
        assert stands[self.partition(0)].position == 6
        one.forward(not_covered(records, stands))
        one.commit()
        self.sees(*records)

    def _predecessor(self, owners: Owners, records: list[MadeRecord], token: Token | None = None) -> Owner:
        """Return an owner that has committed some records."""
        old = owners.make(token=token)
        old.begin(self.partition(0))
        old.forward(records)
        old.commit()
        return old

    def _is_fenced(self, old: Owner, call: Callable[[], None]) -> None:
        """Assert that what an owner does after its heir claimed fails, and in a way that makes it claim anew."""
        if old.destination.positions_in == "source":
            call()
            return
        with pytest.raises(HeadgateError) as refusal:
            call()
        assert refusal.value.retriable, "a worker that was stopped goes on by itself, with what it then owns"
