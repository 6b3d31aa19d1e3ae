"""Which record a broker refuses: it says so of a batch, when the records are written already and no call names one.

A batch is refused as a whole, for one record that is too large for its topic, lacks the key that compaction needs, or
has a time out of bounds. So the records that were under way come again, each as a batch of its own and with somebody
who hears what became of it: then the one at fault is known by its origin, and the stream's `on_error` decides. After as
many records as were under suspicion everything goes on as before.

Where none was at fault, the batch itself was larger than the topic takes; from then on batches are smaller. A record
that is no output (a dead letter, a marker, a position) is nobody's to set aside: its error stays what it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Final

from headgate.ports.destination import RecordRefused, WriteInDoubt
from headgate.ports.errors import RecordRejected
from headgate.ports.log import ClientSetting, DeliveryCallback
from headgate_events.errors import HeadgateError
from headgate_events.records import Record

MOST_BYTES: Final = 64 * 1024 * 1024
"""Size of a record up to which the topic decides; the client library's own bound, 1 MB, is below Kafka's default."""
BATCH_BYTES: Final = 1_000_000
"""Size of a batch where a stream says nothing: the library's."""
MOST_ALONE: Final = 500
MOST_RECORDS: Final = 1_000_000
LEAST_BATCH_BYTES: Final = 1_000
SMALLER: Final = 4


class Suspects:
    """The records that a destination has under way on one cluster. Its task's thread owns it."""

    def __init__(self, client: Mapping[str, ClientSetting]) -> None:
        most_bytes = client.get("message.max.bytes")
        self.most_bytes = int(most_bytes) if most_bytes is not None else None
        """Size of a record that the stream allows, where it says one; the client has to send dead letters, too."""
        self._given: dict[str, ClientSetting] = {**client, "message.max.bytes": MOST_BYTES}
        if self.most_bytes is not None:
            self._given["batch.size"] = min(int(client.get("batch.size", BATCH_BYTES)), self.most_bytes)
        self._under_way = 0
        self._left = 0
        self._found_any = False
        self._at_fault: tuple[Record, RecordRejected] | None = None

    @property
    def looks(self) -> bool:
        """Whether records are sent one by one, because one of them was refused."""
        return self._left > 0

    @property
    def most_records(self) -> int:
        """How many records to take at once: alone each takes a request, and a commit waits for all of them."""
        return MOST_ALONE if self.looks else MOST_RECORDS

    @property
    def client(self) -> Mapping[str, ClientSetting]:
        """The settings of the client to send with now."""
        return {**self._given, "batch.num.messages": 1} if self.looks else self._given

    def opened(self) -> None:
        """Begin anew: nothing is under way."""
        self._under_way = 0
        self._at_fault = None

    def sent(self, count: int) -> None:
        """Count records that were handed to the client."""
        self._under_way += count

    def committed(self) -> None:
        """Clear what was under way; after the last suspect, go on as before, or in smaller batches if none was it."""
        if self._left:
            self._left = max(0, self._left - self._under_way)
            if not self._left and not self._found_any:
                before = self._given.get("batch.size", BATCH_BYTES)
                assert isinstance(before, int), "the settings that a stream may give are checked"
                self._given["batch.size"] = max(LEAST_BATCH_BYTES, before // SMALLER)
        self._under_way = 0

    def hearing(self, origin: Record) -> DeliveryCallback:
        """Return what hears of the delivery of one output."""

        def heard(error: Exception | None, _: Record) -> None:
            if isinstance(error, RecordRejected) and self._at_fault is None:
                self._at_fault = (origin, error)

        return heard

    @contextlib.contextmanager
    def judged(self) -> Iterator[None]:
        """Raise for a broker's refusal what it means."""
        try:
            yield
        except RecordRejected as error:
            raise self._judge(error) from error

    def _judge(self, error: RecordRejected) -> HeadgateError:
        """Return what a broker's refusal means: of this record, or that it has to be looked for."""
        if self._at_fault is not None:
            origin, own = self._at_fault
            self._found_any = True
            return RecordRefused(own.message, origin=origin, code=own.code, hint=own.hint)
        if self.looks or not self._under_way:
            return error
        self._left, self._found_any = self._under_way, False
        return WriteInDoubt(f"{error.message} The record at fault is looked for.", hint=error.hint)
