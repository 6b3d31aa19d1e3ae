"""Whether a stream can be said to be idle at all: only where somebody looks at the ends of its source and says so.

The ends of Kafka topics are looked at. Of another source nobody knows an end, and unknown is never idle; a stream whose
markers are off says nothing. Nobody waits for a fact that cannot come, so what waits for idle is refused there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def why_never_idle(config: Mapping[str, Any]) -> str | None:
    """Say, as half a sentence, why a stream with this definition is never idle; None for one that may be."""
    kind = config["source"]["kind"]
    if kind != "kafka":
        return f"its source is of the kind {kind}, and only Kafka topics can be seen to be empty"
    if (config.get("idleness") or {}).get("markers") == "off":
        return "its markers are off (idleness.markers)"
    return None
