"""A record as a JSON object: where it came from and what it carries.

Text is text; what is no text stands in base64 under a name of its own (`value_base64`), so that nothing has to be
guessed on the way back.
"""

from __future__ import annotations

import base64
from typing import Any

from headgate.ports.destination import Output


def shown(output: Output) -> dict[str, Any]:
    """Return an output as a JSON object. Without headers there is no `headers`."""
    origin = output.origin
    fields: dict[str, Any] = {
        "topic": origin.topic(),
        "partition": origin.partition(),
        "offset": origin.offset(),
        "timestamp_ms": output.timestamp_ms,
        **_member("key", output.key),
        **_member("value", output.value),
    }
    if output.headers:
        fields["headers"] = [{"name": name, **_member("value", value)} for name, value in output.headers]
    return fields


def _member(name: str, data: bytes | str | None) -> dict[str, Any]:
    if data is None or isinstance(data, str):
        return {name: data}
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data).decode()}
