"""What a reader sees of records: all that was committed, as it was written, in order, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headgate.ports.destination import RecordRefused
from headgate.testing.owner import Owner, place_of
from headgate.testing.records import MadeRecord, output_of
from headgate.testing.subject import DestinationUnderTest, Owners

HEADERS = (
    ("plain", b"text"),
    ("naïve café ☕", "größe".encode()),
    ("binary", bytes(range(256))),
    ("twice", b"1"),
    ("twice", b"2"),
    ("empty", b""),
)


class Visibility(DestinationUnderTest):
    """Tests of the records themselves."""

    def test_what_was_forwarded_and_committed_is_seen(self, owners: Owners) -> None:
        owner, records = owners.make(), self.records(20)
        owner.begin(self.partition(0))
        owner.forward(records)
        owner.commit()
        self.sees(*records)

    def test_what_a_transform_made_is_seen(self, owners: Owners) -> None:
        owner = owners.make()
        outputs = [output_of(record, self.value(100_000 + record.at_offset)) for record in self.records(20)]
        owner.begin(self.partition(0))
        owner.write(outputs)
        owner.commit()
        self.sees(*outputs)

    def test_several_outputs_of_one_record_are_all_seen_in_order(self, owners: Owners) -> None:
        owner = owners.make()
        outputs = []
        for record in self.records(3):
            for part in range(3):
                number = 10_000 + 10 * record.at_offset + part
                outputs.append(output_of(record, self.value(number))._replace(key=b"part-%d" % number))
        owner.begin(self.partition(0))
        owner.write(outputs)
        owner.commit()
        self.sees(*outputs)

    def test_order_is_kept_within_each_partition_over_many_batches(self, owners: Owners) -> None:
        owner, records = owners.make(), self.records(40, partitions=3)
        if self.order == "key":
            records = [replace(each, with_key=b"key-%d" % (each.at_offset % 7)) for each in records]
        owner.begin(*map(self.partition, range(3)))
        for number, start in enumerate(range(0, len(records), 7)):
            owner.forward(records[start : start + 7])
            if number % 3 == 2:
                owner.commit()
        owner.commit()
        self.sees(*records)

    def test_nothing_counts_before_its_commit(self, owners: Owners) -> None:
        owner, records = owners.make(), self.records(10)
        owner.begin(self.partition(0))
        owner.forward(records)
        self.sees_at_most(*records)
        owner.commit()
        self.sees(*records)

    def test_what_was_not_committed_is_gone_after_a_close(self, owners: Owners) -> None:
        owner, records = owners.make(), self.records(10)
        owner.begin(self.partition(0))
        owner.forward(records)
        owner.close()
        self.sees_at_most(*records)

    def test_an_empty_write_is_no_record(self, owners: Owners) -> None:
        owner = owners.make()
        owner.begin(self.partition(0))
        owner.write([])
        owner.forward([])
        owner.commit({})
        self.sees()

    def test_a_commit_with_nothing_written_but_moved_positions_shows_nothing(self, owners: Owners) -> None:
        owner = owners.make()
        owner.begin(self.partition(0))
        owner.moved_past(self.records(5))  # a transform let them all go
        owner.commit()
        self.sees()
        assert owner.begin(self.partition(0))[self.partition(0)].position == 5

    def test_keys_are_carried(self, owners: Owners) -> None:
        records = [self.record(0, key=b"plain"), self.record(1, key="schlüssel".encode())]
        self._committed(owners, records)
        self.sees(*records)
        if self.keeps_records and self.carries_keys:
            assert {each.key for each in self.read()} == {b"plain", "schlüssel".encode()}

    def test_headers_are_carried_or_do_no_harm(self, owners: Owners) -> None:
        records = [self.record(0, headers=HEADERS), self.record(1, headers=()), self.record(2)]
        self._committed(owners, records)
        self.sees(*records)
        if self.keeps_records and self.carries_headers:
            read = {repr(self.as_read(each.value)): list(each.headers or ()) for each in self.read()}
            assert [read[repr(self.as_read(each.value()))] for each in records] == [list(HEADERS), [], []]

    def test_headers_of_a_transform_may_be_text_or_nothing(self, owners: Owners) -> None:
        owner, record = owners.make(), self.record(0)
        output = output_of(record)._replace(headers=[("text", "größe"), ("nothing", None)])
        owner.begin(self.partition(0))
        owner.write([output])
        owner.commit()
        self.sees(output)
        if self.keeps_records and self.carries_headers:
            assert list(self.read()[0].headers or ()) == [("text", "größe".encode()), ("nothing", None)]

    def test_a_record_without_a_key(self, owners: Owners) -> None:
        bare = MadeRecord(self.source_topic, 0, 1, self.value(1))
        if self.null_keys == "refused":
            self._refused(owners, [self.record(0), bare], bare)
            return
        self._committed(owners, [self.record(0), bare])
        self.sees(self.record(0), bare)
        if self.keeps_records and self.carries_keys:
            assert any(each.key is None for each in self.read())

    def test_a_record_without_a_value(self, owners: Owners) -> None:
        kept = self.record(1)
        tombstone = MadeRecord(self.source_topic, 0, 2, None, b"gone")
        records = [self.record(0, key=b"gone"), kept, tombstone]
        if self.tombstones == "refused":
            self._refused(owners, records, tombstone)
            return
        self._committed(owners, records)
        if not self.keeps_records:
            return
        first, second = self.as_read(records[0].value()), self.as_read(kept.value())
        expected: dict[str, list[Any]] = {"kept": [first, second, self.as_read(None)], "delete": [second]}
        wanted = expected.get(self.tombstones, [first, second])
        seen = self.seen(len(wanted))
        assert seen == wanted or (self.order == "key" and sorted(map(repr, seen)) == sorted(map(repr, wanted)))

    def test_values_are_carried_whatever_they_are(self, owners: Owners) -> None:
        strange = self.record(1, value=bytes(range(256)))
        if self.values == "json":
            self._refused(owners, [self.record(0), strange], strange)
            return
        values = [self.record(0), strange, self.record(2, value=b"\n"), self.record(3, value=b'{"a":\r\n"\\n"}')]
        self._committed(owners, values)
        self.sees(*values)

    def test_an_empty_value_is_not_a_missing_one(self, owners: Owners) -> None:
        empty = MadeRecord(self.source_topic, 0, 0, b"", b"key")
        if self.values == "json":
            self._refused(owners, [empty], empty)
            return
        self._committed(owners, [empty])
        if self.keeps_records:
            assert self.seen(1) == [b""]

    def test_a_big_value_is_carried_whole(self, owners: Owners) -> None:
        big = self.record(1, value=self.big_value())
        self._committed(owners, [self.record(0), big, self.record(2)])
        self.sees(self.record(0), big, self.record(2))

    def test_many_small_batches_and_commits(self, owners: Owners) -> None:
        owner, records = owners.make(), self.records(30)
        owner.begin(self.partition(0))
        for record in records:
            owner.forward([record])
            owner.commit()
        self.sees(*records)

    def _committed(self, owners: Owners, records: list[MadeRecord]) -> None:
        owner = owners.make()
        owner.begin(self.partition(0))
        owner.forward(records)
        owner.commit()

    def _refused(self, owners: Owners, records: list[MadeRecord], wrong: MadeRecord) -> None:
        owner = owners.make()
        owner.begin(self.partition(0))
        refused_at(owner, records, wrong)


def refused_at(owner: Owner, records: list[MadeRecord], wrong: MadeRecord) -> None:
    """Assert that moving records ends in a refusal that names the wrong one, whichever way they are handed over."""

    def write() -> None:
        owner.write([output_of(record) for record in records])
        owner.commit()

    def forward() -> None:
        owner.forward(records)
        owner.commit()

    for move in (write, forward):
        with pytest.raises(RecordRefused) as refusal:
            move()
        origin = refusal.value.origin
        named = (origin.topic(), origin.partition(), origin.offset())
        assert named == (wrong.topic(), wrong.partition(), wrong.offset()), "the refusal names the source's record"
        assert refusal.value.message
        owner.begin(place_of(wrong))
