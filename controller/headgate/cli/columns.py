"""The columns of `headgate get`: one stream on a line, so that a person sees at a glance what wants attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from headgate.cli.activities import Activity, cell, proof_cell, wide_cell
from headgate.cli.connection import StateJson
from headgate.cli.goals import newest_error
from headgate.cli.wording import age, safe

COLUMNS: Final = ("NAME", "STATUS", "SINCE", "ACTIVITY", "REVISION", "TASKS", "FAILED", "CONDITIONS", "REASON/BY")
WIDE_COLUMNS: Final = (*COLUMNS[:-1], "PROOF", "VERSION", "SOURCE", "DESTINATION", "ERROR", "LABELS", "REASON/BY")
REASON_LIMIT: Final = 60
PARTITIONS_SHOWN: Final = 4


def row(state: StateJson, now_ms: int, activity: Activity, *, wide: bool) -> Sequence[str]:
    """Return one stream's cells, for COLUMNS or WIDE_COLUMNS."""
    revision = state["revision"]
    config = state["config"]
    cells = [
        state["stream"],
        state["status"],
        age(state["since_ms"], now_ms),
        (wide_cell if wide else cell)(activity, now_ms),
        f"{revision['desired']}/{revision['applied']}" + ("!" if revision.get("rejected") else ""),
        f"{len(state['tasks'])}/{config['parallelism']}",
        failed_cell(state, now_ms),
        ",".join(sorted(state["conditions"])),
    ]
    if wide:
        error = newest_error(state)
        cells += [
            proof_cell(activity, now_ms),
            str(state["version"]),
            connector(config["source"]),
            connector(config["destination"]),
            error["code"] + (f" +{len(state['errors']) - 1}" if len(state["errors"]) > 1 else "") if error else "",
            ",".join(f"{key}={value}" for key, value in sorted(config["labels"].items())),
        ]
    return [*cells, reason_by(state)]


def failed_cell(state: StateJson, now_ms: int) -> str:
    """Say which partitions failed, and when the next try is: `p1,p4 of 8, retry in 12s`. Empty where nothing failed."""
    failed = failed_partitions(state)
    if failed is None:
        return ""
    numbers = [f"p{number}" for _, number in failed]
    if not numbers:
        said = "all"
    else:
        known = sum((state.get("partitions") or {}).values())
        more = f",+{len(numbers) - PARTITIONS_SHOWN}" if len(numbers) > PARTITIONS_SHOWN else ""
        said = ",".join(numbers[:PARTITIONS_SHOWN]) + more + (f" of {known}" if known else "")
    retry_ms = next_retry_ms(state)
    if retry_ms is None:
        return said
    return f"{said}, retry in {age(now_ms, retry_ms)}" if retry_ms > now_ms else f"{said}, retries now"


def failed_partitions(state: StateJson) -> list[tuple[str, int]] | None:
    """Return the partitions that stand still because of errors, in order; empty for all; None where nothing failed."""
    errors = list((state.get("errors") or {}).values())
    if state["status"] not in {"FAILED", "FAILED_PERMANENTLY"} or not errors:
        return None
    stops_all = state["status"] == "FAILED_PERMANENTLY" and not state.get("carries_on")
    stops_all = stops_all or (state.get("config") or {}).get("isolate") == "stream"
    places = {(str(error.get("topic")), error.get("partition")) for error in errors}
    if stops_all or any(partition is None for _, partition in places):
        return []
    return sorted((topic, int(partition)) for topic, partition in places if partition is not None)


def next_retry_ms(state: StateJson) -> int | None:
    """Return when the first of the standing errors is tried again; None where nothing is tried."""
    return min(
        (int(each["next_retry_ms"]) for each in (state.get("errors") or {}).values() if each.get("next_retry_ms")),
        default=None,
    )


def reason_by(state: StateJson) -> str:
    """Say why and by whom the status was last changed."""
    last = state["last"]
    actor = safe(last["actor"], 40)
    return f"{safe(last['reason'], REASON_LIMIT)} (by {actor})" if last.get("reason") else f"by {actor}"


def connector(section: StateJson) -> str:
    """Name a source or destination in short: `kafka:flights`."""
    about = next((section[key] for key in ("topic", "path", "table", "url") if section.get(key)), None)
    return f"{section['kind']}:{about}" if about else str(section["kind"])
