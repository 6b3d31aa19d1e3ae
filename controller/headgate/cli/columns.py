"""The columns of `headgate get`: one stream on a line, so that a person sees at a glance what wants attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from headgate.cli.connection import StateJson
from headgate.cli.goals import newest_error
from headgate.cli.wording import age, safe

COLUMNS: Final = ("NAME", "STATUS", "SINCE", "REVISION", "TASKS", "CONDITIONS", "REASON/BY")
WIDE_COLUMNS: Final = (*COLUMNS[:-1], "VERSION", "SOURCE", "DESTINATION", "ERROR", "LABELS", "REASON/BY")
REASON_LIMIT: Final = 60


def row(state: StateJson, now_ms: int, *, wide: bool) -> Sequence[str]:
    """Return one stream's cells, for COLUMNS or WIDE_COLUMNS."""
    revision = state["revision"]
    config = state["config"]
    cells = [
        state["stream"],
        state["status"],
        age(state["since_ms"], now_ms),
        f"{revision['desired']}/{revision['applied']}" + ("!" if revision.get("rejected") else ""),
        f"{len(state['tasks'])}/{config['parallelism']}",
        ",".join(sorted(state["conditions"])),
    ]
    if wide:
        error = newest_error(state)
        cells += [
            str(state["version"]),
            connector(config["source"]),
            connector(config["destination"]),
            error["code"] + (f" +{len(state['errors']) - 1}" if len(state["errors"]) > 1 else "") if error else "",
            ",".join(f"{key}={value}" for key, value in sorted(config["labels"].items())),
        ]
    return [*cells, reason_by(state)]


def reason_by(state: StateJson) -> str:
    """Say why and by whom the status was last changed."""
    last = state["last"]
    actor = safe(last["actor"], 40)
    return f"{safe(last['reason'], REASON_LIMIT)} (by {actor})" if last.get("reason") else f"by {actor}"


def connector(section: StateJson) -> str:
    """Name a source or destination in short: `kafka:flights`."""
    about = next((section[key] for key in ("topic", "path", "table", "url") if section.get(key)), None)
    return f"{section['kind']}:{about}" if about else str(section["kind"])
