"""The codec: records to Kafka bytes and back. Strict about what we write, tolerant about what we read.

Reading an input never raises for what stands in it: a command that cannot be decoded becomes an `Unreadable`, which the
projector answers with a refusal. Everything is validated here, once, with cached tagged-union validators; behind this
door payloads are plain dictionaries.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

import orjson
from pydantic import TypeAdapter, ValidationError

from headgate_events import findings
from headgate_events.envelope import CONTENT_TYPE, SPEC_VERSION, Envelope, from_headers, rfc3339, to_headers
from headgate_events.ids import MAX_ID_LENGTH
from headgate_events.names import is_stream_name
from headgate_events.records import Family, HistoryRecord, Input, Payload, Record, Unreadable
from headgate_events.schema.commands import COMMAND_KINDS, AnyCommand
from headgate_events.schema.common import MAX_COMMAND_BYTES, MAX_REPORT_BYTES, MAX_TIME_MS
from headgate_events.schema.history import HISTORY_KINDS, AnyHistory
from headgate_events.schema.reports import REPORT_KINDS, AnyReport
from headgate_events.schema.state import Progress, StreamState
from headgate_events.schema.workers import Cordon, Heartbeat, Marker
from headgate_events.upcast import PRESENT_VERSION, parse_type, type_of, upcast

UNKNOWN_ACTOR: Final = "unknown"
STATE_TYPE: Final = "headgate.state.v1"
PROGRESS_TYPE: Final = "headgate.progress.v1"
HEARTBEAT_TYPE: Final = "headgate.heartbeat.v1"
CORDON_TYPE: Final = "headgate.cordon.v1"
MARKER_TYPE: Final = "headgate.marker.v1"
SOURCE_PROJECTOR: Final = "headgate/projector"
_FROM_PROJECTOR: Final = ("ce_source", SOURCE_PROJECTOR.encode())

_KINDS: Final = {"command": frozenset(COMMAND_KINDS), "report": frozenset(REPORT_KINDS)}
_MAX_BYTES: Final = {"commands": MAX_COMMAND_BYTES, "reports": MAX_REPORT_BYTES}
_NUMBER: Final = re.compile(r"[0-9]{1,18}")


_ANNOTATIONS: Final[dict[str, Any]] = {
    "command": AnyCommand,
    "report": AnyReport,
    "history": AnyHistory,
    "state": StreamState,
    "progress": Progress,
    "heartbeat": Heartbeat,
    "cordon": Cordon,
    "marker": Marker,
}


@cache
def _adapter(family: str) -> TypeAdapter[Any]:
    return TypeAdapter(_ANNOTATIONS[family])


def encode(payload: Payload) -> bytes:
    """Write a payload as JSON. The result is a copy of its own size, safe to keep (orjson's buffer may be larger)."""
    return bytes(bytearray(orjson.dumps(payload)))


def validate(family: str, payload: Payload) -> Any:
    """Return the payload as its model; raises pydantic's ValidationError (the writer's fault)."""
    return _adapter(family).validate_python(payload)


def read(family: str, payload: Any) -> Any:
    """Return a record that somebody else wrote as its model, passing over keys that a newer version added.

    `validate` refuses unknown keys of a definition, as is right for a command; a reader of the state or the history has
    to go on. Pydantic's own switch for that would also drop the settings of connectors, which are open on purpose, so
    what was complained of is taken out instead. Raises pydantic's ValidationError for anything else.
    """
    adapter = _adapter(family)
    try:
        return adapter.validate_python(payload)
    except ValidationError as error:
        unknown = [item["loc"] for item in error.errors(include_url=False, include_context=False, include_input=False)]
        if any(item["type"] != "extra_forbidden" for item in error.errors(include_url=False, include_input=False)):
            raise
        return adapter.validate_python(_without(payload, unknown))


def explain(error: ValidationError, family: str) -> str:
    """Say in one sentence what a validation of this family found: where, what, and which key was probably meant."""
    return findings.explain(error, _ANNOTATIONS[family])


def command_headers(
    kind: str,
    command_id: str,
    stream: str,
    *,
    source: str,
    at_ms: int,
    actor: str,
    expected_version: int | None = None,
    correlation_id: str | None = None,
    traceparent: str | None = None,
) -> list[tuple[str, bytes]]:
    """Return the headers of a command."""
    return to_headers(
        Envelope(
            type=type_of("command", kind),
            id=command_id,
            source=source,
            subject=stream,
            time=rfc3339(at_ms),
            actor=actor,
            correlation_id=correlation_id,
            expected_version=None if expected_version is None else str(expected_version),
            traceparent=traceparent,
        )
    )


def report_headers(
    kind: str, report_id: str, stream: str, *, source: str, at_ms: int, actor: str
) -> list[tuple[str, bytes]]:
    """Return the headers of a report."""
    return to_headers(
        Envelope(
            type=type_of("report", kind), id=report_id, source=source, subject=stream, time=rfc3339(at_ms), actor=actor
        )
    )


def history_headers(record: HistoryRecord) -> list[tuple[str, bytes]]:
    """Return the headers of a history record; its cause's id stands in `ce_causationid`."""
    payload = record.payload
    answers = record.kind in ("outcome", "forwarded")
    stream, actor = payload["stream"], payload.get("actor")
    cause = payload["input_id"] if answers else payload["cause"]["id"]
    headers = [
        SPEC_VERSION,
        CONTENT_TYPE,
        ("ce_type", type_of("history", record.kind).encode()),
        ("ce_id", record.id.encode()),
        _FROM_PROJECTOR,
    ]
    if stream is not None:
        headers.append(("ce_subject", stream.encode()))
    headers.append(("ce_time", rfc3339(payload["at_ms"]).encode()))
    if actor is not None:
        headers.append(("ce_actor", actor.encode()))
    if cause is not None:
        headers.append(("ce_causationid", cause.encode()))
    return headers


def decode_input(family: Family, record: Record) -> Input | Unreadable:
    """Read one record of the commands or reports topic. Never raises for what stands in it.

    The returned payload is the validated JSON object; for create and modify its `config` is complete, defaults
    included, so that a later default changes no stream that exists.
    """
    envelope = from_headers(record.headers())
    stream, problem = _stream_of(record.key())
    singular = family[:-1]

    def unreadable(code: str, message: str, hint: str) -> Unreadable:
        return Unreadable(
            family=family,
            topic=record.topic() or "",
            partition=record.partition() or 0,
            offset=record.offset() or 0,
            at_ms=_at_ms(record),
            code=f"{singular}.{code}",
            message=message,
            hint=hint,
            id=envelope.id[:MAX_ID_LENGTH] if envelope.id else None,
            type=envelope.type[:100] if envelope.type else None,
            stream=stream,
            actor=_actor(envelope.actor),
        )

    if problem is not None:
        return unreadable("invalid_key", problem, "The key is the stream's name: a DNS label of at most 63 characters.")
    if not envelope.type:
        return unreadable("missing_header", "The header ce_type is missing.", "Send ce_type, ce_id and a key.")
    if not envelope.id:
        return unreadable("missing_header", "The header ce_id is missing.", "Send ce_type, ce_id and a key.")
    if len(envelope.id) > MAX_ID_LENGTH:
        return unreadable("invalid_header", f"ce_id is longer than {MAX_ID_LENGTH} characters.", "Use a shorter id.")
    parsed = parse_type(envelope.type)
    if parsed is None or parsed.family != singular or parsed.kind not in _KINDS[singular]:
        return unreadable(
            "unknown_type",
            f"{envelope.type[:100]!r} is not a type of {singular} that is known here.",
            f"Known: {', '.join(sorted(_KINDS[singular]))} (as headgate.{singular}.<kind>.v1).",
        )
    expected = envelope.expected_version
    if expected is not None and _NUMBER.fullmatch(expected) is None:
        return unreadable("invalid_header", "ce_expectedversion is not a whole number.", "Send a version, or none.")
    value = record.value() or b"{}"
    if len(value) > _MAX_BYTES[family]:
        return unreadable(
            "too_large", f"The value has {len(value):,} bytes.", f"At most {_MAX_BYTES[family]:,} bytes are read."
        )
    try:
        payload = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        return unreadable("malformed_json", f"The value is not JSON: {str(error)[:200]}.", "Send a JSON object.")
    if not isinstance(payload, dict):
        return unreadable("malformed_json", "The value is JSON, but not an object.", "Send a JSON object.")
    if payload.setdefault("kind", parsed.kind) != parsed.kind:
        return unreadable("invalid", f"ce_type says {parsed.kind}, the value's kind does not.", "Leave kind out.")
    parsed, payload = upcast(parsed, payload)
    if parsed.version != PRESENT_VERSION:
        return unreadable(
            "unknown_type", f"Version {parsed.version} of {parsed.kind} is not known here.", "Upgrade the projector."
        )
    try:
        model = _adapter(singular).validate_python(payload)
    except ValidationError as error:
        return unreadable(
            "invalid", f"The {singular} is not valid: {explain(error, singular)}."[:2_000], "Correct it and resend."
        )
    if family == "commands":
        payload = _understood(model, payload)
    return Input(
        family=family,
        topic=record.topic() or "",
        partition=record.partition() or 0,
        offset=record.offset() or 0,
        at_ms=_at_ms(record),
        id=envelope.id,
        type=envelope.type,
        kind=parsed.kind,
        stream=stream or "",
        actor=_actor(envelope.actor) or UNKNOWN_ACTOR,
        expected_version=None if expected is None else int(expected),
        payload=payload,
    )


def decode_history(record: Record) -> HistoryRecord | None:
    """Read one record of the history; None for a type that is not known here (written by a newer version).

    Raises ValueError when a known type does not hold a JSON object: a damaged log, which no caller can mend.
    """
    envelope = from_headers(record.headers())
    parsed = parse_type(envelope.type or "")
    if parsed is None or parsed.family != "history" or parsed.kind not in HISTORY_KINDS:
        return None
    value = record.value() or b""
    payload = orjson.loads(value)
    if not isinstance(payload, dict):
        raise ValueError(f"the history record at offset {record.offset()} is not a JSON object")
    parsed, payload = upcast(parsed, payload)
    return HistoryRecord(kind=parsed.kind, id=envelope.id or "", payload=payload, value=value)


def _understood(model: Any, payload: Payload) -> Payload:
    """Return of a command what its model knows.

    One that waits is kept in the state with all that it holds. What nobody looked at must not get there: it may be
    nested deeper than can be written.
    """
    known = type(model).model_fields
    understood = {key: value for key, value in payload.items() if key in known}
    for section in ("config", "positions"):
        if (part := getattr(model, section, None)) is not None:
            understood[section] = part.model_dump()
    return understood


def _stream_of(key: Any) -> tuple[str | None, str | None]:
    """Return (name, None), or (what could be read of it, what is wrong with it)."""
    if key is None:
        return None, "The record has no key."
    try:
        name = key if isinstance(key, str) else bytes(key).decode()
    except UnicodeDecodeError:
        return None, "The key is not UTF-8."
    if not is_stream_name(name):
        return name[:256], f"The key {name[:80]!r} is not a stream's name."
    return name, None


def _at_ms(record: Record) -> int:
    _, at_ms = record.timestamp()
    return min(max(0, int(at_ms)), MAX_TIME_MS)


def _actor(text: str | None) -> str | None:
    return text[:256] if text else None


def _without(payload: Any, locations: list[tuple[int | str, ...]]) -> Any:
    """Return a copy of a JSON value without the keys at these locations of a validation."""
    mended = orjson.loads(orjson.dumps(payload))
    for *path, key in locations:
        holder = mended
        for part in path:
            # Pydantic also names the member of a union, which is no key of the value.
            if isinstance(holder, dict):
                holder = holder.get(part, holder)
            elif isinstance(holder, list) and isinstance(part, int):
                holder = holder[part]
        if isinstance(holder, dict):
            holder.pop(key, None)
    return mended
