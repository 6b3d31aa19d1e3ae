"""`headgate completion`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

COMPLETE_VARIABLE = "_HEADGATE_COMPLETE"


class Shell(StrEnum):
    """The shells that can be served."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print the script that completes commands, options, contexts and live stream names.

    For bash: source <(headgate completion bash). For zsh: the same, in ~/.zshrc after compinit. For fish:
    headgate completion fish > ~/.config/fish/completions/headgate.fish
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    from headgate.cli.output import say

    say(get_completion_script(prog_name="headgate", complete_var=COMPLETE_VARIABLE, shell=shell.value))
