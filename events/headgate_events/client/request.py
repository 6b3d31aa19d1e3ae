"""A command before it is sent: checked, with its headers and bytes. Both the real client and the twin send these.

Everything that can be wrong without asking anybody is found here, before anything is written: commands stay in the log
for ever, so what is refused here never becomes a record.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypedDict, get_origin

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from headgate_events.codec import command_headers, encode
from headgate_events.errors import InvalidRequest
from headgate_events.findings import explain, nearest
from headgate_events.ids import MAX_ID_LENGTH, new_command_id
from headgate_events.names import check_stream_name
from headgate_events.schema.commands import COMMAND_KINDS, AnyCommand
from headgate_events.schema.common import MAX_COMMAND_BYTES, MAX_INT64

DEFAULT_SOURCE: Final = "headgate/client"
MAX_ACTOR_LENGTH: Final = 256
_COMMANDS: Final[TypeAdapter[Any]] = TypeAdapter(AnyCommand)
_TRACEPARENT_MAX: Final = 256


class CommandOptions(TypedDict, total=False):
    """What may go with any command; None is the same as leaving it out.

    `command_id` makes a resend safe: the same id gets the same outcome. `expected_version` must equal the stream's
    version when the command is decided. `not_before` (an aware datetime) and `when_idle` make it wait, visibly;
    `idle_for_s` is `when_idle`, and for so many seconds without a break.
    """

    command_id: str | None
    actor: str | None
    reason: str | None
    dry_run: bool | None
    not_before: datetime | None
    when_idle: bool | None
    idle_for_s: float | None
    expected_version: int | None
    correlation_id: str | None
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """One command, ready to be written: key is the stream's name, `value` the JSON that `headers` describe."""

    kind: str
    stream: str
    id: str
    dry_run: bool
    headers: tuple[tuple[str, bytes], ...]
    value: bytes


def default_actor() -> str:
    """Return the name of whoever runs this program, or `unknown` where the system does not know it."""
    try:
        return getpass.getuser()[:MAX_ACTOR_LENGTH] or "unknown"
    except (OSError, KeyError):  # which of them depends on the version of Python
        return "unknown"


def build_request(
    kind: str,
    stream: str,
    payload: Mapping[str, Any] | None,
    options: CommandOptions,
    *,
    actor: str,
    source: str,
    at_ms: int,
) -> Request:
    """Check a command and write it down; raises InvalidRequest (the caller's fault) with the first thing wrong."""
    check_stream_name(stream)
    if kind not in COMMAND_KINDS:
        meant = nearest(kind, list(COMMAND_KINDS))
        raise InvalidRequest(
            f"{kind[:80]!r} is not a command.",
            hint=f"Did you mean {meant}?" if meant else f"Known: {', '.join(COMMAND_KINDS)}.",
        )
    _check_options(options)
    fields = _fields(payload or {}, options)
    dry_run = fields.get("dry_run", False)
    _check_payload(kind, fields)
    try:
        value = encode(fields)
    except orjson.JSONEncodeError as problem:
        raise InvalidRequest(
            f"The command cannot be written as JSON: {problem}.", hint="Use text, numbers, booleans, lists and objects."
        ) from problem
    if len(value) > MAX_COMMAND_BYTES:
        raise InvalidRequest(
            f"The command has {len(value):,} bytes.", hint=f"At most {MAX_COMMAND_BYTES:,} bytes are taken."
        )
    command_id = options.get("command_id") or new_command_id()
    headers = command_headers(
        kind,
        command_id,
        stream,
        source=source,
        at_ms=at_ms,
        actor=options.get("actor") or actor,
        expected_version=options.get("expected_version"),
        correlation_id=options.get("correlation_id"),
        traceparent=options.get("traceparent"),
    )
    return Request(kind, stream, command_id, bool(dry_run), tuple(headers), value)


def check_actor(actor: str) -> str:
    """Return `actor`, or raise InvalidRequest (the caller's fault) when it is empty or too long."""
    return _check_text("actor", actor, MAX_ACTOR_LENGTH)


def _check_options(options: CommandOptions) -> None:
    known = list(CommandOptions.__annotations__)
    for name in options:
        if name not in known:
            meant = nearest(name, known)
            raise InvalidRequest(
                f"{name!r} is no option of a command.", hint=f"Did you mean {meant}?" if meant else None
            )
    limits = {
        "command_id": MAX_ID_LENGTH,
        "actor": MAX_ACTOR_LENGTH,
        "correlation_id": MAX_ID_LENGTH,
        "traceparent": _TRACEPARENT_MAX,
    }
    for name, text in options.items():
        if name in limits and text is not None:
            _check_text(name, text, limits[name])
    version = options.get("expected_version")
    if version is not None and (type(version) is not int or not 0 <= version <= MAX_INT64):
        raise InvalidRequest(f"The expected version {version!r} is no version.", hint="Give a whole number from 0 on.")
    moment = options.get("not_before")
    if moment is not None and moment.tzinfo is None:
        raise InvalidRequest("not_before has no time zone.", hint="Give an aware datetime, like datetime.now(UTC).")


def _check_text(name: str, text: object, limit: int) -> str:
    if not isinstance(text, str) or not text or len(text) > limit or not text.isprintable():
        raise InvalidRequest(
            f"{name} is not a text of 1 to {limit} printable characters.", hint="Give a shorter, plain one."
        )
    return text


def _fields(payload: Mapping[str, Any], options: CommandOptions) -> dict[str, Any]:
    fields = {name: _plain(value) for name, value in payload.items()}
    moment = options.get("not_before")
    given = {
        "reason": options.get("reason"),
        "dry_run": options.get("dry_run"),
        "not_before": moment.isoformat() if moment is not None else None,
        # Said in both ways, so that a controller of before would wait for idle, and not decide at once.
        "when_idle": True if options.get("idle_for_s") is not None else options.get("when_idle"),
        "idle_for_s": options.get("idle_for_s"),
    }
    return fields | {name: value for name, value in given.items() if value is not None}


def _plain(value: Any) -> Any:
    """Turn a model into JSON: what differs from the defaults, and the fields that tell which model it is."""
    if not isinstance(value, BaseModel):
        return value
    tags = {name for name, field in type(value).model_fields.items() if get_origin(field.annotation) is Literal}
    return {**value.model_dump(mode="json", include=tags), **value.model_dump(mode="json", exclude_unset=True)}


def _check_payload(kind: str, fields: dict[str, Any]) -> None:
    try:
        model = _COMMANDS.validate_python({**fields, "kind": kind})
    except ValidationError as problem:
        raise InvalidRequest(f"The {kind} is not valid: {explain(problem, AnyCommand)}.") from problem
    if fields.get("kind", kind) != kind:
        raise InvalidRequest(f"The payload's kind is not {kind}.", hint="Leave it out.")
    # A reader must be tolerant of what it does not know; whoever writes should hear of a typing error.
    known = sorted(type(model).model_fields)
    for name in fields:
        if name not in known:
            meant = nearest(name, known)
            raise InvalidRequest(
                f"{kind} has no field {name!r}.",
                hint=f"Did you mean {meant}?" if meant else f"Known: {', '.join(known)}.",
            )
