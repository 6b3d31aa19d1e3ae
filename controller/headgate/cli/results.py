"""What became of a command, as a line for people, as an object for programs, and as an exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headgate.cli.exits import OK
from headgate.cli.output import Format, note, say, several
from headgate.cli.waiting import span
from headgate.cli.wording import safe, seconds, when


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one command."""

    stream: str
    command: str
    command_id: str
    outcome: str
    """accepted, refused, without_effect, scheduled; unchanged or not_sent; unknown when no answer came."""
    exit_code: int
    message: str = ""
    hint: str = ""
    code: str | None = None
    version: int | None = None
    incarnation: int | None = None
    status: str | None = None
    dry_run: bool = False
    due_ms: int | None = None
    when_idle: bool = False
    idle_for_ms: int | None = None
    goal: Mapping[str, Any] | None = None
    details: Sequence[str] = field(default=())

    def payload(self) -> dict[str, Any]:
        """Return it as a JSON object, as `-o json` prints it."""
        return {
            "stream": self.stream,
            "command": self.command,
            "command_id": self.command_id,
            "outcome": self.outcome,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "version": self.version,
            "incarnation": self.incarnation,
            "status": self.status,
            "dry_run": self.dry_run,
            "goal": self.goal,
            "exit_code": self.exit_code,
        }


def report(results: Sequence[Result], form: Format) -> int:
    """Print every result and return the worst exit code."""
    if form in {Format.JSON, Format.YAML}:
        several([result.payload() for result in results], form, alone=True)
    for result in results:
        if form in {Format.JSON, Format.YAML}:
            continue
        if result.exit_code == OK:
            say(result.stream if form is Format.NAME else line(result))
        else:
            note(line(result))
            for detail in result.details:
                note(f"  {detail}")
    return max((result.exit_code for result in results), default=OK)


def line(result: Result) -> str:
    """Write one result as a sentence."""
    about = f"{result.stream}: "
    at = f" (version {result.version})" if result.version is not None else ""
    if result.goal is not None:
        if result.goal["reached"]:
            return f"{about}{result.goal['message']} after {seconds(result.goal['took_s'])}{at}"
        return f"{about}{result.command} was accepted, but the stream {_predicate(str(result.goal['message']))}{at}"
    said = " ".join(safe(part) for part in (result.message, result.hint) if part)
    match result.outcome:
        case "accepted" if result.dry_run:
            return f"{about}{result.command} would be accepted (dry run)" + (f": {said}" if said else "")
        case "accepted":
            return f"{about}{result.command} accepted, now {result.status or 'done'}{at}" + (
                f": {said}" if said else ""
            )
        case "unchanged":
            return f"{about}unchanged{at}"
        case "without_effect":
            return f"{about}{result.command} changed nothing{at}" + (f": {said}" if said else "")
        case "scheduled":
            due = "once it is idle" if result.when_idle else f"for {when(result.due_ms or 0)}"
            if result.idle_for_ms is not None:
                due = f"once it has been idle for {span(result.idle_for_ms)} and is drained"
            return f"{about}{result.command} is scheduled {due}; withdraw it with: headgate cancel {result.command_id}"
        case "refused":
            would = "would be refused" if result.dry_run else "refused"
            return f"{about}{result.command} {would}: {said} ({result.code})"
        case _:
            named = "" if result.command_id in said else f" (command id {result.command_id})"
            return f"{about}{result.command}: {said}{named}"


def _predicate(text: str) -> str:
    return f"is {text}" if text.startswith("not ") else text
