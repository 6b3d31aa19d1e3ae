"""Options that several verbs share, as frozen records: one field is one option, and a verb takes the whole record.

`verb` lays the fields out as options of the command that typer sees, and hands the filled record to the function.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, get_type_hints

import typer

from headgate.cli.completing import complete_contexts, complete_streams
from headgate.cli.output import Format

CLUSTER = "Which cluster"
SENDING = "How to send it"
WAITING = "How long to wait"
GOING_ON = "Where to go on"

Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Streams.", autocompletion=complete_streams)]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The stream.", autocompletion=complete_streams)]
Selector = Annotated[
    str | None,
    typer.Option("--selector", "-l", metavar="LABELS", help="Streams by label: team=ops,tier!=test,owner,!legacy."),
]
At = Annotated[
    str | None,
    typer.Option(
        metavar="POSITION", help="committed (default), earliest, latest, or a time.", rich_help_panel=GOING_ON
    ),
]
Offsets = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TOPIC:PARTITION=OFFSET",
        help="The next offset to read; may be repeated. Other partitions stay where they are.",
        rich_help_panel=GOING_ON,
    ),
]
Skip = Annotated[
    str | None,
    typer.Option(metavar="TOPIC:PARTITION=N", help="Pass over N records of one partition.", rich_help_panel=GOING_ON),
]
Files = Annotated[
    list[str],
    typer.Option(
        "--file", "-f", metavar="FILE", help="YAML file or folder of them, - for standard input; may be repeated."
    ),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="Form of the answer.")]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which cluster and namespace, as far as it was said on the command line."""

    bootstrap_servers: Annotated[
        str | None,
        typer.Option("--bootstrap-servers", metavar="HOST:PORT", help="The cluster.", rich_help_panel=CLUSTER),
    ] = None
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="The namespace.", rich_help_panel=CLUSTER)
    ] = None
    context: Annotated[
        str | None,
        typer.Option(
            "--context",
            help="The context to take both from.",
            rich_help_panel=CLUSTER,
            autocompletion=complete_contexts,
        ),
    ] = None


class LogLevel(StrEnum):
    """From which level on a part speaks."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a part speaks: to machines or to people."""

    JSON = "json"
    TEXT = "text"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Logs:
    """How a long-running part speaks of itself, on standard error."""

    log_level: Annotated[LogLevel | None, typer.Option(help="From which level on; else HEADGATE_LOG_LEVEL, info.")] = (
        None
    )
    log_format: Annotated[LogFormat | None, typer.Option(help="json or text; else HEADGATE_LOG_FORMAT, json.")] = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """How a command is sent and awaited."""

    wait: Annotated[
        bool,
        typer.Option("--wait", "-w", help="Wait until the goal is reached, not only decided.", rich_help_panel=WAITING),
    ] = False
    timeout: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="Bound of all waiting: 30s; with --wait 5m by default.", rich_help_panel=WAITING
        ),
    ] = None
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask what would happen, and change nothing.", rich_help_panel=SENDING)
    ] = False
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why; it stands in the history.", rich_help_panel=SENDING)
    ] = None
    actor: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who; HEADGATE_ACTOR, else user@host.", rich_help_panel=SENDING),
    ] = None
    expected_version: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Refuse unless the stream is at this version.", rich_help_panel=SENDING),
    ] = None
    command_id: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Id of the command; the same id gets the same answer.", rich_help_panel=SENDING
        ),
    ] = None
    not_before: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Decide it then: 2026-11-21T22:00:00Z, or 2h.", rich_help_panel=SENDING),
    ] = None
    when_idle: Annotated[
        bool, typer.Option("--when-idle", help="Decide it once the stream is idle.", rich_help_panel=SENDING)
    ] = False


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """Lay out the records among a function's parameters as options; the function gets them filled.

    What was given before the verb (`headgate --context prod get`) fills what was not given after it.
    """
    hints = get_type_hints(function, include_extras=True)
    records: dict[str, type[Any]] = {}
    parameters = [inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
    own = inspect.signature(function).parameters
    for parameter in own.values():
        annotation = hints[parameter.name]
        if annotation is typer.Context:
            continue
        if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
            records[parameter.name] = annotation
            inner = get_type_hints(annotation, include_extras=True)
            parameters += [
                inspect.Parameter(
                    field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=inner[field.name]
                )
                for field in dataclasses.fields(annotation)
            ]
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=annotation))

    @functools.wraps(function)
    def command(**given: Any) -> None:
        before: dict[str, Any] = given["ctx"].find_root().obj or {}
        if "ctx" not in own:
            del given["ctx"]
        for name, value in before.items():
            if value is not None and given.get(name, value) is None:
                given[name] = value
        for name, record in records.items():
            given[name] = record(**{field.name: given.pop(field.name) for field in dataclasses.fields(record)})
        function(**given)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command
