"""The reference of the command line, for the documentation: from the commands themselves, so that it cannot lie."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer.main import get_group

from headgate.cli.lazily import load
from headgate.cli.main import PROGRAM, app
from headgate.cli.options import CLUSTER, SENDING, WAITING

SHARED = (WAITING, SENDING, CLUSTER)
"""Panels of options that many commands have: they are described once."""


def reference() -> str:
    """Return the reference as Markdown: the shared options, then every command with its own."""
    root = get_group(app)
    parts = [_shared(root.commands["pause"])]
    for name, command in sorted(root.commands.items()):
        parts.append(_command(f"{PROGRAM} {name}", load(name) or command))
    return "\n".join(parts).rstrip("\n")


def _shared(command: Any) -> str:
    lines = []
    for panel in SHARED:
        lines += [f"### Shared options: {panel.lower()}", ""]
        lines += _table(param for param in command.params if getattr(param, "rich_help_panel", None) == panel)
        lines.append("")
    return "\n".join(lines)


def _command(path: str, command: Any) -> str:
    inner = getattr(command, "commands", None)
    if inner is not None:
        return "\n".join(_command(f"{path} {name}", each) for name, each in sorted(inner.items()))
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    options = [param for param in command.params if param.param_type_name == "option"]
    own = [option for option in options if getattr(option, "rich_help_panel", None) not in SHARED]
    panels = {getattr(option, "rich_help_panel", None) for option in options} & set(SHARED)
    shared = [panel.lower() for panel in SHARED if panel in panels]
    usage = " ".join([path, *(_argument(argument) for argument in arguments)])
    lines = [f"### {path}", "", f"`{usage}`", "", (command.help or "").strip(), ""]
    if own:
        lines += [*_table(own), ""]
    if shared:
        lines += [f"Shared options: {', '.join(shared)}.", ""]
    return "\n".join(lines)


def _argument(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    if argument.nargs == -1:
        return f"[{name}]..."
    return name if argument.required else f"[{name}]"


def _table(options: Any) -> Iterator[str]:
    yield "| option | what it does |"
    yield "|---|---|"
    for option in options:
        names = ", ".join(f"`{name}`" for name in sorted(option.opts, key=len))
        value = "" if option.is_flag else f" {option.metavar or _choices(option)}"
        default = f" (default: {_plain(option.default)})" if _worth_telling(option) else ""
        yield f"| {names}{value} | {option.help}{default} |"


def _choices(option: Any) -> str:
    choices = getattr(option.type_descriptor, "choices", None)
    return "\\|".join(_plain(choice) for choice in choices) if choices else str(option.name).upper()


def _worth_telling(option: Any) -> bool:
    return not option.is_flag and not option.required and option.default not in (None, [], ())


def _plain(value: Any) -> str:
    return str(getattr(value, "value", value))
