"""What the author of a destination tells the conformance suite: how to make it, how to look at it, what it carries.

`kind`, `settings()` and `read()` have to be given; everything else has a default, and the tests expect what it says.
What a test needs around it (a folder, a table, a server) is best an autouse fixture of the subclass; pytest makes a new
object of the class for each test, so it may keep it on `self`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import pytest

from headgate.ports.connectors import ConnectorContext, Delivery
from headgate.ports.destination import Destination, DestinationKind, Output, Token
from headgate.ports.log import Committed, TopicPartition
from headgate.testing.owner import Owner
from headgate.testing.records import MadeRecord
from headgate.testing.surroundings import context_for
from headgate_events.records import Record
from headgate_events.schema.common import Check


class Seen(NamedTuple):
    """One record as a reader of the destination sees it. Leave out what the destination does not carry."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] | None = None


class DestinationUnderTest:
    """The hooks of the suite, and what its tests share."""

    kind: ClassVar[DestinationKind]
    keeps_records: ClassVar[bool] = True
    """False only where nothing is ever to be read back."""
    carries_keys: ClassVar[bool] = True
    carries_headers: ClassVar[bool] = True
    values: ClassVar[Literal["any bytes", "json"]] = "any bytes"
    """`json`: a value that is not a JSON object is refused with RecordRefused."""
    null_keys: ClassVar[Literal["kept", "refused"]] = "kept"
    tombstones: ClassVar[Literal["kept", "refused", "delete", "dropped"]] = "kept"
    """What a record without a value does: it is read as such, refused, deletes its key's record, or leaves no trace."""
    source_topic: str = "made"

    order: ClassVar[Literal["partition", "key"]] = "partition"
    """What keeps its order: all records of a source partition, or only those of one key in it."""
    visible_within_s: ClassVar[float] = 0.0
    """How long after its commit a record may take to be visible; more than 0 where readers are told later."""

    delivery: Delivery

    # What an author gives

    def settings(self) -> Mapping[str, Any]:
        """Return valid settings, as a stream's definition holds them."""
        raise NotImplementedError

    def read(self) -> Sequence[Seen]:
        """Return everything that a reader of the destination sees now, in the order in which it sees it.

        Only what is visible to an ordinary reader: committed rows, finished files.
        """
        raise NotImplementedError

    def context(self, delivery: Delivery, worker: str) -> ConnectorContext:
        """Return what a worker opens the destination with. The default has no Kafka and no connections."""
        return context_for(delivery, worker=worker)

    def value(self, number: int) -> bytes:
        """Return a value that the destination takes; different numbers give different ones."""
        return b'{"number": %d, "text": "caf\xc3\xa9 %d"}' % (number, number)

    def big_value(self) -> bytes:
        """Return a value as large as a record of Kafka easily is."""
        return b'{"number": 1, "text": "%s"}' % (b"x" * 500_000)

    def as_read(self, value: bytes | None) -> Any:
        """Return what is compared of a written or read value: the bytes, or what they mean."""
        return value

    def broken_settings(self) -> Mapping[str, Any]:
        """Return well-formed settings that name what does not exist. Without it, that test is left out."""
        raise NotImplementedError

    def break_other_side(self) -> None:
        """Make the other side stop answering (or fail everything). Without it, the tests of outages are left out."""
        raise NotImplementedError

    def heal_other_side(self) -> None:
        """Undo `break_other_side`."""
        raise NotImplementedError

    def refused_value(self) -> bytes:
        """Return a value that the destination never takes. Without it, the test of a refused record is left out."""
        raise NotImplementedError

    def proof(self) -> Any:
        """Return the source's token, for a destination with `positions_in: source_transaction`."""
        return None

    def source_committed(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, Committed]:
        """Return the source's positions, for a destination with `positions_in: source_transaction`."""
        raise NotImplementedError

    # What the tests share

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run what depends on a promise once for each that the kind declares."""
        if "delivery" in metafunc.fixturenames:
            metafunc.parametrize("delivery", list(self.kind.promises))

    @pytest.fixture
    def owners(self, delivery: Delivery) -> Iterator[Owners]:
        """Make owners of partitions, and let them go at the end of the test."""
        self.delivery = delivery
        made = Owners(self, delivery)
        yield made
        made.close()

    def record(
        self,
        offset: int,
        partition: int = 0,
        *,
        value: bytes | None = None,
        key: bytes | None = None,
        headers: tuple[tuple[str, bytes | None], ...] | None = None,
    ) -> MadeRecord:
        """Make one record; value and key are its own unless they are given."""
        number = 1_000 * partition + offset
        return MadeRecord(
            self.source_topic,
            partition,
            offset,
            self.value(number) if value is None else value,
            b"key-%d" % number if key is None else key,
            headers,
        )

    def records(self, count: int, *, partitions: int = 1, start: int = 0) -> list[MadeRecord]:
        """Make records with the offsets from `start` on in each partition, the partitions taking turns."""
        return [self.record(start + n, partition) for n in range(count) for partition in range(partitions)]

    def partition(self, number: int) -> TopicPartition:
        """Return a partition of the made-up source."""
        return TopicPartition(self.source_topic, number)

    def seen(self, count: int = 0) -> list[Any]:
        """Return the values that a reader sees, waiting for so many as long as they may take to be visible."""
        deadline_s = time.monotonic() + self.visible_within_s
        while True:
            seen = [self.as_read(each.value) for each in self.read()]
            if len(seen) >= count or time.monotonic() >= deadline_s:
                return seen

    def sees(self, *records: Record | Output) -> None:
        """Assert that a reader sees these records, in order within each source partition (or each key there).

        Exactly once: each of them once and nothing else. At least once: each of them, perhaps again, and nothing else.
        """
        if not self.keeps_records:
            assert self.seen() == [], "what keeps nothing shows nothing"
            return
        wanted = [self.as_read(each.value if isinstance(each, Output) else each.value()) for each in records]
        seen = self.seen(len(wanted))
        extra = [value for value in seen if value not in wanted]
        assert not extra, f"a reader sees what was never committed: {extra[:3]}"
        missing = [value for value in wanted if value not in seen]
        assert not missing, f"a reader does not see {len(missing)} of {len(wanted)} records: {missing[:3]}"
        if self.delivery == "exactly_once":
            assert len(seen) == len(wanted), f"a reader sees {len(seen)} records of {len(wanted)}: some are doubled"
        ordered: dict[Any, list[int]] = {}
        for each, value in zip(records, wanted, strict=True):
            origin = each.origin if isinstance(each, Output) else each
            key = each.key if isinstance(each, Output) else each.key()
            ordered.setdefault((origin.partition(), key if self.order == "key" else None), []).append(seen.index(value))
        for (partition, _), places in ordered.items():
            assert places == sorted(places), f"records of partition {partition} overtook each other: {places}"

    def sees_at_most(self, *records: Record) -> None:
        """Assert what a reader may see of records that were written and not committed: nothing, if it is exactly once.

        With at least once it may see them already, and nothing else.
        """
        seen = self.seen()
        if self.delivery == "exactly_once":
            assert seen == [], f"a reader sees {len(seen)} records that were not committed: {seen[:3]}"
        wanted = [self.as_read(record.value()) for record in records]
        assert all(value in wanted for value in seen), f"a reader sees what nobody wrote: {seen[:3]}"


class Owners:
    """Makes the owners of one test: each a destination of its own, opened by the worker that is named."""

    def __init__(self, subject: DestinationUnderTest, delivery: Delivery) -> None:
        self._subject = subject
        self._delivery = delivery
        self._source: dict[TopicPartition, Committed] = {}
        self._made: list[Owner] = []
        self._claims = 0

    def make(self, worker: str = "worker-a", token: Token | None = None) -> Owner:
        """Make an owner, not begun yet. Each later one has a higher token unless it is given."""
        self._claims += 1
        subject = self._subject
        owner = Owner(
            self.destination(worker),
            token or Token(1, 3, self._claims),
            self._source,
            subject.proof,
            subject.source_committed,
        )
        self._made.append(owner)
        return owner

    def destination(self, worker: str = "worker-a") -> Destination:
        """Make a destination, as a worker does."""
        kind, subject = self._subject.kind, self._subject
        settings = kind.settings.model_validate(dict(subject.settings()))
        return kind.destination(settings, subject.context(self._delivery, worker))

    def check(self, settings: Mapping[str, Any] | None = None) -> Sequence[Check]:
        """Let the kind look at the other side, as a validation does."""
        kind, subject = self._subject.kind, self._subject
        valid = kind.settings.model_validate(dict(subject.settings() if settings is None else settings))
        return Owner.timed(lambda: kind.check(valid, subject.context(self._delivery, "worker-a")))

    def close(self) -> None:
        """Let all go."""
        for owner in self._made:
            owner.close()
