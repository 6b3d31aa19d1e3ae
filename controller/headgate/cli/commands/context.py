"""`headgate context`: which cluster and namespace are meant, by name."""

from __future__ import annotations

from typing import Annotated

import typer

from headgate.cli.completing import complete_contexts
from headgate.cli.options import Output, Where, verb
from headgate.cli.output import Format

app = typer.Typer(help="Which cluster and namespace are meant, by name.", no_args_is_help=True)

ContextName = Annotated[str, typer.Argument(metavar="NAME", help="The context.", autocompletion=complete_contexts)]


@app.command("list")
def list_contexts(*, output: Output = Format.TABLE) -> None:
    """List the contexts; the current one is starred."""
    from headgate.cli.naming import show_contexts

    show_contexts(output)


@app.command()
def use(name: ContextName) -> None:
    """Make a context the current one."""
    from headgate.cli.naming import use_context

    use_context(name)


@app.command("set")
@verb
def set_context(
    name: ContextName,
    *,
    use: Annotated[bool, typer.Option("--use", help="Make it the current one, too.")] = False,
    where: Where,
) -> None:
    """Make a context, or change one: --bootstrap-servers, --namespace. The first one made is the current one."""
    from headgate.cli.naming import change_context

    change_context(name, where.bootstrap_servers, where.namespace, use=use)


@app.command()
@verb
def current(*, output: Output = Format.TABLE, where: Where) -> None:
    """Show which cluster and namespace commands go to, and what decided that."""
    from headgate.cli.naming import show_current

    show_current(output, where)


@app.command()
def remove(name: ContextName) -> None:
    """Forget a context."""
    from headgate.cli.naming import remove_context

    remove_context(name)
