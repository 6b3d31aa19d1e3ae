"""The lifecycle drawn from its tables, so that the picture in the documentation cannot lie.

`python docs/generate.py` writes these into docs/lifecycle.md, and a test fails when they have drifted.
"""

from __future__ import annotations

from headgate.core.lifecycle import (
    ABSENT,
    COMMANDS,
    DELETED,
    REPORTS,
    SAME,
    STATUSES,
    Cell,
    Leads,
    Refused,
    ReportCell,
    To,
)


def diagram() -> str:
    """Return the lifecycle as a Mermaid state diagram: commands in plain words, reports between slashes."""
    edges: dict[tuple[str, str], list[str]] = {}
    for name, row in COMMANDS.items():
        for status, cell in row.items():
            if isinstance(cell, To) and cell.status not in (SAME, status):
                edges.setdefault((status, cell.status), []).append(name)
    for name, reported in REPORTS.items():
        for status, found in reported.items():
            if isinstance(found, Leads) and found.status not in (SAME, status) and found.transition != "outcome":
                edges.setdefault((status, found.status), []).append(f"/{name.replace(': ', ' ')}/")
    lines = ["stateDiagram-v2"]
    for (before, after), names in edges.items():
        lines.append(f"    {_node(before)} --> {_node(after)}: {', '.join(_once(names))}")
    return "\n".join(lines)


def command_table() -> str:
    """Return the table of commands against statuses, in Markdown."""
    return _table("command", {name: {s: _cell(row[s]) for s in (ABSENT, *STATUSES)} for name, row in COMMANDS.items()})


def report_table() -> str:
    """Return the table of reports against statuses, in Markdown."""
    return _table("report", {name: {s: _found(row[s]) for s in STATUSES} for name, row in REPORTS.items()})


def refusals() -> str:
    """Return every refusal that the table knows, with its code and its hint, in Markdown."""
    lines = ["| command | status | code | hint |", "|---|---|---|---|"]
    for name, row in COMMANDS.items():
        for status, cell in row.items():
            refused = cell.otherwise if isinstance(cell, To) else cell
            if isinstance(refused, Refused):
                lines.append(f"| {name} | {status} | `{refused.code}` | {refused.hint} |")
    return "\n".join(lines)


def _table(title: str, rows: dict[str, dict[str, str]]) -> str:
    statuses = list(next(iter(rows.values())))
    lines = [f"| {title} | {' | '.join(statuses)} |", "|---" * (len(statuses) + 1) + "|"]
    lines += [f"| **{name}** | {' | '.join(cells.values())} |" for name, cells in rows.items()]
    return "\n".join(lines)


def _cell(cell: Cell) -> str:
    if isinstance(cell, Refused):
        return "refused"
    if not isinstance(cell, To):
        return "scheduled"
    where = "accepted" if cell.status == SAME else cell.status
    return (
        where
        + (" (after a check)" if cell.check else "")
        + (" (not if strict)" if cell.unless_strict else "")
        + (" (after an auto-pause, else refused)" if cell.otherwise else "")
    )


def _found(cell: ReportCell) -> str:
    if not isinstance(cell, Leads):
        return "–"
    if cell.transition == "outcome":
        return "decides the command"
    where = "noted" if cell.status == SAME else cell.status
    return (
        where + (" (while it carries on)" if cell.carrying else "") + (" (of auto-pause)" if cell.of_auto_pause else "")
    )


def _node(status: str) -> str:
    return "[*]" if status in (ABSENT, DELETED) else status


def _once(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))
