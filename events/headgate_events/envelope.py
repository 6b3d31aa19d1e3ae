"""The envelope: CloudEvents 1.0 in Kafka's binary mode, attributes in `ce_*` headers and JSON in the value.

Our own few lines instead of the CloudEvents SDK, because this runs for every record; the SDK reads our records back in
the tests. Of a hand-made command only `ce_type`, `ce_id` and the key are required.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

Headers = Sequence[tuple[str, bytes | str | None]]

CONTENT_TYPE: Final = ("content-type", b"application/json")
SPEC_VERSION: Final = ("ce_specversion", b"1.0")
FORWARDED_HEADER: Final = "headgate_forwarded"
"""Marks an input that a projector wrote again in its key's partition: it is forwarded once only."""
MAX_HEADER_BYTES: Final = 4_096
# Times are counted in whole numbers from here: a float cannot hold the milliseconds of a far century.
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Envelope(NamedTuple):
    """The attributes of one record. None means that the attribute is absent."""

    type: str | None
    id: str | None
    source: str | None = None
    subject: str | None = None
    time: str | None = None
    actor: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    expected_version: str | None = None
    traceparent: str | None = None
    forwarded: bool = False


_FIELDS: Final = {
    "ce_type": "type",
    "ce_id": "id",
    "ce_source": "source",
    "ce_subject": "subject",
    "ce_time": "time",
    "ce_actor": "actor",
    "ce_correlationid": "correlation_id",
    "ce_causationid": "causation_id",
    "ce_expectedversion": "expected_version",
    "traceparent": "traceparent",
}


def to_headers(envelope: Envelope) -> list[tuple[str, bytes]]:
    """Write an envelope as Kafka headers; absent attributes are left out."""
    headers: list[tuple[str, bytes]] = [SPEC_VERSION, CONTENT_TYPE]
    for header, attribute in _FIELDS.items():
        value = getattr(envelope, attribute)
        if value is not None:
            headers.append((header, value.encode()))
    if envelope.forwarded:
        headers.append((FORWARDED_HEADER, b"1"))
    return headers


def from_headers(headers: Headers | None) -> Envelope:
    """Read the envelope out of Kafka headers: the last of repeated ones counts, foreign ones are passed over.

    Never raises: a value that is no UTF-8 or is longer than 4,096 bytes counts as absent, and who needs it says so.
    """
    found = dict(headers or ())
    return Envelope(
        type=_text(found.get("ce_type")),
        id=_text(found.get("ce_id")),
        source=_text(found.get("ce_source")),
        subject=_text(found.get("ce_subject")),
        time=_text(found.get("ce_time")),
        actor=_text(found.get("ce_actor")),
        correlation_id=_text(found.get("ce_correlationid")),
        causation_id=_text(found.get("ce_causationid")),
        expected_version=_text(found.get("ce_expectedversion")),
        traceparent=_text(found.get("traceparent")),
        forwarded=FORWARDED_HEADER in found,
    )


def _text(value: bytes | str | None) -> str | None:
    if value is None or len(value) > MAX_HEADER_BYTES:
        return None
    try:
        return value if isinstance(value, str) else value.decode()
    except UnicodeDecodeError:
        return None


def header(headers: Headers | None, name: str) -> bytes | None:
    """Return the last value of one header as bytes, or None when it is absent."""
    value: bytes | str | None = None
    for found, candidate in headers or ():
        if found == name:
            value = candidate
    return value.encode() if isinstance(value, str) else value


@lru_cache(maxsize=1_024)
def rfc3339(at_ms: int) -> str:
    """Write epoch milliseconds as RFC 3339 in UTC, with milliseconds: `2026-01-31T08:00:00.000Z`."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_rfc3339_ms(text: str) -> int:
    """Read an RFC 3339 time with a zone as epoch milliseconds. Raises ValueError (the writer's fault) for others."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text[:64]!r} has no time zone")
    since = moment - _EPOCH
    return since.days * 86_400_000 + since.seconds * 1_000 + round(since.microseconds / 1_000)
