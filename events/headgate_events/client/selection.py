"""Which records of the history a reader asked for, and what each of them is.

Pure: the real reader and the in-memory twin share it. Everything that is read of the wanted streams
is judged (repeats, gaps, the chain), also what is too old to be shown: a version is trusted by the one before it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from headgate_events.client.sequence import Entry, HistoryItem, Sequence, Unknown
from headgate_events.codec import decode_history, read
from headgate_events.envelope import from_headers
from headgate_events.errors import InvalidRequest
from headgate_events.names import check_stream_name
from headgate_events.records import Record
from headgate_events.schema.history import Transition


class Selection:
    """Turns records into what a reader yields. One per reading, because it remembers what it has seen.

    Raises InvalidRequest (the caller's fault) for a name or a number that cannot be meant.
    """

    def __init__(self, stream: str | None, from_version: int | None, since_ms: int | None, *, from_start: bool) -> None:
        if from_version is not None and stream is None:
            raise InvalidRequest("from_version needs a stream.", hint="Versions are numbered by stream.")
        if from_version is not None and from_version < 1:
            raise InvalidRequest("from_version is below 1.", hint="The first transition has version 1.")
        if since_ms is not None and since_ms < 0:
            raise InvalidRequest("since_ms is below 0.", hint="Give milliseconds since 1970-01-01 UTC.")
        self._key = None if stream is None else check_stream_name(stream).encode()
        self._since_ms = since_ms
        self._waits_for_version = from_version
        self._sequence = Sequence(from_start=from_start)

    def items(self, record: Record) -> Iterator[HistoryItem]:
        """Yield what one record means for the reader: nothing, an entry, or what is wrong before it and the entry."""
        if self._key is not None and record.key() != self._key:
            return
        try:
            decoded = decode_history(record)
            if decoded is None:
                said = from_headers(record.headers()).type
                yield _unknown(record, said, "its type is not known here; a newer version may have written it")
                return
            model = read("history", decoded.payload)
            repeated, problems = self._sequence.judge(decoded, record.partition() or 0)
        except (ValueError, ValidationError) as problem:
            said = from_headers(record.headers()).type
            yield _unknown(record, said, f"it cannot be read: {str(problem)[:300]}")
            return
        entry = Entry(decoded.id, model, record.topic() or "", record.partition() or 0, record.offset() or 0)
        shown = self._is_wanted(entry)
        if shown:
            yield from problems
        if shown and not repeated:
            yield entry

    def _is_wanted(self, entry: Entry) -> bool:
        if self._waits_for_version is not None:
            record = entry.record
            if not isinstance(record, Transition) or record.version < self._waits_for_version:
                return False
            self._waits_for_version = None
        return self._since_ms is None or entry.record.at_ms >= self._since_ms


def _unknown(record: Record, record_type: str | None, reason: str) -> Unknown:
    return Unknown(record_type, reason, record.topic() or "", record.partition() or 0, record.offset() or 0)
