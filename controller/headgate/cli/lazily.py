"""The root of the command line: it knows `broker` by name, and imports it when somebody asks for it.

The embedded broker's commands bring a good deal of code, which no other command needs.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

from typer.core import TyperGroup
from typer.main import get_group

LAZY: Final = {"broker": ("headgate.cli.broker", "A real Kafka on this machine, for development.")}
"""Groups by their name, with the module that has them as `app`, and what they are for."""


def load(name: str) -> TyperGroup | None:
    """Import one of these groups; None for a name that is none of them."""
    if name not in LAZY:
        return None
    group = get_group(importlib.import_module(LAZY[name][0]).app)
    group.name = name
    return group


class LazyGroup(TyperGroup):
    """A group some of whose groups are imported when they are used; until then a line of help stands for them."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, purpose) in LAZY.items():
            self.commands[name] = TyperGroup(name=name, help=purpose, rich_help_panel="Running Headgate")

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the arguments begin with, imported if it has to be."""
        if args and (group := load(args[0])) is not None:
            self.commands[args[0]] = group
        return super().resolve_command(ctx, args)
