"""The contract as files: JSON Schema of every record and of the definition file, and AsyncAPI of the topics.

All of it follows from the models and from `topics.py`, so it cannot say something else than the code. The files are
committed for people without Python (`headgate schema export` writes them), and a test finds drift.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from headgate_events.codec import CORDON_TYPE, HEARTBEAT_TYPE, MARKER_TYPE, PROGRESS_TYPE, STATE_TYPE
from headgate_events.names import CORDON_KEY_PREFIX, PROGRESS_KEY_PREFIX, STREAM_NAME_PATTERN
from headgate_events.schema.commands import AnyCommand
from headgate_events.schema.definition import StreamDefinition
from headgate_events.schema.history import AnyHistory
from headgate_events.schema.reports import AnyReport
from headgate_events.schema.state import Progress, StreamState
from headgate_events.schema.workers import Cordon, Heartbeat, Marker
from headgate_events.topics import DEFAULT_PARTITIONS, Topics, TopicSpec
from headgate_events.upcast import PRESENT_VERSION, type_of

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_RECORDS: Final[dict[str, tuple[str, Any]]] = {
    "commands": ("Commands: what a person or a program asks for", AnyCommand),
    "reports": ("Reports: what a worker or the observer saw", AnyReport),
    "history": ("History: every transition and every outcome", AnyHistory),
    "state": ("State: where a stream is now", StreamState),
    "progress": ("Progress: how far the inputs of a partition are folded", Progress),
    "marker": ("Marker: the latest status or watermark of a channel", Marker),
    "heartbeat": ("Heartbeat: a worker is alive", Heartbeat),
    "cordon": ("Cordon: a worker is to run nothing", Cordon),
    "stream": ("Stream definition: what a definition file holds", StreamDefinition),
}
_TAGGED: Final = {"commands": "command", "reports": "report", "history": "history"}
HEADERS: Final = {
    "ce_specversion": "Always 1.0.",
    "ce_type": "The record's type and version.",
    "ce_id": "Unique for one command; a resend with the same id gets the same outcome.",
    "ce_source": "Who wrote the record.",
    "ce_subject": "The stream.",
    "ce_time": "When it was written, RFC 3339. It informs only: decisions use the broker's append time.",
    "ce_actor": "Who asked or saw.",
    "ce_correlationid": "Ties commands of one undertaking together.",
    "ce_causationid": "The id of the input from which a record followed.",
    "ce_expectedversion": "The version that the stream must have, or the command is refused.",
    "traceparent": "W3C trace context.",
}


def documents() -> dict[str, dict[str, Any]]:
    """Return every document by its file name."""
    found = {f"{name}.schema.json": json_schema(name) for name in _RECORDS}
    found["asyncapi.json"] = asyncapi()
    return found


def export(directory: Path) -> list[Path]:
    """Write every document into a directory, which is made where it is missing, and return the files, sorted.

    Raises OSError when the directory cannot be written to.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, document in sorted(documents().items()):
        path = directory / name
        path.write_bytes(to_bytes(document))
        written.append(path)
    return written


def to_bytes(document: dict[str, Any]) -> bytes:
    """Write a document as it is committed: indented JSON with a line feed at its end."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a record family, or of the definition file (`stream`)."""
    title, annotation = _RECORDS[name]
    schema = TypeAdapter(annotation).json_schema(mode="validation")
    head = {"$schema": _DIALECT, "$id": f"urn:headgate:schema:{name}:v{PRESENT_VERSION}", "title": title}
    return head | {key: value for key, value in schema.items() if key != "title"}


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document of the topics of the default namespace."""
    topics = Topics()
    channels = {spec.name: _channel(spec, _messages(spec, topics)) for spec in topics.specs}
    operations: dict[str, Any] = {}
    for spec in topics.specs:
        short = spec.name.rpartition(".")[2]
        operations[f"read-{short}"] = {"action": "receive", "channel": {"$ref": f"#/channels/{spec.name}"}}
    operations["send-command"] = {
        "action": "send",
        "channel": {"$ref": f"#/channels/{topics.commands}"},
        "reply": {"channel": {"$ref": f"#/channels/{topics.history}"}},
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Headgate",
            "version": f"v{PRESENT_VERSION}",
            "description": "Commands, reports, history, state, markers and heartbeats of data streams, as records on "
            "Kafka topics: CloudEvents 1.0 in binary mode, the stream's name as key.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "messageTraits": {
                "cloudEvent": {
                    "headers": {
                        "type": "object",
                        "required": ["ce_type", "ce_id"],
                        "properties": {name: {"type": "string", "description": said} for name, said in HEADERS.items()},
                    },
                    "bindings": {
                        "kafka": {
                            "key": {"type": "string", "pattern": STREAM_NAME_PATTERN, "description": "The stream."}
                        }
                    },
                }
            }
        },
    }


def _channel(spec: TopicSpec, messages: dict[str, Any]) -> dict[str, Any]:
    kafka: dict[str, Any] = {"topic": spec.name, "partitions": spec.partitions or DEFAULT_PARTITIONS}
    settings: dict[str, Any] = {}
    for name, value in spec.config.items():
        # The binding knows these few, with types of its own; the rest stands in the documentation.
        if name == "cleanup.policy":
            settings[name] = value.split(",")
        elif name in {"retention.ms", "retention.bytes"}:
            settings[name] = int(value)
    kafka["topicConfiguration"] = settings
    return {
        "address": spec.name,
        "description": f"Holds {spec.holds}. Written by: {spec.written_by}.",
        "messages": messages,
        "bindings": {"kafka": kafka},
    }


def _messages(spec: TopicSpec, topics: Topics) -> dict[str, Any]:
    short = spec.name.rpartition(".")[2]
    if short in _TAGGED:
        mapping = json_schema(short)["discriminator"]["mapping"]
        return {
            kind: _message(type_of(_TAGGED[short], kind), f"{short}.schema.json{target}")
            for kind, target in mapping.items()
        }
    if spec.name == topics.state:
        progress = _message(PROGRESS_TYPE, "progress.schema.json")
        progress["bindings"] = {"kafka": {"key": {"type": "string", "pattern": f"^{PROGRESS_KEY_PREFIX}[0-9]+$"}}}
        return {"state": _message(STATE_TYPE, "state.schema.json"), "progress": progress}
    if spec.name == topics.heartbeats:
        cordon = _message(CORDON_TYPE, "cordon.schema.json")
        cordon["bindings"] = {"kafka": {"key": {"type": "string", "pattern": f"^{CORDON_KEY_PREFIX}"}}}
        return {"heartbeat": _message(HEARTBEAT_TYPE, "heartbeat.schema.json"), "cordon": cordon}
    return {"marker": _message(MARKER_TYPE, "marker.schema.json")}


def _message(record_type: str, reference: str) -> dict[str, Any]:
    return {
        "name": record_type,
        "contentType": "application/json",
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
        "payload": {"schemaFormat": f"application/schema+json;version={_DIALECT}", "schema": {"$ref": reference}},
    }
